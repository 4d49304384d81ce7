// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The header of a safetensors file: eight bytes of little-endian length, then
// JSON that names each tensor's dtype, shape and place in what follows.
// Reads from memory, trusts nothing, and stops at the first fault.
#ifndef CRIA_MODEL_SAFETENSORSHEADER_H
#define CRIA_MODEL_SAFETENSORSHEADER_H

#include "cria/status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cria::runtime {

struct TensorEntry {
  std::string Name;
  std::string Dtype;
  std::vector<int64_t> Shape;
  uint64_t Begin = 0; // from the start of the file
  uint64_t Bytes = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> Tensors; // without padding
  std::vector<std::pair<std::string, std::string>> Metadata;
};

/// Parses the header of the file whose whole content is Data[0..Size). `File`
/// is named in messages. May throw std::bad_alloc.
cria_status parseSafetensorsHeader(const uint8_t *Data, uint64_t Size,
                                   const char *File, SafetensorsHeader &Header,
                                   cria_error *Error);

} // namespace cria::runtime

#endif // CRIA_MODEL_SAFETENSORSHEADER_H
