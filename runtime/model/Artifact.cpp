// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/Artifact.h"

#include "cuda/GpuSession.h"
#include "model/Cpu.h"
#include "model/ElfCheck.h"
#include "model/Report.h"
#include "session/Profile.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

using namespace cria::runtime;

namespace {

/// A string of the JSON that the compiler put into the model, or "".
std::string modelMetadata(const cria_model &Model, const char *Key) {
  if (!Model.metadata)
    return {};
  auto Parsed = nlohmann::json::parse(Model.metadata, nullptr, false);
  if (!Parsed.is_object())
    return {};
  auto Found = Parsed.find(Key);
  return Found != Parsed.end() && Found->is_string() ? Found->get<std::string>()
                                                     : std::string();
}

/// Code and weights carry the hash of what both were compiled from.
cria_status checkPairing(const cria_model &Model, const cria_weights &Weights,
                         const char *Origin, cria_error *Error) {
  if (const char *Abi = cria_weights_metadata(&Weights, "cria.abi"))
    if (std::strtoull(Abi, nullptr, 10) != CRIA_ABI_VERSION)
      return report(Error, CRIA_ABI_MISMATCH,
                    "%s: cria.abi is %s; this runtime works with %d; compile "
                    "the model again",
                    Weights.Path.c_str(), Abi, CRIA_ABI_VERSION);
  const char *Hash = cria_weights_metadata(&Weights, "cria.source_hash");
  std::string Expected = modelMetadata(Model, "source_hash");
  if (Hash && !Expected.empty() && Expected != Hash)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: cria.source_hash is %s but %s was compiled from %s; "
                  "code and weights must be from one compilation",
                  Weights.Path.c_str(), Hash, Origin, Expected.c_str());
  return CRIA_OK;
}

cria_status loadCode(const char *Path, const char *Symbol,
                     cria_artifact &Artifact, cria_error *Error) {
  if (cria_status Status = checkSharedObject(Path, Error))
    return Status;
  // Without a slash the dynamic linker would search its own folders.
  std::string Name = std::strchr(Path, '/') ? Path : std::string("./") + Path;
  Artifact.Library = dlopen(Name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!Artifact.Library) {
    const char *Cause = dlerror();
    return report(Error, CRIA_INVALID_DATA, "%s: cannot load the code: %s",
                  Path, Cause ? Cause : "unknown cause");
  }
  void *Address = dlsym(Artifact.Library, Symbol);
  if (!Address)
    return report(Error, CRIA_NOT_FOUND,
                  "%s: has no function \"%s\", which the weights' metadata "
                  "names as cria.symbol",
                  Path, Symbol);
  cria_model_fn Get;
  std::memcpy(&Get, &Address, sizeof(Get));
  Artifact.Model = Get();
  return CRIA_OK;
}

cria_status checkProfileOps(const cria_model &Model, const char *Origin,
                            cria_error *Error) noexcept {
  constexpr int64_t Most = 1 << 16;
  int64_t Count = profileOps(Model);
  if (Count < 0 || Count > Most)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: n_profile_ops is %" PRId64
                  "; it must be between 0 and %" PRId64,
                  Origin, Count, Most);
  if (Count && (!Model.profile_ops || !Model.forward_profiled))
    return report(Error, CRIA_INVALID_DATA,
                  "%s: the model's profile is incomplete", Origin);
  for (int64_t I = 0; Count && I < Model.n_clones; ++I)
    if (!Model.forward_profiled[I])
      return report(Error, CRIA_INVALID_DATA,
                    "%s: forward_profiled[%" PRId64 "] is null", Origin, I);
  for (int64_t I = 0; I < Count; ++I) {
    const cria_profile_op &Op = Model.profile_ops[I];
    if (!Op.name || !Op.kind || !Op.version ||
        std::min({Op.weight_bytes, Op.cache_bytes, Op.row_bytes, Op.row_flops,
                  Op.position_flops, Op.window}) < 0)
      return report(Error, CRIA_INVALID_DATA,
                    "%s: profile op %" PRId64
                    " has no name, kind or version, or a negative number",
                    Origin, I);
  }
  return CRIA_OK;
}

cria_status checkGpuClones(const cria_model &Model, const char *Origin,
                           cria_error *Error) noexcept {
  constexpr int64_t Most = 256, MostThreads = 1024, MostShared = 1 << 20;
  int64_t Count = cuda::gpuClones(Model);
  if (Count < 0 || Count > Most)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: n_gpu_clones is %" PRId64
                  "; it must be between 0 and %" PRId64,
                  Origin, Count, Most);
  if (Count && !Model.gpu_clones)
    return report(Error, CRIA_INVALID_DATA, "%s: gpu_clones is null", Origin);
  for (int64_t I = 0; I < Count; ++I) {
    const cria_gpu_clone &Each = Model.gpu_clones[I];
    bool Groups = Each.group_threads > 0 && Each.block_threads > 0 &&
                  Each.block_threads <= MostThreads &&
                  Each.block_threads % Each.group_threads == 0;
    if (!Each.target || !Each.decode_kernel || !Each.prefill_kernel ||
        !Each.code || Each.code_bytes < 1 || Each.code[Each.code_bytes - 1] ||
        !Groups)
      return report(Error, CRIA_INVALID_DATA,
                    "%s: gpu_clones[%" PRId64
                    "] lacks a name or its code, or its blocks are not "
                    "of whole groups and at most %" PRId64 " threads",
                    Origin, I, MostThreads);
    int64_t Shared = cuda::gpuSharedBytes(Model, I);
    if (Shared < 0 || Shared > MostShared)
      return report(Error, CRIA_INVALID_DATA,
                    "%s: gpu_shared_bytes[%" PRId64 "] is %" PRId64
                    "; it must be between 0 and %" PRId64,
                    Origin, I, Shared, MostShared);
  }
  return CRIA_OK;
}

cria_status finish(std::unique_ptr<cria_artifact> Opened, const char *Origin,
                   cria_artifact **Result, cria_error *Error) {
  if (cria_status Status = checkModel(Opened->Model, Origin, Error))
    return Status;
  if (cria_status Status =
          chooseClone(*Opened->Model, nullptr, Opened->Clone, Error))
    return Status;
  if (cria_status Status =
          checkPairing(*Opened->Model, *Opened->Weights, Origin, Error))
    return Status;
  if (cria_status Status = bindWeights(*Opened->Weights, *Opened->Model, Error))
    return Status;
  *Result = Opened.release();
  return succeed(Error);
}

} // namespace

cria_artifact::~cria_artifact() {
  if (Library)
    dlclose(Library);
}

cria_status cria::runtime::checkModel(const cria_model *Model,
                                      const char *Origin,
                                      cria_error *Error) noexcept {
  if (!Model)
    return report(Error, CRIA_INVALID_ARGUMENT, "%s: the model is null",
                  Origin);
  if (Model->abi_version != CRIA_ABI_VERSION)
    return report(Error, CRIA_ABI_MISMATCH,
                  "%s: has ABI version %" PRIu32
                  "; this runtime works with version %d; compile the model "
                  "again with the cria of this runtime",
                  Origin, Model->abi_version, CRIA_ABI_VERSION);
  if (Model->struct_bytes < CRIA_MODEL_LEAST_BYTES)
    return report(Error, CRIA_ABI_MISMATCH,
                  "%s: its description has %" PRIu32
                  " bytes; this runtime works with %zu",
                  Origin, Model->struct_bytes, size_t{CRIA_MODEL_LEAST_BYTES});
  struct {
    const char *Name;
    int64_t Value, Least;
  } const Counts[] = {
      {"vocab", Model->vocab, 1},
      {"layers", Model->layers, 1},
      {"kv_heads", Model->kv_heads, 1},
      {"head_dim", Model->head_dim, 1},
      {"context", Model->context, 1},
      {"max_batch", Model->max_batch, 1},
      {"kv_element_bytes", Model->kv_element_bytes, 1},
      {"kv_bytes_per_token", Model->kv_bytes_per_token, 1},
      {"n_weights", Model->n_weights, 0},
      {"n_clones", Model->n_clones, 1},
  };
  for (const auto &Count : Counts)
    if (Count.Value < Count.Least || Count.Value > INT32_MAX)
      return report(Error, CRIA_INVALID_DATA,
                    "%s: %s is %" PRId64 "; it must be between %" PRId64
                    " and %d",
                    Origin, Count.Name, Count.Value, Count.Least, INT32_MAX);
  bool Complete =
      Model->name && Model->clones && (Model->weights || !Model->n_weights);
  for (int64_t I = 0; Complete && I < Model->n_clones; ++I)
    Complete = Model->clones[I].target && Model->clones[I].forward;
  if (!Complete)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: the model's description is incomplete", Origin);
  if (cria_status Status = checkGpuClones(*Model, Origin, Error))
    return Status;
  return checkProfileOps(*Model, Origin, Error);
}

cria_status cria_artifact_open(const char *dir, cria_artifact **artifact,
                               cria_error *error) {
  if (artifact)
    *artifact = nullptr;
  if (!dir || !artifact)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_artifact_open: dir and artifact must not be null");
  try {
    std::string Folder = dir;
    return cria_artifact_open_files((Folder + "/model.so").c_str(),
                                    (Folder + "/model.safetensors").c_str(),
                                    nullptr, artifact, error);
  } catch (const std::exception &) {
    return report(error, CRIA_OUT_OF_MEMORY, "%s: no memory for its path", dir);
  }
}

cria_status cria_artifact_open_files(const char *code_path,
                                     const char *weights_path,
                                     const char *symbol,
                                     cria_artifact **artifact,
                                     cria_error *error) {
  if (artifact)
    *artifact = nullptr;
  if (!code_path || !weights_path || !artifact)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_artifact_open_files: code_path, weights_path and "
                  "artifact must not be null");
  try {
    auto Opened = std::make_unique<cria_artifact>();
    if (cria_status Status = openWeights(weights_path, Opened->Weights, error))
      return Status;
    if (!symbol)
      symbol = cria_weights_metadata(Opened->Weights.get(), "cria.symbol");
    if (cria_status Status =
            loadCode(code_path, symbol ? symbol : "model_get", *Opened, error))
      return Status;
    return finish(std::move(Opened), code_path, artifact, error);
  } catch (const std::exception &) {
    return report(error, CRIA_OUT_OF_MEMORY, "%s: no memory to open it",
                  code_path);
  }
}

cria_status cria_artifact_from(const cria_model *model,
                               const char *weights_path,
                               cria_artifact **artifact, cria_error *error) {
  if (artifact)
    *artifact = nullptr;
  if (!model || !weights_path || !artifact)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_artifact_from: model, weights_path and artifact must "
                  "not be null");
  try {
    // The version first: before it is checked, no other field has a meaning.
    if (cria_status Status = checkModel(model, "linked model", error))
      return Status;
    auto Opened = std::make_unique<cria_artifact>();
    if (cria_status Status = openWeights(weights_path, Opened->Weights, error))
      return Status;
    Opened->Model = model;
    return finish(std::move(Opened), "linked model", artifact, error);
  } catch (const std::exception &) {
    return report(error, CRIA_OUT_OF_MEMORY, "%s: no memory to open it",
                  weights_path);
  }
}

void cria_artifact_free(cria_artifact *artifact) { delete artifact; }

const cria_model *cria_artifact_model(const cria_artifact *artifact) {
  return artifact ? artifact->Model : nullptr;
}

const cria_weights *cria_artifact_weights(const cria_artifact *artifact) {
  return artifact ? artifact->Weights.get() : nullptr;
}

const cria_clone *cria_artifact_clone(const cria_artifact *artifact) {
  return artifact ? artifact->Clone : nullptr;
}

const char *cria_version(void) { return CRIA_VERSION_STRING; }
