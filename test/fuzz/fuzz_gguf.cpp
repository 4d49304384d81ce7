// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/GgufReader.h"
#include "driver.h"

#include "../import/gguf_builder.h"
#include <cstdlib>

using namespace llvm;

template <typename T> static void drop(Expected<T> value) {
  if (!value)
    consumeError(value.takeError());
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
  for (const cria::GgufTensor &tensor : (*file)->tensors()) {
    drop((*file)->data(tensor));
    for (uint8_t byte : tensor.bytes)
      sink = byte;
    if ((*file)->findTensor(tensor.name) != &tensor)
      std::abort();
  }
  (void)sink;
  return 0;
}

std::vector<std::string> criaFuzzSeeds() {
  return {cria::test::smallGguf(3), cria::test::smallGguf(2),
          cria::test::GgufBuilder(3).finish()};
}
