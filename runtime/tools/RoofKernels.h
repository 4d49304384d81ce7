// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops that do one thing as fast as this processor can: read memory, multiply
// and add bytes, multiply and add f32. What instructions there are is asked at
// run time.
#ifndef CRIA_TOOLS_ROOFKERNELS_H
#define CRIA_TOOLS_ROOFKERNELS_H

#include <cstddef>
#include <cstdint>

namespace cria::tools {

struct RoofKernels {
  /// Reads all of it; `Bytes` is a multiple of 512. The result depends on what
  /// was read.
  uint64_t (*Read)(const void *Data, size_t Bytes);
  const char *ReadName;
  /// `Rounds` times a chain of independent products; the number of operations
  /// done, two for a multiplication with its addition.
  double (*Int8)(int64_t Rounds);
  const char *Int8Name;
  double (*F32)(int64_t Rounds);
  const char *F32Name;
};

/// The fastest of each that this processor has.
RoofKernels roofKernels();

} // namespace cria::tools

#endif // CRIA_TOOLS_ROOFKERNELS_H
