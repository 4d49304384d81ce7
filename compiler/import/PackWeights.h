// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes model.safetensors: every cria.param of a module, in the order and
// the layout of its type (see Weight in CriaTypes.td), ready to be mapped.
//
// A param @p becomes the tensor "p", or "p.codes", "p.scales", "p.mins"
// and "p.subscales". Codes are U8, subscales I8, scales and mins F16, floats
// F32, F16 or BF16, in the shape that WeightType::getStorage() says; a tensor
// param is F32 in its own shape.
//
// Where the source holds the same kind of numbers (Q4_1 for q4 with min, Q4_0
// for q4 with zero_point, Q6_K for q6, Q8_0 for q8 without min, a float for
// itself), codes and scales are copied bit by bit. Otherwise rows are
// dequantised to f32 and converted to the param's type: floats to the nearest
// number, blocks by the search of QuantizeBlocks.h. A number that the type
// cannot hold is an Error.
#ifndef CRIA_COMPILER_IMPORT_PACKWEIGHTS_H
#define CRIA_COMPILER_IMPORT_PACKWEIGHTS_H

#include "compiler/import/QuantizeBlocks.h"
#include "compiler/import/TensorSource.h"
#include "dialect/CriaDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cria {

/// An f32 attribute of a param: the mean of its random numbers. Without it,
/// 1 where the name says "norm" and 0 elsewhere.
constexpr llvm::StringLiteral randomMeanAttr = "cria.mean";

/// A WeightType attribute of a param: what it was before cria-quantize. Random
/// numbers are made as that type and then converted.
constexpr llvm::StringLiteral sourceTypeAttr = "cria.source_type";

/// One tensor of the source (or one random layer), as it was packed.
struct PackedTensor {
  std::string param;
  int64_t layer = 0;           // in the param's stack
  std::string source;          // its name there; "" for random numbers
  std::vector<int64_t> shape;  // of the layer
  std::string typeIn, typeOut; // "BF16", "Q8_0"; see weightTypeName
  uint64_t bytesIn = 0, bytesOut = 0;
  /// Taken bit by bit, so that there are no errors.
  bool copied = false;
  /// The source was quantised already, so these errors come on top of others.
  bool requantized = false;
  ErrorSums sums;
};

/// "q4", "q4_0", "q6", "q8", "bf16", ...: the words that --quantize accepts.
std::string weightTypeName(WeightType type);

/// Streams: besides the mapping of the source it holds a few megabytes for
/// each thread of the module's context. The result is the same for any number
/// of threads.
///
/// A param without sources, and every param where `source` is null, gets
/// random numbers that depend on the seed, the param's name, the layer and
/// the row only. The seed is `seed`, else the module's `cria.seed`, else an
/// Error says that one is missing.
///
/// `progress` may be null; it is told bytes of the output, now and then and
/// at the end, by one thread at a time. `report`, where not null, gets the
/// weights in the order of the file. `metadata` goes into the header. Nothing
/// is left under `outPath` after an Error, which names the param and the
/// tensor.
llvm::Error
packWeights(mlir::ModuleOp module, const TensorSource *source,
            std::optional<uint64_t> seed, llvm::StringRef outPath,
            llvm::function_ref<void(uint64_t done, uint64_t total)> progress,
            const std::map<std::string, std::string> &metadata,
            std::vector<PackedTensor> *report = nullptr);

/// Checks that `source` has each tensor that a param names, in its shape.
llvm::Error checkSources(mlir::ModuleOp module, const TensorSource &source);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_PACKWEIGHTS_H
