// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/PackedWeights.h"

#include "compiler/import/PackWeights.h"
#include "dialect/CriaOps.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace cria;

llvm::Expected<const SafetensorsFile *>
PackedWeights::of(mlir::ModuleOp module) {
  std::string key;
  llvm::raw_string_ostream stream(key);
  for (auto param : module.getOps<ParamOp>())
    stream << param << "\n";
  std::unique_ptr<SafetensorsFile> &file = files[key];
  if (file)
    return file.get();
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(path, (source ? "weights-" : "random-") +
                                    std::to_string(files.size()) +
                                    ".safetensors");
  if (llvm::Error error = packWeights(module, source, seed, path,
                                      [](uint64_t, uint64_t) {}, {}))
    return error;
  llvm::Expected<std::unique_ptr<SafetensorsFile>> opened =
      SafetensorsFile::open(path);
  if (!opened)
    return opened.takeError();
  file = std::move(*opened);
  return file.get();
}
