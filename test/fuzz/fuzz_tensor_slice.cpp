// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Expressions of slices and of made tensors, over a small file.
#include "compiler/import/TensorSource.h"
#include "driver.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <memory>

using namespace llvm;

namespace {

/// A safetensors file with matrices "w" (6x4) and "h" (4x6, F16), and vectors
/// "b" (6), "v0", "v1" (2), "n.running_mean", "n.running_var" and "n.weight"
/// (4); removed at exit.
class File {
public:
  File() {
    std::string data, header = "{";
    auto add = [&](const char *name, const char *dtype, const char *shape,
                   size_t bytes) {
      header += (header.size() > 1 ? ",\"" : "\"") + std::string(name) +
                R"(":{"dtype":")" + dtype + R"(","shape":)" + shape +
                R"(,"data_offsets":[)" + std::to_string(data.size()) + "," +
                std::to_string(data.size() + bytes) + "]}";
      // Positive numbers of either type.
      for (size_t i = 0; i < bytes; ++i)
        data += i % 4 == 3 ? '\x3f' : '\x10';
    };
    add("w", "F32", "[6,4]", 96);
    add("h", "F16", "[4,6]", 48);
    add("b", "F32", "[6]", 24);
    add("v0", "F32", "[2]", 8);
    add("v1", "F32", "[2]", 8);
    for (const char *name : {"n.running_mean", "n.running_var", "n.weight"})
      add(name, "F32", "[4]", 16);
    header += "}";
    std::string size(8, '\0');
    for (int i = 0; i < 8; ++i)
      size[static_cast<size_t>(i)] =
          static_cast<char>(header.size() >> (8 * i) & 0xff);
    int descriptor = 0;
    if (sys::fs::createTemporaryFile("cria-fuzz", "safetensors", descriptor,
                                     path))
      std::abort();
    raw_fd_ostream(descriptor, /*shouldClose=*/true) << size << header << data;
  }
  ~File() { sys::fs::remove(path); }

  SmallString<128> path;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const File file;
  auto source = cria::TensorSource::open(file.path);
  if (!source)
    std::abort();
  StringRef name(reinterpret_cast<const char *>(data), size);
  auto found = (*source)->get(name);
  if (!found) {
    consumeError(found.takeError());
    return 0;
  }
  const cria::TensorView &view = **found;
  // Nothing makes more of the file than there is, but joins of its vectors.
  if (view.numElements() > 24 || (*source)->tensorsOf(name).empty())
    std::abort();
  std::vector<float> row(static_cast<size_t>(view.rowElements()));
  for (int64_t i = 0; i < view.numRows(); ++i)
    if (Error error = cria::dequantizeRow(view, i, row)) {
      consumeError(std::move(error));
      std::abort();
    }
  (*source)->release(view);
  return 0;
}

std::vector<std::string> criaFuzzSeeds() {
  return {"w",
          "w | rows 1 2",
          "w | rows 0 1 2 3 | mean 1 3",
          "h | transpose | rows 2 2",
          "b | rows 1 1 2 2",
          "v[] | join 2",
          "v[] | join 2 | rows 1 2",
          "w | flat | rows 4 8",
          "w | batch_norm_before n 1e-5",
          "w | batch_norm_before_bias n 1e-5 b",
          "h | batch_norm_behind n 0.1",
          "h | batch_norm_behind_bias n 0.1 | mean 1 2"};
}
