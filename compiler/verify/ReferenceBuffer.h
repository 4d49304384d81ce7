// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memrefs as the reference kernels see them.

#ifndef CRIA_COMPILER_VERIFY_REFERENCEBUFFER_H
#define CRIA_COMPILER_VERIFY_REFERENCEBUFFER_H

#include "compiler/import/QuantizeBlocks.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/APFloat.h"

#include <cstring>
#include <vector>

namespace cria {

/// A strided array of f32, f16, bf16, i32, i16 or bytes.
struct Buffer {
  char *data = nullptr;
  unsigned bytes = 0;
  bool isBf16 = false;
  llvm::SmallVector<int64_t, 6> sizes, strides;

  char *address(llvm::ArrayRef<int64_t> indices) const {
    int64_t offset = 0;
    for (auto [index, stride] : llvm::zip(indices, strides))
      offset += index * stride;
    return data + offset * bytes;
  }
  uint8_t byte(llvm::ArrayRef<int64_t> indices) const {
    return static_cast<uint8_t>(*address(indices));
  }
  /// Of 8 or 16 bits.
  int64_t code(llvm::ArrayRef<int64_t> indices) const {
    return bytes == 1 ? read<int8_t>(indices) : read<int16_t>(indices);
  }
  int64_t integer(llvm::ArrayRef<int64_t> indices) const {
    return read<int32_t>(indices);
  }
  float load(llvm::ArrayRef<int64_t> indices) const {
    if (bytes == 4)
      return read<float>(indices);
    auto half = read<uint16_t>(indices);
    if (!isBf16)
      return halfToFloat(half);
    uint32_t bits = uint32_t(half) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  void store(llvm::ArrayRef<int64_t> indices, float value) {
    if (bytes == 4)
      return write(indices, value);
    llvm::APFloat rounded(value);
    bool lost;
    rounded.convert(isBf16 ? llvm::APFloat::BFloat()
                           : llvm::APFloat::IEEEhalf(),
                    llvm::APFloat::rmNearestTiesToEven, &lost);
    write(indices,
          static_cast<uint16_t>(rounded.bitcastToAPInt().getZExtValue()));
  }
  void storeInteger(llvm::ArrayRef<int64_t> indices, int32_t value) {
    write(indices, value);
  }

private:
  template <typename T> T read(llvm::ArrayRef<int64_t> indices) const {
    T value;
    std::memcpy(&value, address(indices), sizeof(value));
    return value;
  }
  template <typename T> void write(llvm::ArrayRef<int64_t> indices, T value) {
    std::memcpy(address(indices), &value, sizeof(value));
  }
};

/// Takes a record apart; see runReferenceKernel.
class RecordReader {
public:
  explicit RecordReader(const int64_t *next) : next(next) {}

  int64_t index() { return *next++; }
  Buffer buffer(mlir::Type type) {
    auto memref = llvm::cast<mlir::MemRefType>(type);
    Buffer buffer;
    buffer.data = reinterpret_cast<char *>(*next++);
    buffer.bytes = memref.getElementTypeBitWidth() / 8;
    buffer.isBf16 = memref.getElementType().isBF16();
    for (int64_t i = 0; i < memref.getRank(); ++i)
      buffer.sizes.push_back(*next++);
    for (int64_t i = 0; i < memref.getRank(); ++i)
      buffer.strides.push_back(*next++);
    return buffer;
  }

private:
  const int64_t *next;
};

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_REFERENCEBUFFER_H
