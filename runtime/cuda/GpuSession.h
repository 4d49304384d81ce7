// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a session has on a GPU: a stream, the model's code and weights, the KV
// cache and the arena. Nothing is shared with other sessions but the device's
// primary context.
#ifndef CRIA_CUDA_GPUSESSION_H
#define CRIA_CUDA_GPUSESSION_H

#include "cria/abi.h"
#include "cuda/Driver.h"

#include <memory>
#include <string>
#include <vector>

namespace cria::runtime::cuda {

/// How many of the model's clones for GPUs there are: none in a model that an
/// earlier compiler made.
inline int64_t gpuClones(const cria_model &Model) {
  return Model.struct_bytes >= CRIA_MODEL_GPU_BYTES ? Model.n_gpu_clones : 0;
}

/// Bytes of dynamic shared memory that a block of a clone is launched with.
inline int64_t gpuSharedBytes(const cria_model &Model, int64_t Clone) {
  bool Says = Model.struct_bytes >= CRIA_MODEL_GPU_SHARED_BYTES &&
              Model.gpu_shared_bytes;
  return Says ? Model.gpu_shared_bytes[Clone] : 0;
}

/// Capacities of a session.
struct GpuSizes {
  uint64_t KvBytes = 0;   ///< of the keys; as many of the values
  uint64_t PageBytes = 0; ///< of one layer's keys in a page
  int64_t MaxBatch = 0, MaxOutputs = 0, Sequences = 0, TableStride = 0;
};

class GpuSession {
public:
  /// `Name` is "cuda" or "cuda:N". Copies the weights. The error says what is
  /// missing: a driver, a GPU, code that this GPU runs, memory.
  static cria_status open(const char *Name, const cria_model &Model,
                          const void *const *Weights, const GpuSizes &Sizes,
                          std::unique_ptr<GpuSession> &Made, cria_error *Error);
  ~GpuSession();
  GpuSession(const GpuSession &) = delete;
  GpuSession &operator=(const GpuSession &) = delete;

  /// Runs the model on `Args`, whose lists are in the host's memory and whose
  /// other addresses are not read, and copies the logits to `Logits`. Returns
  /// when that is done. After an error every other call fails as well: what the
  /// cache holds is lost.
  cria_status run(const cria_forward_args &Args, float *Logits,
                  cria_error *Error);
  /// Of all layers.
  cria_status copyPage(int64_t From, int64_t To, cria_error *Error);

  const cria_gpu_clone &clone() const { return *Clone; }
  /// "cuda:0 (NVIDIA H100)"
  const std::string &name() const { return Title; }
  /// Of the GPU's memory, without the weights.
  uint64_t bytes() const { return OwnBytes; }

private:
  GpuSession(const cria_model &Model, const GpuSizes &Sizes)
      : Model(Model), Sizes(Sizes) {}

  class Current;
  struct Launch {
    const char *Name = nullptr;
    Function Kernel = nullptr;
    int Blocks = 0;
  };
  cria_status chooseDevice(const char *Name, cria_error *Error);
  cria_status chooseClone(cria_error *Error);
  cria_status loadCode(cria_error *Error);
  cria_status findKernel(Launch &Found, cria_error *Error);
  cria_status allocate(const void *const *Weights, cria_error *Error);
  cria_status makeStaging(cria_error *Error);
  cria_status launch(const cria_forward_args &Args, float *Logits,
                     cria_error *Error);
  cria_status makeBuffer(uint64_t Bytes, const char *What, Address &Made,
                         cria_error *Error);

  const cria_model &Model;
  GpuSizes Sizes;
  Driver Api;
  std::string Title;
  Device Ordinal = 0;
  Context Primary = nullptr;
  Stream Queue = nullptr;
  Module Code = nullptr;
  Launch Decode, Prefill;
  const cria_gpu_clone *Clone = nullptr;
  int Compute = 0, Multiprocessors = 0, SharedBytes = 0;
  uint64_t OwnBytes = 0;
  std::vector<Address> Buffers; // to be freed
  Address Keys = 0, Values = 0, Arena = 0, Logits = 0;
  /// The kernel's parameter: cria_forward_args, then the weights' addresses.
  std::vector<char> Parameter;
  /// One copy a run takes all that is new: the barrier's counter and the lists.
  /// In pinned memory, and its place on the GPU.
  char *Staging = nullptr;
  Address StagingThere = 0;
  cria_status Broken = CRIA_OK;
};

} // namespace cria::runtime::cuda

#endif // CRIA_CUDA_GPUSESSION_H
