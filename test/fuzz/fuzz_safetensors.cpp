// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/SafetensorsReader.h"
#include "driver.h"

#include <cstdlib>

using namespace llvm;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  StringRef text(reinterpret_cast<const char *>(data), size);
  auto file =
      cria::SafetensorsFile::parse(MemoryBufferRef(text, "fuzz.safetensors"));
  if (!file) {
    consumeError(file.takeError());
    return 0;
  }
  volatile uint8_t sink = 0;
  for (const cria::SafetensorsTensor &tensor : (*file)->tensors()) {
    for (uint8_t byte : tensor.bytes)
      sink = byte;
    if ((*file)->find(tensor.name) != &tensor)
      std::abort();
  }
  (void)sink;
  return 0;
}

static std::string container(const std::string &header, size_t dataBytes) {
  std::string out;
  for (int i = 0; i < 8; ++i)
    out += static_cast<char>(header.size() >> (8 * i));
  return out + header + std::string(dataBytes, 'd');
}

std::vector<std::string> criaFuzzSeeds() {
  return {
      container(R"({"__metadata__":{"format":"pt"},)"
                R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},)"
                R"("c":{"dtype":"U8","shape":[],"data_offsets":[32,33]}} )",
                33),
      container("{}", 0),
      container(R"({"e":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]},)"
                R"("z":{"dtype":"I64","shape":[0,7],"data_offsets":[3,3]}})",
                3),
  };
}
