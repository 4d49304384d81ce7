// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What --quantize says: which type the weights of which role get.
//
//   SPEC := ITEM [, ITEM]...
//   ITEM := TYPE          all weights that no KEY names
//         | KEY = TYPE
//   TYPE := q4      4-bit codes, scale and minimum per 32: 5 bits a weight
//         | q4_0    4-bit codes, scale per 32: 4.5 bits
//         | q6      6-bit codes, scale per 16: 6.6 bits
//         | q8      8-bit codes, scale per 32: 8.5 bits
//         | bf16 | f16 | f32
//         | keep    as the source has it
//   KEY  := a parameter's name, such as attn_q          (the first to match
//         | embed | head | q | k | v | o | gate | up | down      of these
//         | attn (q, k, v, o) | ffn (gate, up, down)        three counts)
//
//   q4,head=q8            q4, but the head q8
//   q8,ffn=q4,down=q8     q8, but gate and up q4
//   ffn=q4                the rest stays as it is
#ifndef CRIA_COMPILER_QUANTIZESPEC_H
#define CRIA_COMPILER_QUANTIZESPEC_H

#include "dialect/CriaDialect.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace cria {

/// A TYPE; keep has no element.
struct QuantizeType {
  std::string word;
  std::optional<ElementKind> element;
  OffsetKind offset = OffsetKind::none;
};

struct QuantizeSpec {
  struct Item {
    std::string key; // empty: all
    QuantizeType type;
  };
  llvm::SmallVector<Item> items;

  /// An Error names the item, and what would be accepted.
  static llvm::Expected<QuantizeSpec> parse(llvm::StringRef text);

  /// The item of a key, or null.
  const Item *find(llvm::StringRef key) const;
};

/// The keys that are roles and groups of them, for messages.
extern const llvm::StringLiteral quantizeRoles;

} // namespace cria

#endif // CRIA_COMPILER_QUANTIZESPEC_H
