// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "cuda/GpuSession.h"

#include "model/Report.h"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstring>

using namespace cria::runtime;
using namespace cria::runtime::cuda;

namespace {

// What cria_forward_args points to begins at multiples of it.
constexpr uint64_t Alignment = 256;

uint64_t aligned(uint64_t Bytes) {
  return (Bytes + Alignment - 1) / Alignment * Alignment;
}

/// Where things are in the staging memory.
struct Layout {
  uint64_t Count, Tokens, Positions, Sequences, Slots, Outputs, Tables, Bytes;

  explicit Layout(const GpuSizes &Sizes) {
    uint64_t List =
        aligned(static_cast<uint64_t>(Sizes.MaxBatch) * sizeof(int32_t));
    Count = 0;
    Tokens = Alignment;
    Positions = Tokens + List;
    Sequences = Positions + List;
    Slots = Sequences + List;
    Outputs = Slots + List;
    Tables = Outputs + List;
    Bytes = Tables + aligned(static_cast<uint64_t>(Sizes.Sequences) *
                             Sizes.TableStride * sizeof(int32_t));
  }
};

} // namespace

/// Makes the session's context that of the calling thread, for a while.
class GpuSession::Current {
public:
  explicit Current(GpuSession &Of) : Api(Of.Api) {
    Code = Api.CtxPushCurrent(Of.Primary);
  }
  ~Current() {
    Context Popped;
    if (Code == Success)
      Api.CtxPopCurrent(&Popped);
  }
  Result Code;

private:
  Driver &Api;
};

GpuSession::~GpuSession() {
  if (!Primary)
    return;
  {
    Current Here(*this);
    if (Queue)
      Api.StreamSynchronize(Queue);
    for (Address Buffer : Buffers)
      Api.MemFree(Buffer);
    if (Staging)
      Api.MemFreeHost(Staging);
    if (Code)
      Api.ModuleUnload(Code);
    if (Queue)
      Api.StreamDestroy(Queue);
  }
  Api.PrimaryCtxRelease(Ordinal);
}

cria_status GpuSession::chooseDevice(const char *Name, cria_error *Error) {
  int Number = 0, Count = 0;
  const char *End = Name + std::strlen(Name);
  bool Valid = std::strncmp(Name, "cuda", 4) == 0;
  if (Valid && Name[4]) {
    auto [Stop, Fault] = std::from_chars(Name + 5, End, Number);
    Valid =
        Name[4] == ':' && Fault == std::errc() && Stop == End && Number >= 0;
  }
  if (!Valid)
    return report(Error, CRIA_INVALID_ARGUMENT,
                  "session option device is \"%s\"; accepted are cpu, cuda, "
                  "cuda:N and auto",
                  Name);
  if (cria_status Status = Api.open(Error))
    return Status;
  if (cria_status Status =
          Api.check(Api.DeviceGetCount(&Count), Error, "count the GPUs"))
    return Status;
  if (Number >= Count)
    return report(Error, CRIA_NOT_FOUND,
                  "session option device is \"%s\"; the driver finds %d GPU%s",
                  Name, Count, Count == 1 ? "" : "s");
  int Major = 0, Minor = 0, Cooperative = 0;
  char Text[256] = "";
  if (cria_status Status = Api.check(Api.DeviceGet(&Ordinal, Number), Error,
                                     "find GPU %d", Number))
    return Status;
  Result Asked = Api.DeviceGetName(Text, sizeof(Text), Ordinal);
  for (auto [Which, Place] : {std::pair(ComputeCapabilityMajor, &Major),
                              std::pair(ComputeCapabilityMinor, &Minor),
                              std::pair(CooperativeLaunch, &Cooperative),
                              std::pair(MultiprocessorCount, &Multiprocessors)})
    if (Asked == Success)
      Asked = Api.DeviceGetAttribute(Place, Which, Ordinal);
  if (cria_status Status =
          Api.check(Asked, Error, "tell what GPU %d can do", Number))
    return Status;
  Compute = 10 * Major + Minor;
  Title = "cuda:" + std::to_string(Number) + " (" + Text + ")";
  if (!Cooperative)
    return report(Error, CRIA_UNSUPPORTED,
                  "device %s: cannot launch a kernel whose blocks all run at "
                  "once",
                  Title.c_str());
  return CRIA_OK;
}

/// The last that the GPU runs, by compute capability.
cria_status GpuSession::chooseClone(cria_error *Error) {
  std::string Names;
  for (int64_t I = 0; I < gpuClones(Model); ++I) {
    const cria_gpu_clone &Each = Model.gpu_clones[I];
    Names += (I ? ", " : "") + std::string(Each.target);
    bool Runs = Each.exact ? Each.compute == Compute : Each.compute <= Compute;
    if (Runs && (!Clone || Each.compute > Clone->compute ||
                 (Each.compute == Clone->compute && Each.exact))) {
      Clone = &Each;
      SharedBytes = static_cast<int>(gpuSharedBytes(Model, I));
    }
  }
  if (Clone)
    return CRIA_OK;
  return report(Error, CRIA_UNSUPPORTED,
                "device %s has compute capability %d.%d; the model %s has code "
                "for %s; compile it with a --target of at most sm_%d",
                Title.c_str(), Compute / 10, Compute % 10, Model.name,
                Names.empty() ? "no GPU" : Names.c_str(), Compute);
}

cria_status GpuSession::loadCode(cria_error *Error) {
  char Log[512] = "";
  int Options[] = {ErrorLogBuffer, ErrorLogBufferBytes};
  void *Values[] = {Log, reinterpret_cast<void *>(sizeof(Log))};
  Result Loaded = Api.ModuleLoadDataEx(&Code, Clone->code, 2, Options, Values);
  if (Loaded != Success) {
    Code = nullptr;
    Log[sizeof(Log) - 1] = 0;
    int Version = 0;
    Api.DriverGetVersion(&Version);
    return Api.check(Loaded, Error,
                     "make machine code of the model's for %s (the driver is "
                     "that of CUDA %d.%d; a newer one may be needed)%s%.80s",
                     Clone->target, Version / 1000, Version % 1000 / 10,
                     *Log ? ": " : "", Log);
  }
  Decode.Name = Clone->decode_kernel;
  Prefill.Name = Clone->prefill_kernel;
  if (cria_status Status = findKernel(Decode, Error))
    return Status;
  return findKernel(Prefill, Error);
}

cria_status GpuSession::findKernel(Launch &Found, cria_error *Error) {
  if (cria_status Status =
          Api.check(Api.ModuleGetFunction(&Found.Kernel, Code, Found.Name),
                    Error, "find the kernel %s", Found.Name))
    return Status;
  Result Allowed =
      SharedBytes ? Api.FuncSetAttribute(Found.Kernel, MaxDynamicSharedBytes,
                                         SharedBytes)
                  : Success;
  if (cria_status Status =
          Api.check(Allowed, Error,
                    "give a block of the kernel %s %d bytes of shared "
                    "memory",
                    Found.Name, SharedBytes))
    return Status;
  int Active = 0;
  if (cria_status Status = Api.check(
          Api.OccupancyMaxActiveBlocks(&Active, Found.Kernel,
                                       static_cast<int>(Clone->block_threads),
                                       static_cast<size_t>(SharedBytes)),
          Error, "tell how many blocks fit"))
    return Status;
  if (Active < 1)
    return report(Error, CRIA_UNSUPPORTED,
                  "device %s: a block of %" PRId64
                  " threads of the kernel %s does not fit into a "
                  "multiprocessor",
                  Title.c_str(), Clone->block_threads, Found.Name);
  Found.Blocks = Multiprocessors * Active;
  return CRIA_OK;
}

cria_status GpuSession::makeBuffer(uint64_t Bytes, const char *What,
                                   Address &Made, cria_error *Error) {
  Bytes = std::max(Bytes, Alignment);
  Result Code = Api.MemAlloc(&Made, Bytes);
  if (Code == OutOfMemory) {
    size_t Free = 0, Total = 0;
    Api.MemGetInfo(&Free, &Total);
    return report(Error, CRIA_OUT_OF_MEMORY,
                  "device %s: no memory for %" PRIu64
                  " bytes of %s: %zu of %zu are free",
                  Title.c_str(), Bytes, What, Free, Total);
  }
  if (cria_status Status = Api.check(Code, Error, "allocate %s", What))
    return Status;
  Buffers.push_back(Made);
  OwnBytes += Bytes;
  return CRIA_OK;
}

cria_status GpuSession::makeStaging(cria_error *Error) {
  Layout Places(Sizes);
  void *Pinned = nullptr;
  if (cria_status Status =
          Api.check(Api.MemAllocHost(&Pinned, Places.Bytes), Error,
                    "pin %" PRIu64 " bytes of the host's memory", Places.Bytes))
    return Status;
  Staging = static_cast<char *>(Pinned);
  std::memset(Staging, 0, Places.Bytes);
  return makeBuffer(Places.Bytes, "arguments", StagingThere, Error);
}

cria_status GpuSession::allocate(const void *const *Weights,
                                 cria_error *Error) {
  std::vector<uint64_t> Places;
  uint64_t WeightBytes = 0;
  for (int64_t I = 0; I < Model.n_weights; ++I) {
    Places.push_back(WeightBytes);
    WeightBytes += aligned(Model.weights[I].bytes);
  }
  uint64_t Groups =
      static_cast<uint64_t>(std::max(Decode.Blocks, Prefill.Blocks)) *
      (Clone->block_threads / Clone->group_threads);
  uint64_t ArenaBytes, LogitBytes;
  if (__builtin_mul_overflow(Groups, Clone->thread_arena_bytes, &ArenaBytes) ||
      __builtin_add_overflow(ArenaBytes, Clone->arena_bytes, &ArenaBytes) ||
      __builtin_mul_overflow(static_cast<uint64_t>(Sizes.MaxOutputs) *
                                 sizeof(float),
                             static_cast<uint64_t>(Model.vocab), &LogitBytes))
    return report(Error, CRIA_OUT_OF_RANGE,
                  "device %s: the session needs more memory than can be "
                  "addressed",
                  Title.c_str());
  // The largest first: if memory is short, that shows at once.
  Address There = 0;
  if (cria_status Status = makeBuffer(WeightBytes, "weights", There, Error))
    return Status;
  OwnBytes = 0;
  if (cria_status Status = makeBuffer(Sizes.KvBytes, "keys", Keys, Error))
    return Status;
  if (cria_status Status = makeBuffer(Sizes.KvBytes, "values", Values, Error))
    return Status;
  if (cria_status Status = makeBuffer(ArenaBytes, "arena", Arena, Error))
    return Status;
  if (cria_status Status = makeBuffer(LogitBytes, "logits", Logits, Error))
    return Status;
  if (cria_status Status = makeStaging(Error))
    return Status;

  // Positions that are masked are multiplied by 0: they must be numbers.
  Result Done = Api.MemsetD8(Keys, 0, Sizes.KvBytes, Queue);
  if (Done == Success)
    Done = Api.MemsetD8(Values, 0, Sizes.KvBytes, Queue);
  Parameter.resize(sizeof(cria_forward_args) +
                   static_cast<size_t>(Model.n_weights) * sizeof(Address));
  for (int64_t I = 0; I < Model.n_weights; ++I) {
    Address Place = There + Places[I];
    std::memcpy(Parameter.data() + sizeof(cria_forward_args) +
                    static_cast<size_t>(I) * sizeof(Address),
                &Place, sizeof(Place));
    if (Done == Success)
      Done = Api.MemcpyHtoD(Place, Weights[I], Model.weights[I].bytes, Queue);
  }
  if (Done == Success)
    Done = Api.StreamSynchronize(Queue);
  return Api.check(Done, Error, "copy the weights");
}

cria_status GpuSession::open(const char *Name, const cria_model &Model,
                             const void *const *Weights, const GpuSizes &Sizes,
                             std::unique_ptr<GpuSession> &Made,
                             cria_error *Error) {
  std::unique_ptr<GpuSession> Opened(new GpuSession(Model, Sizes));
  GpuSession &Self = *Opened;
  if (cria_status Status = Self.chooseDevice(Name, Error))
    return Status;
  if (cria_status Status = Self.chooseClone(Error))
    return Status;
  if (cria_status Status =
          Self.Api.check(Self.Api.PrimaryCtxRetain(&Self.Primary, Self.Ordinal),
                         Error, "open %s", Self.Title.c_str()))
    return Status;
  {
    Current Here(Self);
    if (cria_status Status =
            Self.Api.check(Here.Code, Error, "use %s", Self.Title.c_str()))
      return Status;
    constexpr unsigned NonBlocking = 1;
    if (cria_status Status =
            Self.Api.check(Self.Api.StreamCreate(&Self.Queue, NonBlocking),
                           Error, "make a stream"))
      return Status;
    if (cria_status Status = Self.loadCode(Error))
      return Status;
    if (cria_status Status = Self.allocate(Weights, Error))
      return Status;
  }
  Made = std::move(Opened);
  return CRIA_OK;
}

cria_status GpuSession::launch(const cria_forward_args &Args, float *Out,
                               cria_error *Error) {
  Layout Places(Sizes);
  cria_forward_args There = Args;
  auto Put = [&](uint64_t Place, const int32_t *From, int64_t Count) {
    std::memcpy(Staging + Place, From,
                static_cast<size_t>(Count) * sizeof(int32_t));
    return reinterpret_cast<const int32_t *>(StagingThere + Place);
  };
  There.tokens = Put(Places.Tokens, Args.tokens, Args.n);
  There.positions = Put(Places.Positions, Args.positions, Args.n);
  There.sequences = Put(Places.Sequences, Args.sequences, Args.n);
  There.slots = Put(Places.Slots, Args.slots, Args.n);
  There.outputs = Put(Places.Outputs, Args.outputs, Args.n_outputs);
  There.tables =
      Put(Places.Tables, Args.tables, Args.n_sequences * Args.table_stride);
  There.keys = reinterpret_cast<void *>(Keys);
  There.values = reinterpret_cast<void *>(Values);
  There.weights = nullptr;
  There.arena = reinterpret_cast<void *>(Arena);
  There.logits = reinterpret_cast<float *>(Logits);
  There.barrier = nullptr;
  There.barrier_context = reinterpret_cast<void *>(StagingThere + Places.Count);
  std::memcpy(Parameter.data(), &There, sizeof(There));
  // The counter is 0 there: each copy sets it back.
  Result Done = Api.MemcpyHtoD(StagingThere, Staging, Places.Bytes, Queue);
  if (Done != Success)
    return Api.check(Done, Error, "copy the batch");
  void *Parameters[] = {Parameter.data()};
  const Launch &Run = Args.n <= Clone->decode_tokens ? Decode : Prefill;
  Done = Api.LaunchCooperative(Run.Kernel, static_cast<unsigned>(Run.Blocks), 1,
                               1, static_cast<unsigned>(Clone->block_threads),
                               1, 1, static_cast<unsigned>(SharedBytes), Queue,
                               Parameters);
  if (Done != Success)
    return Api.check(Done, Error, "launch the kernel %s", Run.Name);
  uint64_t Bytes =
      static_cast<uint64_t>(Args.n_outputs) * Model.vocab * sizeof(float);
  if (Bytes)
    Done = Api.MemcpyDtoH(Out, Logits, Bytes, Queue);
  if (Done == Success)
    Done = Api.StreamSynchronize(Queue);
  return Api.check(Done, Error, "run the kernel %s", Run.Name);
}

cria_status GpuSession::run(const cria_forward_args &Args, float *Out,
                            cria_error *Error) {
  if (Broken)
    return report(Error, Broken,
                  "device %s: an earlier run failed; the session's cache is "
                  "lost",
                  Title.c_str());
  Current Here(*this);
  Broken = Api.check(Here.Code, Error, "use %s", Title.c_str());
  if (!Broken)
    Broken = launch(Args, Out, Error);
  return Broken;
}

cria_status GpuSession::copyPage(int64_t From, int64_t To, cria_error *Error) {
  Current Here(*this);
  Result Done = Here.Code;
  uint64_t LayerBytes = Sizes.KvBytes / static_cast<uint64_t>(Model.layers);
  for (int64_t Layer = 0; Layer < Model.layers; ++Layer)
    for (Address Cache : {Keys, Values}) {
      Address Base = Cache + LayerBytes * Layer;
      if (Done == Success)
        Done = Api.MemcpyDtoD(Base + Sizes.PageBytes * To,
                              Base + Sizes.PageBytes * From, Sizes.PageBytes,
                              Queue);
    }
  if (cria_status Status = Api.check(Done, Error, "copy a page of the cache"))
    Broken = Status;
  return Broken;
}
