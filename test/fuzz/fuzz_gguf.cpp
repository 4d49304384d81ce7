// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/GgmlBlocks.h"
#include "compiler/import/GgufReader.h"
#include "compiler/import/TensorSource.h"
#include "driver.h"

#include "../import/gguf_builder.h"
#include <algorithm>
#include <cstdlib>

using namespace llvm;

template <typename T> static void drop(Expected<T> value) {
  if (!value)
    consumeError(value.takeError());
}

/// Some rows in both forms that packing reads.
static float readRows(const cria::TensorView &view) {
  constexpr int64_t rows = 4, elements = 1 << 12;
  if (view.dtype == cria::DType::Unsupported || view.rowElements() > elements)
    return 0;
  float sum = 0;
  std::vector<float> row(static_cast<size_t>(view.rowElements()));
  for (int64_t r = 0; r < std::min(rows, view.numRows()); ++r) {
    cantFail(cria::dequantizeRow(view, view.numRows() - 1 - r, row));
    sum += row.back();
    if (!cria::affineRange(view.dtype))
      continue;
    const uint8_t *bytes =
        view.data.data() + static_cast<uint64_t>(r) * view.rowBytes();
    for (int64_t b = 0; b < view.rowElements() / 32; ++b) {
      uint16_t scale, minimum;
      cria::ErrorSums errors;
      cria::roundAffine(cria::readAffine(view.dtype, bytes, b), scale, minimum,
                        errors);
    }
  }
  return sum;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  StringRef text(reinterpret_cast<const char *>(data), size);
  auto file = cria::GgufFile::parse(MemoryBufferRef(text, "fuzz.gguf"));
  if (!file) {
    consumeError(file.takeError());
    return 0;
  }
  for (StringRef key : (*file)->keys()) {
    drop((*file)->getU32(key));
    drop((*file)->getU64(key));
    drop((*file)->getF32(key));
    drop((*file)->getBool(key));
    drop((*file)->getString(key));
    drop((*file)->getStrings(key));
    drop((*file)->getInts(key));
    drop((*file)->getFloats(key));
  }
  // Touch every byte that a view promises.
  volatile uint8_t sink = 0;
  volatile float rowSink = 0;
  for (const cria::GgufTensor &tensor : (*file)->tensors()) {
    drop((*file)->data(tensor));
    for (uint8_t byte : tensor.bytes)
      sink = byte;
    if ((*file)->findTensor(tensor.name) != &tensor)
      std::abort();
    rowSink = readRows(cria::viewOf(tensor));
  }
  (void)sink;
  (void)rowSink;
  return 0;
}

/// Two rows of two blocks of every type that is read.
static std::string everyType() {
  cria::test::GgufBuilder builder(3);
  const struct {
    uint32_t type, elements, bytes;
  } blocks[] = {{0, 1, 4},      {1, 1, 2},      {30, 1, 2},     {2, 32, 18},
                {3, 32, 20},    {6, 32, 22},    {7, 32, 24},    {8, 32, 34},
                {10, 256, 84},  {11, 256, 110}, {12, 256, 144}, {13, 256, 176},
                {14, 256, 210}, {20, 32, 18}};
  for (const auto &block : blocks) {
    std::string data;
    for (uint32_t i = 0; i < 4 * block.bytes; ++i)
      data += static_cast<char>(i * 37 + block.type);
    builder.tensor("t" + std::to_string(block.type), {2 * block.elements, 2},
                   block.type, data);
  }
  return builder.finish();
}

std::vector<std::string> criaFuzzSeeds() {
  return {cria::test::smallGguf(3), cria::test::smallGguf(2),
          cria::test::GgufBuilder(3).finish(), everyType()};
}
