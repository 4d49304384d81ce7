// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Views of a part of a tensor, read row by row from the file when asked for.
//
// A source's tensor may be asked for by an expression instead of its name:
//
//   NAME | rows FIRST SIZE                 rows FIRST to FIRST + SIZE
//   NAME | rows FIRST SIZE EVERY COUNT     COUNT runs of SIZE rows, EVERY rows
//                                          from one's first to the next's
//   NAME | transpose                       a matrix of floats [K, N] as [N, K]
//   NAME | transpose | rows ...            rows of the transposed matrix
//   ... | mean SIZE COUNT                  of COUNT runs of SIZE rows at a time
//                                          one run, the means of their rows
//
// Rows of a tensor of rank 1 are its elements. So a family says how fused
// tensors come apart: the queries of a GPT-NeoX with 8 heads of 64 are
// "...query_key_value.weight | rows 0 64 192 8". Means make few kv heads of
// many (--kv-heads): "...k_proj.weight | mean 64 4" has one of every 4. They
// are summed in double, so that the mean of equal numbers is that number.
#ifndef CRIA_COMPILER_IMPORT_TENSORSLICE_H
#define CRIA_COMPILER_IMPORT_TENSORSLICE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <optional>
#include <string>

namespace cria {

struct TensorView;

struct TensorSlice {
  bool transposed = false;
  int64_t first = 0, size = 0, every = 0, count = 0; // size 0: all rows
  int64_t meanSize = 0, meanCount = 0;               // size 0: no means

  /// The row of the (transposed) tensor that is row `row` of the slice, for
  /// one with means before they are taken.
  int64_t sourceRow(int64_t row) const {
    return size ? first + row / size * every + row % size : row;
  }
};

/// The expression of a run of rows.
std::string rowsOf(llvm::StringRef expression, int64_t first, int64_t size,
                   int64_t every = 0, int64_t count = 1);

/// The expression of means.
std::string meanOf(llvm::StringRef expression, int64_t size, int64_t count);

/// The parts of an expression; nothing where it is a plain name. An Error says
/// what is wrong with it.
struct ParsedSlice {
  llvm::StringRef tensor;
  TensorSlice slice;
};
llvm::Expected<std::optional<ParsedSlice>>
parseSlice(llvm::StringRef expression);

/// The view of a part of `base`, which must outlive it. An Error says why the
/// slice does not fit the tensor.
llvm::Expected<TensorView> makeSlice(const TensorView &base,
                                     const TensorSlice &slice,
                                     llvm::StringRef expression);

/// dequantizeRow of a view that is a slice.
llvm::Error dequantizeSliceRow(const TensorView &view, int64_t row,
                               llvm::MutableArrayRef<float> out);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_TENSORSLICE_H
