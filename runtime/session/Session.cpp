// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "cria/cria.h"

#include "cuda/GpuSession.h"
#include "model/Artifact.h"
#include "model/Cpu.h"
#include "model/Report.h"
#include "session/PagePool.h"
#include "session/Profile.h"
#include "threads/Barrier.h"
#include "threads/CpuCount.h"
#include "threads/ThreadPool.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <new>
#include <sys/mman.h>

using namespace cria::runtime;

namespace {

constexpr int64_t MaxSequences = 65536;
constexpr int64_t MaxThreads = 1024;
// Slots are 32-bit: all positions together stay below 2^31.
constexpr int64_t MaxCapacity = int64_t{1} << 30;
constexpr uint64_t Alignment = 64;

/// Zeroed memory straight from the kernel: aligned to a page, and only what
/// is touched takes room.
class Region {
public:
  Region() = default;
  ~Region() {
    if (Address)
      munmap(Address, Bytes);
  }
  Region(const Region &) = delete;
  Region &operator=(const Region &) = delete;

  cria_status init(uint64_t Size, const char *What, cria_error *Error) {
    if (Size == 0)
      return CRIA_OK;
    void *Map = mmap(nullptr, Size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (Map == MAP_FAILED)
      return report(Error, CRIA_OUT_OF_MEMORY,
                    "session: no memory for %" PRIu64 " bytes of %s", Size,
                    What);
    // Fewer TLB misses in attention over a long cache; a refusal is harmless.
    madvise(Map, Size, MADV_HUGEPAGE);
    Address = Map;
    Bytes = Size;
    return CRIA_OK;
  }

  char *data() const { return static_cast<char *>(Address); }
  uint64_t size() const { return Bytes; }

private:
  void *Address = nullptr;
  uint64_t Bytes = 0;
};

/// a * b + c * d, or an error: the numbers come from options and artifacts.
bool productSum(uint64_t A, uint64_t B, uint64_t C, uint64_t D,
                uint64_t &Result) {
  uint64_t First, Second;
  return !__builtin_mul_overflow(A, B, &First) &&
         !__builtin_mul_overflow(C, D, &Second) &&
         !__builtin_add_overflow(First, Second, &Result) &&
         Result <= static_cast<uint64_t>(INT64_MAX);
}

void waitAtBarrier(void *Context) { static_cast<Barrier *>(Context)->wait(); }

} // namespace

struct cria_session {
  const cria_artifact *Artifact = nullptr;
  const cria_model *Model = nullptr;
  const cria_clone *Clone = nullptr;
  int64_t Capacity = 0;
  int64_t Sequences = 0;
  int64_t MaxBatch = 0;
  int64_t MaxLogits = 0;
  int64_t Threads = 1;
  bool IsCloneChosen = false;
  cria_parallel_fn Parallel = nullptr;
  void *ParallelContext = nullptr;

  uint64_t PageBytes = 0; // of the keys, or the values, of one layer
  Region Keys, Values, Arena, Logits;
  PagePool Pages;
  std::vector<int64_t> Added;   // by sequence, during a call; else 0
  std::vector<int32_t> Touched; // sequences of a call
  std::vector<int32_t> Tokens, Positions, Rows, Slots, Outputs; // of a chunk
  cria_forward_args Args = {};
  std::unique_ptr<cuda::GpuSession> Gpu; // null on the CPU
  std::string DeviceNote;
  Profile Counts;
  Barrier Meeting;
  // Last, so that the workers end before what they use.
  ThreadPool Pool;

  cria_status init(const cria_session_options &Options, cria_error *Error);
  cria_status forward(int64_t N, const int32_t *NewTokens,
                      const int32_t *NewSequences, const uint8_t *Want,
                      float **Result, cria_error *Error);

private:
  cria_status readOptions(const cria_session_options &Options,
                          cria_error *Error);
  cria_status allocate(const char *Device, cria_error *Error);
  cria_status openGpu(const char *Device, uint64_t KvBytes, int64_t Stride,
                      cria_error *Error);
  cria_status admit(int64_t N, const int32_t *NewTokens,
                    const int32_t *NewSequences, size_t &TouchedCount,
                    cria_error *Error);
  cria_status plan(size_t TouchedCount, cria_error *Error);
  cria_status copyPage(PagePool::Copy Copy, cria_error *Error);
  void runChunk();
  static void runThread(void *Context, int64_t Thread);
};

cria_status cria_session::readOptions(const cria_session_options &Options,
                                      cria_error *Error) {
  struct {
    const char *Name;
    int64_t Value, Default, Most;
    int64_t &Result;
  } const Table[] = {
      {"max_sequences", Options.max_sequences, 1, MaxSequences, Sequences},
      {"capacity", Options.capacity, Model->context, MaxCapacity, Capacity},
      {"max_batch", Options.max_batch, Model->max_batch, Model->max_batch,
       MaxBatch},
      {"max_logits", Options.max_logits,
       std::max<int64_t>(1, Options.max_sequences), MaxCapacity, MaxLogits},
      {"threads", Options.threads, std::min(allowedCores(), MaxThreads),
       MaxThreads, Threads},
  };
  for (const auto &Option : Table) {
    if (Option.Value < 0 || Option.Value > Option.Most)
      return report(Error, CRIA_INVALID_ARGUMENT,
                    "session option %s is %" PRId64
                    "; it must be between 1 and %" PRId64
                    ", or 0 for the default of %" PRId64,
                    Option.Name, Option.Value, Option.Most, Option.Default);
    Option.Result = Option.Value ? Option.Value : Option.Default;
  }
  Capacity = std::min(Capacity, MaxCapacity);
  Parallel = Options.parallel;
  ParallelContext = Options.parallel_context;
  return CRIA_OK;
}

/// Leaves `Gpu` null where the session is to run on the CPU.
cria_status cria_session::openGpu(const char *Device, uint64_t KvBytes,
                                  int64_t Stride, cria_error *Error) {
  if (!Device || std::strcmp(Device, "cpu") == 0)
    return CRIA_OK;
  bool IsAuto = std::strcmp(Device, "auto") == 0;
  if (IsAuto && (!cuda::gpuClones(*Model) || IsCloneChosen))
    return CRIA_OK;
  cuda::GpuSizes Sizes;
  Sizes.KvBytes = KvBytes;
  Sizes.PageBytes = PageBytes;
  Sizes.MaxBatch = MaxBatch;
  Sizes.MaxOutputs = std::min(MaxBatch, MaxLogits);
  Sizes.Sequences = Sequences;
  Sizes.TableStride = Stride;
  cria_error Cause;
  cria_status Status =
      cuda::GpuSession::open(IsAuto ? "cuda" : Device, *Model,
                             cria_weights_pointers(Artifact->Weights.get()),
                             Sizes, Gpu, IsAuto ? &Cause : Error);
  if (!Status || !IsAuto)
    return Status;
  DeviceNote = Cause.message;
  return CRIA_OK;
}

cria_status cria_session::allocate(const char *Device, cria_error *Error) {
  // Each sequence may leave its last page partly empty: with these pages,
  // `Capacity` positions fit however they are spread.
  int64_t PageCount =
      (Capacity + (CRIA_PAGE_TOKENS - 1) * Sequences) / CRIA_PAGE_TOKENS;
  int64_t Stride = std::min(
      (Model->context + CRIA_PAGE_TOKENS - 1) / CRIA_PAGE_TOKENS, PageCount);
  uint64_t KvBytes, ArenaBytes, LogitBytes;
  // Elements and whatever else, like scales, a page holds beside them.
  uint64_t LayerBytes = Model->kv_bytes_per_token / (2 * Model->layers);
  if (!productSum(LayerBytes, CRIA_PAGE_TOKENS, 0, 0, PageBytes) ||
      !productSum(PageBytes, static_cast<uint64_t>(PageCount) * Model->layers,
                  0, 0, KvBytes) ||
      !productSum(Model->arena_bytes, 1, Model->thread_arena_bytes, Threads,
                  ArenaBytes) ||
      !productSum(MaxLogits * sizeof(float), Model->vocab, Alignment, 1,
                  LogitBytes))
    return report(Error, CRIA_OUT_OF_RANGE,
                  "session: a capacity of %" PRId64
                  " tokens needs more memory than can be addressed",
                  Capacity);
  if (cria_status Status = openGpu(Device, KvBytes, Stride, Error))
    return Status;
  if (Gpu)
    KvBytes = ArenaBytes = 0;
  if (cria_status Status = Keys.init(KvBytes, "keys", Error))
    return Status;
  if (cria_status Status = Values.init(KvBytes, "values", Error))
    return Status;
  if (cria_status Status = Arena.init(ArenaBytes, "arena", Error))
    return Status;
  if (cria_status Status = Logits.init(LogitBytes, "logits", Error))
    return Status;
  Pages.init(PageCount, Sequences, Stride);
  Added.assign(Sequences, 0);
  Touched.assign(Sequences, 0);
  for (std::vector<int32_t> *Each :
       {&Tokens, &Positions, &Rows, &Slots, &Outputs})
    Each->assign(MaxBatch, 0);

  Args.tokens = Tokens.data();
  Args.positions = Positions.data();
  Args.sequences = Rows.data();
  Args.slots = Slots.data();
  Args.outputs = Outputs.data();
  Args.tables = Pages.tables();
  Args.n_sequences = Sequences;
  Args.table_stride = Stride;
  Args.keys = Keys.data();
  Args.values = Values.data();
  Args.pages = PageCount;
  Args.weights = cria_weights_pointers(Artifact->Weights.get());
  Args.arena = Arena.data();
  Args.barrier = waitAtBarrier;
  Args.barrier_context = &Meeting;
  return CRIA_OK;
}

cria_status cria_session::init(const cria_session_options &Options,
                               cria_error *Error) {
  if (cria_status Status = readOptions(Options, Error))
    return Status;
  if (!Options.clone)
    Clone = Artifact->Clone;
  else if (cria_status Status =
               chooseClone(*Model, Options.clone, Clone, Error))
    return Status;
  IsCloneChosen = Options.clone;
  if (cria_status Status = allocate(Options.device, Error))
    return Status;
  if (Gpu) {
    Threads = 1;
    return CRIA_OK;
  }
  Counts.init(*Model, Threads, Sequences);
  Meeting.init(static_cast<uint32_t>(Threads), spinsFor(Threads));
  if (Threads > 1 && !Parallel)
    return Pool.start(Threads, Error);
  return CRIA_OK;
}

void cria_session::runThread(void *Context, int64_t Thread) {
  auto *Self = static_cast<cria_session *>(Context);
  if (Self->Counts.enabled())
    Self->Model->forward_profiled[Self->Clone - Self->Model->clones](
        &Self->Args, Thread, Self->Threads, Self->Counts.counters(Thread));
  else
    Self->Clone->forward(&Self->Args, Thread, Self->Threads);
}

void cria_session::runChunk() {
  if (Threads == 1)
    runThread(this, 0);
  else if (Parallel)
    Parallel(ParallelContext, Threads, runThread, this);
  else
    Pool.run(runThread, this);
}

cria_status cria_session::copyPage(PagePool::Copy Copy, cria_error *Error) {
  if (Copy.From < 0)
    return CRIA_OK;
  if (Gpu)
    return Gpu->copyPage(Copy.From, Copy.To, Error);
  for (int64_t Layer = 0; Layer < Model->layers; ++Layer)
    for (const Region *Each : {&Keys, &Values}) {
      char *Base = Each->data() + PageBytes * Layer * Args.pages;
      std::memcpy(Base + PageBytes * Copy.To, Base + PageBytes * Copy.From,
                  PageBytes);
    }
  return CRIA_OK;
}

/// Checks tokens and sequences and counts the tokens of each sequence.
cria_status cria_session::admit(int64_t N, const int32_t *NewTokens,
                                const int32_t *NewSequences,
                                size_t &TouchedCount, cria_error *Error) {
  for (int64_t I = 0; I < N; ++I) {
    int32_t Sequence = NewSequences ? NewSequences[I] : 0;
    if (Sequence < 0 || Sequence >= Sequences)
      return report(Error, CRIA_OUT_OF_RANGE,
                    "forward: sequences[%" PRId64 "] is %" PRId32
                    "; the session has sequences 0 to %" PRId64,
                    I, Sequence, Sequences - 1);
    if (NewTokens[I] < 0 || NewTokens[I] >= Model->vocab)
      return report(Error, CRIA_OUT_OF_RANGE,
                    "forward: tokens[%" PRId64 "] is %" PRId32
                    "; the model's token ids are 0 to %" PRId64,
                    I, NewTokens[I], Model->vocab - 1);
    if (Added[Sequence]++ == 0)
      Touched[TouchedCount++] = Sequence;
  }
  return CRIA_OK;
}

/// Checks that what was admitted fits.
cria_status cria_session::plan(size_t TouchedCount, cria_error *Error) {
  int64_t Needed = 0;
  for (size_t I = 0; I < TouchedCount; ++I) {
    int32_t Sequence = Touched[I];
    int64_t Length = Pages.length(Sequence);
    if (Added[Sequence] > Model->context - Length)
      return report(Error, CRIA_OUT_OF_RANGE,
                    "forward: sequence %" PRId32 " has %" PRId64
                    " tokens and %" PRId64
                    " more do not fit into the model's context of %" PRId64,
                    Sequence, Length, Added[Sequence], Model->context);
  }
  for (size_t I = 0; I < TouchedCount; ++I)
    Needed += Pages.planAppend(Touched[I], Added[Touched[I]]);
  for (size_t I = 0; I < TouchedCount; ++I)
    Pages.endPlan(Touched[I]);
  if (Needed > Pages.freePages())
    return report(Error, CRIA_OUT_OF_RANGE,
                  "forward: needs %" PRId64
                  " more KV pages of %d tokens; %" PRId64 " of %" PRId64
                  " are free (the session's capacity is %" PRId64 " tokens)",
                  Needed, CRIA_PAGE_TOKENS, Pages.freePages(), Pages.pages(),
                  Capacity);
  return CRIA_OK;
}

cria_status cria_session::forward(int64_t N, const int32_t *NewTokens,
                                  const int32_t *NewSequences,
                                  const uint8_t *Want, float **Result,
                                  cria_error *Error) {
  int64_t Wanted = Want ? 0 : 1;
  for (int64_t I = 0; Want && I < N; ++I)
    Wanted += Want[I] != 0;
  if (Wanted > MaxLogits)
    return report(
        Error, CRIA_OUT_OF_RANGE,
        "forward: %" PRId64
        " rows of logits are wanted; the session has room for %" PRId64,
        Wanted, MaxLogits);
  size_t TouchedCount = 0;
  cria_status Status = admit(N, NewTokens, NewSequences, TouchedCount, Error);
  if (!Status)
    Status = plan(TouchedCount, Error);
  for (size_t I = 0; I < TouchedCount; ++I) {
    if (!Status)
      Status = copyPage(Pages.reserve(Touched[I], Added[Touched[I]]), Error);
    Added[Touched[I]] = 0;
  }
  if (Status)
    return Status;

  // On the CPU nothing can fail from here on.
  float *Out = reinterpret_cast<float *>(Logits.data());
  for (int64_t Begin = 0; Begin < N; Begin += MaxBatch) {
    int64_t Count = std::min(MaxBatch, N - Begin), OutputCount = 0;
    for (int64_t I = 0; I < Count; ++I) {
      int32_t Sequence = NewSequences ? NewSequences[Begin + I] : 0;
      Tokens[I] = NewTokens[Begin + I];
      Rows[I] = Sequence;
      Positions[I] = static_cast<int32_t>(Pages.length(Sequence));
      Slots[I] = Pages.append(Sequence);
      if (Want ? Want[Begin + I] != 0 : Begin + I == N - 1)
        Outputs[OutputCount++] = static_cast<int32_t>(I);
    }
    // With an odd vocabulary, the rows of a later chunk would begin at an
    // address that the code does not expect: it writes them a bit further on.
    int64_t Floats = OutputCount * Model->vocab;
    Args.n = Count;
    Args.n_outputs = OutputCount;
    if (Gpu) {
      if (cria_status Failed = Gpu->run(Args, Out, Error))
        return Failed;
      Out += Floats;
      continue;
    }
    uintptr_t Place = reinterpret_cast<uintptr_t>(Out);
    float *Aligned =
        reinterpret_cast<float *>((Place + Alignment - 1) & ~(Alignment - 1));
    Args.logits = Aligned;
    if (Counts.enabled())
      Counts.begin();
    runChunk();
    if (Counts.enabled())
      Counts.end(Args);
    if (Aligned != Out)
      std::memmove(Out, Aligned, Floats * sizeof(float));
    Out += Floats;
  }
  if (Result && Wanted)
    *Result = reinterpret_cast<float *>(Logits.data());
  return succeed(Error);
}

void cria_session_options_init(cria_session_options *options) {
  if (options)
    *options = cria_session_options{};
}

cria_status cria_session_create(const cria_artifact *artifact,
                                const cria_session_options *options,
                                cria_session **session, cria_error *error) {
  if (session)
    *session = nullptr;
  if (!artifact || !session)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_session_create: artifact and session must not be null");
  try {
    auto Made = std::make_unique<cria_session>();
    Made->Artifact = artifact;
    Made->Model = artifact->Model;
    if (cria_status Status =
            Made->init(options ? *options : cria_session_options{}, error))
      return Status;
    *session = Made.release();
    return succeed(error);
  } catch (const std::exception &) {
    return report(error, CRIA_OUT_OF_MEMORY,
                  "cria_session_create: no memory for the page tables");
  }
}

void cria_session_free(cria_session *session) { delete session; }

cria_status cria_session_forward(cria_session *session, int64_t n,
                                 const int32_t *tokens,
                                 const int32_t *sequences,
                                 const uint8_t *want_logits, float **logits,
                                 cria_error *error) {
  if (logits)
    *logits = nullptr;
  if (!session || !tokens)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_session_forward: session and tokens must not be null");
  if (n < 1 || n > MaxCapacity)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_session_forward: n is %" PRId64
                  "; it must be between 1 and %" PRId64,
                  n, MaxCapacity);
  return session->forward(n, tokens, sequences, want_logits, logits, error);
}

static cria_status checkSequence(const cria_session *Session, int32_t Sequence,
                                 const char *Function, cria_error *Error) {
  if (!Session)
    return report(Error, CRIA_INVALID_ARGUMENT, "%s: session must not be null",
                  Function);
  if (Sequence < 0 || Sequence >= Session->Sequences)
    return report(Error, CRIA_OUT_OF_RANGE,
                  "%s: sequence is %" PRId32
                  "; the session has sequences 0 to %" PRId64,
                  Function, Sequence, Session->Sequences - 1);
  return CRIA_OK;
}

int64_t cria_session_length(const cria_session *session, int32_t sequence) {
  return checkSequence(session, sequence, "", nullptr)
             ? -1
             : session->Pages.length(sequence);
}

cria_status cria_session_truncate(cria_session *session, int32_t sequence,
                                  int64_t length, cria_error *error) {
  if (cria_status Status =
          checkSequence(session, sequence, "cria_session_truncate", error))
    return Status;
  int64_t Length = session->Pages.length(sequence);
  if (length < 0 || length > Length)
    return report(error, CRIA_OUT_OF_RANGE,
                  "cria_session_truncate: length is %" PRId64
                  "; sequence %" PRId32 " has %" PRId64 " tokens",
                  length, sequence, Length);
  session->Pages.truncate(sequence, length);
  return succeed(error);
}

cria_status cria_session_clear(cria_session *session, int32_t sequence,
                               cria_error *error) {
  return cria_session_truncate(session, sequence, 0, error);
}

cria_status cria_session_fork(cria_session *session, int32_t from, int32_t to,
                              cria_error *error) {
  if (cria_status Status =
          checkSequence(session, from, "cria_session_fork", error))
    return Status;
  if (cria_status Status =
          checkSequence(session, to, "cria_session_fork", error))
    return Status;
  session->Pages.fork(from, to);
  return succeed(error);
}

static cria_status checkProfile(const cria_session *Session,
                                const char *Function, cria_error *Error) {
  if (!Session)
    return report(Error, CRIA_INVALID_ARGUMENT, "%s: session must not be null",
                  Function);
  if (Session->Gpu)
    return report(Error, CRIA_UNSUPPORTED,
                  "%s: a session on a GPU counts no times; use the device cpu",
                  Function);
  if (!Session->Counts.enabled())
    return report(Error, CRIA_UNSUPPORTED,
                  "%s: the model %s counts no times; compile it with --profile",
                  Function, Session->Model->name);
  return CRIA_OK;
}

cria_status cria_session_profile(cria_session *session, cria_profile *profile,
                                 cria_error *error) {
  if (profile)
    *profile = cria_profile{};
  else
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_session_profile: profile must not be null");
  if (cria_status Status = checkProfile(session, "cria_session_profile", error))
    return Status;
  *profile = session->Counts.report();
  return succeed(error);
}

cria_status cria_session_profile_reset(cria_session *session,
                                       cria_error *error) {
  if (cria_status Status =
          checkProfile(session, "cria_session_profile_reset", error))
    return Status;
  session->Counts.reset();
  return succeed(error);
}

int64_t cria_session_free_pages(const cria_session *session) {
  return session ? session->Pages.freePages() : 0;
}

int64_t cria_session_pages(const cria_session *session) {
  return session ? session->Pages.pages() : 0;
}

const cria_clone *cria_session_clone(const cria_session *session) {
  return session ? session->Clone : nullptr;
}

int64_t cria_session_threads(const cria_session *session) {
  return session ? session->Threads : 0;
}

int64_t cria_session_max_logits(const cria_session *session) {
  return session ? session->MaxLogits : 0;
}

const cria_model *cria_session_model(const cria_session *session) {
  return session ? session->Model : nullptr;
}

const char *cria_session_device(const cria_session *session) {
  if (!session)
    return "";
  return session->Gpu ? session->Gpu->name().c_str() : "cpu";
}

const char *cria_session_device_note(const cria_session *session) {
  return session ? session->DeviceNote.c_str() : "";
}

uint64_t cria_session_bytes(const cria_session *session) {
  if (!session)
    return 0;
  return session->Keys.size() + session->Values.size() + session->Arena.size() +
         session->Logits.size() + (session->Gpu ? session->Gpu->bytes() : 0);
}
