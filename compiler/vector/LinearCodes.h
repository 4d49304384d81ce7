// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The codes of a block of K of 16 rows, as unsigned bytes: from the vectors
// of the n16k4 layout (see Weight in CriaTypes.td) to words of K.
#ifndef CRIA_COMPILER_VECTOR_LINEARCODES_H
#define CRIA_COMPILER_VECTOR_LINEARCODES_H

#include "compiler/vector/KernelUtils.h"

namespace cria {

class BlockCodes {
public:
  /// `load(v)` emits the load of stored vector v; it is called at the first
  /// use of v, once.
  BlockCodes(mlir::ImplicitLocOpBuilder &b, ElementKind element,
             llvm::function_ref<mlir::Value(int64_t)> load)
      : b(b), element(element), load(load), vectors(kWords) {}

  /// vector<64xi8>: columns 4 word .. 4 word + 3 of the block for each row.
  mlir::Value word(int64_t word);

  static constexpr int64_t kWords = kQuantBlock / 4;
  /// Bits of a code, as cria.dot4 wants to know them.
  static int64_t bits(ElementKind element);
  /// Part `part` of `parts` of all words, each stored vector's together.
  static llvm::SmallVector<int64_t> order(ElementKind element, int64_t part,
                                          int64_t parts);

private:
  mlir::Value vector(int64_t index);
  mlir::Value highBits(int64_t word);

  mlir::ImplicitLocOpBuilder &b;
  ElementKind element;
  llvm::function_ref<mlir::Value(int64_t)> load;
  llvm::SmallVector<mlir::Value> vectors;
};

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_LINEARCODES_H
