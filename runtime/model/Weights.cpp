// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/Weights.h"

#include "model/Report.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>

using namespace cria::runtime;

namespace {

constexpr uint64_t TensorAlignment = 64;

cria_status mapFile(const char *Path, cria_weights &Weights,
                    cria_error *Error) {
  int File = open(Path, O_RDONLY | O_CLOEXEC);
  if (File < 0)
    return report(Error, errno == ENOENT ? CRIA_NOT_FOUND : CRIA_IO,
                  "%s: cannot open the weights: %s", Path,
                  std::strerror(errno));
  struct stat Info;
  if (fstat(File, &Info) != 0 || !S_ISREG(Info.st_mode)) {
    close(File);
    return report(Error, CRIA_IO, "%s: not a regular file", Path);
  }
  Weights.MapBytes = static_cast<uint64_t>(Info.st_size);
  if (Weights.MapBytes == 0) {
    close(File);
    return report(Error, CRIA_INVALID_DATA, "%s: the file is empty", Path);
  }
  void *Map = mmap(nullptr, Weights.MapBytes, PROT_READ, MAP_PRIVATE, File, 0);
  int Cause = errno;
  close(File);
  if (Map == MAP_FAILED)
    return report(Error, CRIA_IO, "%s: cannot map %" PRIu64 " bytes: %s", Path,
                  Weights.MapBytes, std::strerror(Cause));
  Weights.Map = static_cast<const uint8_t *>(Map);
  // Read from disk in pages of 2 MB where the file system has them: fewer
  // faults at the start, and memory in one piece. MADV_WILLNEED would begin
  // with pages of 4 KB.
  madvise(Map, Weights.MapBytes, MADV_HUGEPAGE);
  return CRIA_OK;
}

} // namespace

cria_weights::~cria_weights() {
  if (Map)
    munmap(const_cast<uint8_t *>(Map), MapBytes);
}

cria_status cria::runtime::openWeights(const char *Path,
                                       std::unique_ptr<cria_weights> &Result,
                                       cria_error *Error) noexcept {
  try {
    auto Weights = std::make_unique<cria_weights>();
    Weights->Path = Path;
    if (cria_status Status = mapFile(Path, *Weights, Error))
      return Status;
    if (cria_status Status = parseSafetensorsHeader(
            Weights->Map, Weights->MapBytes, Path, Weights->Header, Error))
      return Status;
    Result = std::move(Weights);
    return CRIA_OK;
  } catch (const std::bad_alloc &) {
    return report(Error, CRIA_OUT_OF_MEMORY, "%s: no memory to read the header",
                  Path);
  }
}

cria_status cria::runtime::bindWeights(cria_weights &Weights,
                                       const cria_model &Model,
                                       cria_error *Error) noexcept {
  const char *Path = Weights.Path.c_str();
  try {
    std::unordered_map<std::string_view, const TensorEntry *> ByName;
    for (const TensorEntry &Entry : Weights.Header.Tensors)
      if (!ByName.emplace(Entry.Name, &Entry).second)
        return report(Error, CRIA_INVALID_DATA,
                      "%s: tensor \"%s\" appears twice", Path,
                      Entry.Name.c_str());
    std::vector<const void *> Pointers;
    for (int64_t I = 0; I < Model.n_weights; ++I) {
      const cria_weight_info &Wanted = Model.weights[I];
      auto Found = ByName.find(Wanted.name);
      if (Found == ByName.end())
        return report(Error, CRIA_INVALID_DATA,
                      "%s: tensor \"%s\" is missing; the model needs it with "
                      "%" PRIu64 " bytes",
                      Path, Wanted.name, Wanted.bytes);
      const TensorEntry &Entry = *Found->second;
      if (Entry.Bytes != Wanted.bytes)
        return report(Error, CRIA_INVALID_DATA,
                      "%s: tensor \"%s\" has %" PRIu64
                      " bytes; the model needs %" PRIu64
                      " (are code and weights from one compilation?)",
                      Path, Wanted.name, Entry.Bytes, Wanted.bytes);
      if (Entry.Begin % TensorAlignment != 0)
        return report(Error, CRIA_INVALID_DATA,
                      "%s: tensor \"%s\" begins at byte %" PRIu64
                      " of the file, which is not a multiple of %" PRIu64,
                      Path, Wanted.name, Entry.Begin, TensorAlignment);
      Pointers.push_back(Weights.Map + Entry.Begin);
    }
    Weights.Pointers = std::move(Pointers);
    Weights.Bound = true;
    return CRIA_OK;
  } catch (const std::bad_alloc &) {
    return report(Error, CRIA_OUT_OF_MEMORY,
                  "%s: no memory to list the tensors", Path);
  }
}

cria_status cria_weights_open(const char *path, const cria_model *model,
                              cria_weights **weights, cria_error *error) {
  if (weights)
    *weights = nullptr;
  if (!path || !weights)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_weights_open: path and weights must not be null");
  std::unique_ptr<cria_weights> Opened;
  if (cria_status Status = openWeights(path, Opened, error))
    return Status;
  if (model)
    if (cria_status Status = bindWeights(*Opened, *model, error))
      return Status;
  *weights = Opened.release();
  return succeed(error);
}

void cria_weights_free(cria_weights *weights) { delete weights; }

const void *const *cria_weights_pointers(const cria_weights *weights) {
  return weights && weights->Bound ? weights->Pointers.data() : nullptr;
}

int64_t cria_weights_count(const cria_weights *weights) {
  return weights ? static_cast<int64_t>(weights->Header.Tensors.size()) : 0;
}

cria_status cria_weights_tensor(const cria_weights *weights, int64_t index,
                                cria_tensor *tensor) {
  if (!tensor || index < 0 || index >= cria_weights_count(weights))
    return CRIA_INVALID_ARGUMENT;
  const TensorEntry &Entry = weights->Header.Tensors[index];
  tensor->name = Entry.Name.c_str();
  tensor->dtype = Entry.Dtype.c_str();
  tensor->shape = Entry.Shape.data();
  tensor->rank = static_cast<int64_t>(Entry.Shape.size());
  tensor->bytes = Entry.Bytes;
  tensor->data = weights->Map + Entry.Begin;
  return CRIA_OK;
}

const char *cria_weights_metadata(const cria_weights *weights,
                                  const char *key) {
  if (!weights || !key)
    return nullptr;
  for (const auto &[Key, Value] : weights->Header.Metadata)
    if (Key == key)
      return Value.c_str();
  return nullptr;
}
