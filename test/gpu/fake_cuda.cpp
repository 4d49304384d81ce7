// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A libcuda.so.1 without a GPU. Its memory is the host's, with every copy
// checked against what was allocated, and its kernels are those of
// FAKE_CUDA_KERNELS, a library that the tests make from the same IR that the
// PTX is made from: `forward(args, thread, threads)`, which calls the functions
// below. Each thread of the GPU is a fiber, and goes on until it waits for
// others, in the order that FAKE_CUDA_ORDER says: forward, reverse, or a number
// that seeds a random one. Memory that one thread reads without waiting for the
// one that writes it then differs between orders. What an asynchronous copy
// writes is no number from its begin until the thread that began it waits.
//
//   FAKE_CUDA_KERNELS   the library; without it a launch does nothing
//   FAKE_CUDA_ORDER     see above (forward)
//   FAKE_CUDA_COMPUTE   compute capability (90)
//   FAKE_CUDA_MEMORY    bytes of memory (4 GB)
//   FAKE_CUDA_FAIL      FUNCTION=CODE[@N]: its Nth call (1) fails
//   FAKE_CUDA_LOG       a file that gets a line a call
//   FAKE_CUDA_COUNT     GPUs (1)

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <ucontext.h>
#include <vector>

namespace {

constexpr int kGroup = 16, kMultiprocessors = 3, kWarpGroups = 2,
              kPlaces = 48 * 1024 / 4, kMostCopyGroups = 6;

const char *setting(const char *Name, const char *Default) {
  const char *Value = std::getenv(Name);
  return Value ? Value : Default;
}

[[noreturn]] void stop(const char *Why) {
  std::fprintf(stderr, "fake_cuda: %s\n", Why);
  std::_Exit(70);
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

enum class Wait { None, Group, Warp, Team, All, Done };

struct Fiber {
  ucontext_t Context; // to begin with; then jumps, which ask no kernel
  std::jmp_buf Place;
  bool Started = false;
  Wait Waits = Wait::None;
  int Parity = 0;        // of shuffles, which groups of a warp do on their own
  uint64_t Together = 0; // products and loads of the warp, so far
  struct Copy {
    int32_t Place;
    uint64_t From;
    size_t Bytes;
  };
  std::vector<std::vector<Copy>> Copies{1}; // groups; the last one is open
};

struct Group {
  Fiber Lanes[kGroup];
  int32_t Passed[2][kGroup];
  uint32_t Operands[2][kGroup][10]; // of a product of the warp
};

/// What a warp multiplies, as numbers: done once for its 32 threads.
struct Product {
  uint64_t Number = 0; // of the warp's, from 1 on
  double A[16][32], B[8][32];
};

using Forward = void (*)(const void *Args, int64_t Thread, int64_t Threads);

struct Machine {
  std::vector<Group> Groups;
  size_t TeamGroups = 1;                  // of a block
  std::vector<std::vector<float>> Memory; // of each
  std::vector<Product> Products;          // of each warp, two
  std::jmp_buf Back;
  Forward Code;
  const void *Args;
  size_t AtGroup = 0;
  int AtLane = 0;
  std::mt19937 Random;
  std::string Order;

  Fiber &current() { return Groups[AtGroup].Lanes[AtLane]; }
  int threadOfWarp() const {
    return static_cast<int>(AtGroup % kWarpGroups) * kGroup + AtLane;
  }

  void wait(Wait For) {
    Fiber &Self = current();
    Self.Waits = For;
    if (!_setjmp(Self.Place))
      _longjmp(Back, 1);
  }

  void resume(Fiber &Next) {
    if (_setjmp(Back))
      return;
    if (Next.Started)
      _longjmp(Next.Place, 1);
    Next.Started = true;
    setcontext(&Next.Context);
  }

  template <typename T> void shuffle(std::vector<T> &Items) {
    if (Order == "reverse")
      std::reverse(Items.begin(), Items.end());
    else if (Order != "forward")
      std::shuffle(Items.begin(), Items.end(), Random);
  }

  /// Until its lanes wait for other groups, or are done.
  void runGroup(size_t Number) {
    AtGroup = Number;
    Group &Own = Groups[Number];
    for (;;) {
      std::vector<int> Lanes;
      for (int Lane = 0; Lane < kGroup; ++Lane)
        if (Own.Lanes[Lane].Waits == Wait::None)
          Lanes.push_back(Lane);
      shuffle(Lanes);
      for (int Lane : Lanes) {
        AtLane = Lane;
        resume(Own.Lanes[Lane]);
      }
      Wait First = Own.Lanes[0].Waits;
      for (Fiber &Lane : Own.Lanes)
        if (Lane.Waits != First)
          stop("the lanes of a group wait for different things");
      if (First != Wait::Group)
        return;
      release(Number, 1);
    }
  }

  void release(size_t From, size_t Count) {
    for (size_t I = From; I < From + Count; ++I)
      for (Fiber &Lane : Groups[I].Lanes)
        Lane.Waits = Wait::None;
  }

  std::vector<size_t> order(size_t From, size_t Count, size_t Step = 1) {
    std::vector<size_t> Numbers;
    for (size_t I = 0; I < Count; I += Step)
      Numbers.push_back(From + I);
    shuffle(Numbers);
    return Numbers;
  }

  /// Until the `Count` groups from `From` on wait for more than `For`. Those
  /// that wait for it must all do; what is less is seen to by `run`.
  template <typename Fn>
  void runTogether(size_t From, size_t Count, Wait For, const char *Fault,
                   Fn Each) {
    for (;;) {
      Each();
      size_t Waiting = 0;
      for (size_t I = From; I < From + Count; ++I)
        Waiting += Groups[I].Lanes[0].Waits == For;
      if (!Waiting)
        return;
      if (Waiting != Count)
        stop(Fault);
      release(From, Count);
    }
  }

  void runTeam(size_t First) {
    runTogether(First, TeamGroups, Wait::Team,
                "some groups of a team wait for it where others do not", [&] {
                  for (size_t W : order(First, TeamGroups, kWarpGroups))
                    runTogether(W, kWarpGroups, Wait::Warp,
                                "half a warp waits for a product alone", [&] {
                                  for (size_t I : order(W, kWarpGroups))
                                    if (Groups[I].Lanes[0].Waits == Wait::None)
                                      runGroup(I);
                                });
                });
  }

  void run(size_t Count);
};

Machine *TheMachine = nullptr;

void enter() {
  Machine &M = *TheMachine;
  M.Code(M.Args, static_cast<int64_t>(M.AtGroup),
         static_cast<int64_t>(M.Groups.size()));
  for (const auto &Copies : M.current().Copies)
    if (!Copies.empty())
      stop("a thread ends and does not wait for its copies");
  M.wait(Wait::Done);
}

void Machine::run(size_t Count) {
  constexpr size_t StackBytes = 256 << 10;
  Order = setting("FAKE_CUDA_ORDER", "forward");
  Random.seed(static_cast<unsigned>(std::atoi(Order.c_str())));
  Groups = std::vector<Group>(Count);
  Memory.assign(Count / TeamGroups, std::vector<float>(kPlaces, NAN));
  Products = std::vector<Product>(Count);
  static auto *Stacks = new std::vector<std::unique_ptr<char[]>>;
  while (Stacks->size() < Count * kGroup)
    Stacks->emplace_back(new char[StackBytes]);
  size_t Number = 0;
  for (Group &Each : Groups)
    for (Fiber &Lane : Each.Lanes) {
      getcontext(&Lane.Context);
      Lane.Context.uc_stack.ss_sp = (*Stacks)[Number++].get();
      Lane.Context.uc_stack.ss_size = StackBytes;
      Lane.Context.uc_link = nullptr;
      makecontext(&Lane.Context, enter, 0);
    }
  for (bool Done = false; !Done;) {
    for (size_t First : order(0, Count, TeamGroups))
      runTeam(First);
    Done = Groups[0].Lanes[0].Waits == Wait::Done;
    for (Group &Each : Groups) {
      if ((Each.Lanes[0].Waits == Wait::Done) != Done)
        stop("some groups end where others wait for all");
      for (Fiber &Lane : Each.Lanes)
        if (!Done)
          Lane.Waits = Wait::None;
    }
  }
}

} // namespace

/// Element `I` of a word of an operand, of the kinds of fake_mma.
static double element(uint32_t Word, int I, int Kind, bool IsB) {
  if (Kind == 0) {
    uint32_t Byte = Word >> (8 * I) & 255;
    return IsB ? static_cast<int8_t>(Byte) : static_cast<double>(Byte);
  }
  uint32_t Bits = Word >> (16 * I) & 0xffff;
  if (Kind == 1) {
    Bits <<= 16;
    float Value;
    std::memcpy(&Value, &Bits, sizeof(Value));
    return Value;
  }
  int Exponent = static_cast<int>(Bits >> 10 & 31);
  double Mantissa = Bits & 1023;
  double Value = Exponent == 31  ? (Mantissa ? NAN : INFINITY)
                 : Exponent == 0 ? std::ldexp(Mantissa, -24)
                                 : std::ldexp(Mantissa + 1024, Exponent - 25);
  return Bits >> 15 ? -Value : Value;
}

// What the kernels call; see cria-distribute-lanes.
extern "C" {
int32_t cria_gpu_lane() { return TheMachine->AtLane; }
void cria_gpu_sync() { TheMachine->wait(Wait::Group); }
int32_t cria_gpu_shuffle(int32_t Value, int32_t From) {
  Machine &M = *TheMachine;
  Fiber &Self = M.current();
  int Parity = Self.Parity;
  Self.Parity ^= 1;
  M.Groups[M.AtGroup].Passed[Parity][M.AtLane] = Value;
  M.wait(Wait::Group);
  if (From < 0 || From >= kGroup)
    stop("a shuffle from a lane that no group has");
  return M.Groups[M.AtGroup].Passed[Parity][From];
}
int32_t cria_gpu_shuffle_xor(int32_t Value, int32_t Bits) {
  return cria_gpu_shuffle(Value, TheMachine->AtLane ^ Bits);
}
int32_t cria_gpu_thread() {
  Machine &M = *TheMachine;
  return static_cast<int32_t>(M.AtGroup % M.TeamGroups) * kGroup + M.AtLane;
}
void cria_gpu_team_sync() { TheMachine->wait(Wait::Team); }

void cria_gpu_phase() {}
static float &place(int32_t Place) {
  if (Place < 0 || Place >= kPlaces)
    stop("a place that no team has");
  return TheMachine
      ->Memory[TheMachine->AtGroup / TheMachine->TeamGroups][Place];
}
void cria_gpu_put(int32_t Place, float Value) { place(Place) = Value; }
float cria_gpu_get(int32_t Place) { return place(Place); }
/// A thread's operands A (4), B (2) and C (4) of mma.m16n8k32 of u8 and s8
/// (`Kind` 0) or m16n8k16 of bf16 (1) or f16 (2), which D takes the place of.
/// Where elements are is from the figures of the PTX ISA, "Matrix fragments for
/// mma.m16n8k32" and "... m16n8k16 with floating point type".
void fake_mma(int32_t Kind, uint32_t *Own) {
  Machine &M = *TheMachine;
  Fiber &Self = M.current();
  uint64_t Number = ++Self.Together;
  int Parity = static_cast<int>(Number % 2);
  std::memcpy(M.Groups[M.AtGroup].Operands[Parity][M.AtLane], Own, 40);
  M.wait(Wait::Warp);
  size_t Warp = M.AtGroup / kWarpGroups, First = Warp * kWarpGroups;
  Product &P = M.Products[2 * Warp + Parity];
  int PerWord = Kind ? 2 : 4, Columns = 8 * PerWord;
  if (P.Number != Number) {
    P.Number = Number;
    // Thread 4 q + l has word l and word l + 4 of rows q and q + 8 of A, and of
    // column q of B.
    for (int Thread = 0; Thread < kGroup * kWarpGroups; ++Thread) {
      const uint32_t *Words =
          M.Groups[First + Thread / kGroup].Operands[Parity][Thread % kGroup];
      for (int Word = 0; Word < 6; ++Word) {
        bool IsB = Word >= 4;
        int Upper = IsB ? Word - 4 : Word / 2;
        double *Row = IsB ? P.B[Thread / 4] : P.A[Thread / 4 + Word % 2 * 8];
        for (int I = 0; I < PerWord; ++I)
          Row[(Thread % 4 + 4 * Upper) * PerWord + I] =
              element(Words[Word], I, Kind, IsB);
      }
    }
  }
  for (int I = 0; I < 4; ++I) {
    const double *A = P.A[M.threadOfWarp() / 4 + I / 2 * 8];
    const double *B = P.B[M.threadOfWarp() % 4 * 2 + I % 2];
    double Sum = 0; // exact for integers; else the order is the tensor core's
    if (Kind) {
      float Start;
      std::memcpy(&Start, &Own[6 + I], sizeof(Start));
      Sum = Start;
    }
    for (int K = 0; K < Columns; ++K)
      Sum += A[K] * B[K];
    if (Kind) {
      auto Result = static_cast<float>(Sum);
      std::memcpy(&Own[I], &Result, sizeof(Result));
    } else {
      Own[I] = Own[6 + I] + static_cast<uint32_t>(static_cast<int32_t>(Sum));
    }
  }
}
/// ldmatrix .x4: a row's place of each thread in, four words out.
void fake_load_matrices(int32_t Transposed, uint32_t *Own) {
  Machine &M = *TheMachine;
  int Parity = static_cast<int>(++M.current().Together % 2);
  auto Place = static_cast<int32_t>(Own[0]);
  if (Place % 4)
    stop("a row of a matrix is not at a multiple of 16 bytes");
  place(Place + 3);
  M.Groups[M.AtGroup].Operands[Parity][M.AtLane][0] = Own[0];
  M.wait(Wait::Warp);
  size_t First = M.AtGroup / kWarpGroups * kWarpGroups;
  int Quad = M.threadOfWarp() / 4, Lane = M.threadOfWarp() % 4;
  for (int Matrix = 0; Matrix < 4; ++Matrix) {
    auto Half = [&](int Row, int Column) {
      int Thread = 8 * Matrix + Row;
      uint32_t At = M.Groups[First + Thread / kGroup]
                        .Operands[Parity][Thread % kGroup][0];
      uint32_t Word;
      std::memcpy(&Word, &place(static_cast<int32_t>(At) + Column / 2), 4);
      return Word >> (Column % 2 * 16) & 0xffff;
    };
    Own[Matrix] = Transposed
                      ? Half(2 * Lane, Quad) | Half(2 * Lane + 1, Quad) << 16
                      : Half(Quad, 2 * Lane) | Half(Quad, 2 * Lane + 1) << 16;
  }
}
int32_t cria_gpu_dot4(int32_t Sum, int32_t A, int32_t B) {
  for (int I = 0; I < 4; ++I)
    Sum +=
        static_cast<uint8_t>(A >> (8 * I)) * static_cast<int8_t>(B >> (8 * I));
  return Sum;
}
/// x86 keeps a bf16 that goes from block to block as a float, and calls this to
/// have it back: the upper half, as nothing was rounded. It is returned in the
/// lowest bits of a register for floats.
float __truncsfbf2(float Value) {
  uint32_t Bits;
  std::memcpy(&Bits, &Value, sizeof(Bits));
  Bits >>= 16;
  std::memcpy(&Value, &Bits, sizeof(Bits));
  return Value;
}
void cria_gpu_barrier(void *Count) {
  // As on a GPU the counter must be 0 at first, which only a test can see.
  Machine &M = *TheMachine;
  M.wait(Wait::All);
  if (M.AtGroup == 0 && M.AtLane == 0)
    ++*static_cast<uint32_t *>(Count);
}
}

//===----------------------------------------------------------------------===//
// The driver
//===----------------------------------------------------------------------===//

namespace {

using Result = int;
enum {
  Ok = 0,
  Invalid = 1,
  NoMemory = 2,
  NoDevice = 100,
  BadPtx = 218,
  OldPtx = 222,
  NotFound = 500,
  Fault = 700
};

std::map<uint64_t, size_t> &allocations() {
  static auto *Map = new std::map<uint64_t, size_t>;
  return *Map;
}
size_t UsedBytes = 0;
int PushedContexts = 0, OpenObjects = 0;
std::string LoadedCode;

size_t memoryBytes() {
  return std::strtoull(setting("FAKE_CUDA_MEMORY", "4000000000"), nullptr, 10);
}

bool inside(uint64_t At, size_t Bytes) {
  auto After = allocations().upper_bound(At);
  if (After == allocations().begin())
    return false;
  auto Block = std::prev(After);
  return At + Bytes <= Block->first + Block->second;
}

/// Notes the call; the code that it is to return, or 0.
Result call(const char *Name) {
  if (const char *Log = std::getenv("FAKE_CUDA_LOG"))
    if (FILE *File = std::fopen(Log, "a")) {
      std::fprintf(File, "%s\n", Name);
      std::fclose(File);
    }
  static auto *Calls = new std::map<std::string, int>;
  int Number = ++(*Calls)[Name];
  std::string Fail = setting("FAKE_CUDA_FAIL", "");
  size_t Equal = Fail.find('=');
  if (Equal == std::string::npos || Fail.substr(0, Equal) != Name)
    return Ok;
  size_t At = Fail.find('@');
  int Which = At == std::string::npos ? 1 : std::atoi(Fail.c_str() + At + 1);
  return Number == Which ? std::atoi(Fail.c_str() + Equal + 1) : Ok;
}

Result callIn(const char *Name) {
  Result Code = call(Name);
  return Code ? Code : PushedContexts ? Ok : 201; // no context
}

} // namespace

#define CALL(Name)                                                             \
  if (Result Code = call(Name))                                                \
  return Code
#define CALL_IN(Name)                                                          \
  if (Result Code = callIn(Name))                                              \
  return Code

extern "C" {

void cria_gpu_fetch(uint64_t At) {
  if (!inside(At, 1))
    stop("a thread asks for memory that nobody allocated");
}
static void copy(int32_t Place, uint64_t From, int32_t Words) {
  size_t Bytes = static_cast<size_t>(Words) * 4;
  if (!inside(From, Bytes) || From % Bytes || Place % Words)
    stop("a copy from or to where its bytes cannot be");
  place(Place + Words - 1);
  std::memset(&place(Place), 0xff, Bytes);
  TheMachine->current().Copies.back().push_back({Place, From, Bytes});
}
void cria_gpu_copy(int32_t Place, uint64_t From) { copy(Place, From, 4); }
void cria_gpu_copy_word(int32_t Place, uint64_t From) { copy(Place, From, 1); }
uint32_t cria_gpu_words1(uint64_t Place) {
  uint32_t Word;
  std::memcpy(&Word, &place(static_cast<int32_t>(Place)), sizeof(Word));
  return Word;
}
/// Words of the team's memory, from the place in the first one on.
void fake_words(int32_t Count, uint32_t *Own) {
  auto Place = static_cast<int32_t>(Own[0]);
  if (Place % Count)
    stop("words are not at a multiple of their bytes");
  place(Place + Count - 1);
  std::memcpy(Own, &place(Place), static_cast<size_t>(Count) * 4);
}
void cria_gpu_copy_commit() { TheMachine->current().Copies.emplace_back(); }
void cria_gpu_copy_wait(int32_t Pending) {
  auto &Groups = TheMachine->current().Copies;
  if (Pending < 0 || Pending > kMostCopyGroups)
    stop("a wait for copies with a number that no instruction has");
  while (Groups.size() > static_cast<size_t>(Pending) + 1) {
    for (Fiber::Copy Each : Groups.front())
      std::memcpy(&place(Each.Place), reinterpret_cast<void *>(Each.From),
                  Each.Bytes);
    Groups.erase(Groups.begin());
  }
}

Result cuInit(unsigned) {
  CALL("cuInit");
  return std::atoi(setting("FAKE_CUDA_COUNT", "1")) ? Ok : NoDevice;
}
Result cuDriverGetVersion(int *Version) {
  CALL("cuDriverGetVersion");
  *Version = 12040;
  return Ok;
}
Result cuDeviceGetCount(int *Count) {
  CALL("cuDeviceGetCount");
  *Count = std::atoi(setting("FAKE_CUDA_COUNT", "1"));
  return Ok;
}
Result cuDeviceGet(int *Device, int Ordinal) {
  CALL("cuDeviceGet");
  *Device = Ordinal;
  return Ok;
}
Result cuDeviceGetName(char *Name, int Size, int) {
  CALL("cuDeviceGetName");
  std::snprintf(Name, Size, "Fake GPU");
  return Ok;
}
Result cuDeviceGetAttribute(int *Value, int Attribute, int) {
  CALL("cuDeviceGetAttribute");
  int Compute = std::atoi(setting("FAKE_CUDA_COMPUTE", "90"));
  switch (Attribute) {
  case 16:
    *Value = kMultiprocessors;
    return Ok;
  case 75:
    *Value = Compute / 10;
    return Ok;
  case 76:
    *Value = Compute % 10;
    return Ok;
  case 95:
    *Value = 1;
    return Ok;
  }
  return Invalid;
}
Result cuDevicePrimaryCtxRetain(void **Context, int) {
  CALL("cuDevicePrimaryCtxRetain");
  ++OpenObjects;
  *Context = &OpenObjects;
  return Ok;
}
Result cuDevicePrimaryCtxRelease_v2(int) {
  CALL("cuDevicePrimaryCtxRelease_v2");
  // Last of a session: what it made is gone.
  if (--OpenObjects || !allocations().empty())
    stop("memory, streams or modules are left when the context goes");
  return Ok;
}
Result cuCtxPushCurrent_v2(void *) {
  CALL("cuCtxPushCurrent_v2");
  ++PushedContexts;
  return Ok;
}
Result cuCtxPopCurrent_v2(void **) {
  CALL("cuCtxPopCurrent_v2");
  --PushedContexts;
  return Ok;
}
Result cuMemGetInfo_v2(size_t *Free, size_t *Total) {
  CALL_IN("cuMemGetInfo_v2");
  *Total = memoryBytes();
  *Free = *Total - UsedBytes;
  return Ok;
}
Result cuModuleLoadDataEx(void **Module, const void *Image, unsigned Count,
                          int *Options, void **Values) {
  CALL_IN("cuModuleLoadDataEx");
  std::string Text = static_cast<const char *>(Image);
  size_t Entry = Text.find(".entry ");
  if (Text.find(".version ") == std::string::npos ||
      Entry == std::string::npos) {
    for (unsigned I = 0; I < Count; ++I)
      if (Options[I] == 5)
        std::strcpy(static_cast<char *>(Values[I]), "no .version or no .entry");
    return BadPtx;
  }
  LoadedCode = Text;
  ++OpenObjects;
  *Module = &LoadedCode;
  return Ok;
}
Result cuModuleUnload(void *) {
  CALL_IN("cuModuleUnload");
  --OpenObjects;
  return Ok;
}
Result cuModuleGetFunction(void **Function, void *, const char *Name) {
  CALL_IN("cuModuleGetFunction");
  *Function = &LoadedCode;
  std::string Entry = std::string(".entry ") + Name + "(";
  return LoadedCode.find(Entry) != std::string::npos ? Ok : NotFound;
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *Blocks, void *, int,
                                                   size_t) {
  CALL_IN("cuOccupancyMaxActiveBlocksPerMultiprocessor");
  *Blocks = 1;
  return Ok;
}
Result cuMemAlloc_v2(uint64_t *Address, size_t Bytes) {
  CALL_IN("cuMemAlloc_v2");
  if (!Bytes)
    return Invalid;
  if (UsedBytes + Bytes > memoryBytes())
    return NoMemory;
  void *Memory = std::aligned_alloc(256, (Bytes + 255) / 256 * 256);
  if (!Memory)
    return NoMemory;
  std::memset(Memory, 0xff, Bytes); // numbers of no use to anybody
  *Address = reinterpret_cast<uint64_t>(Memory);
  allocations()[*Address] = Bytes;
  UsedBytes += Bytes;
  return Ok;
}
Result cuMemFree_v2(uint64_t Address) {
  CALL_IN("cuMemFree_v2");
  auto Found = allocations().find(Address);
  if (Found == allocations().end())
    return Invalid;
  UsedBytes -= Found->second;
  allocations().erase(Found);
  std::free(reinterpret_cast<void *>(Address));
  return Ok;
}
Result cuMemAllocHost_v2(void **Memory, size_t Bytes) {
  CALL_IN("cuMemAllocHost_v2");
  ++OpenObjects;
  *Memory = std::malloc(Bytes);
  return *Memory ? Ok : NoMemory;
}
Result cuMemFreeHost(void *Memory) {
  CALL_IN("cuMemFreeHost");
  --OpenObjects;
  std::free(Memory);
  return Ok;
}
Result cuMemcpyHtoDAsync_v2(uint64_t To, const void *From, size_t Bytes,
                            void *) {
  CALL_IN("cuMemcpyHtoDAsync_v2");
  if (!inside(To, Bytes))
    return Invalid;
  std::memcpy(reinterpret_cast<void *>(To), From, Bytes);
  return Ok;
}
Result cuMemcpyDtoHAsync_v2(void *To, uint64_t From, size_t Bytes, void *) {
  CALL_IN("cuMemcpyDtoHAsync_v2");
  if (!inside(From, Bytes))
    return Invalid;
  std::memcpy(To, reinterpret_cast<void *>(From), Bytes);
  return Ok;
}
Result cuMemcpyDtoDAsync_v2(uint64_t To, uint64_t From, size_t Bytes, void *) {
  CALL_IN("cuMemcpyDtoDAsync_v2");
  if (!inside(To, Bytes) || !inside(From, Bytes))
    return Invalid;
  std::memmove(reinterpret_cast<void *>(To), reinterpret_cast<void *>(From),
               Bytes);
  return Ok;
}
Result cuMemsetD8Async(uint64_t To, unsigned char Value, size_t Bytes, void *) {
  CALL_IN("cuMemsetD8Async");
  if (!inside(To, Bytes))
    return Invalid;
  std::memset(reinterpret_cast<void *>(To), Value, Bytes);
  return Ok;
}
Result cuStreamCreate(void **Stream, unsigned) {
  CALL_IN("cuStreamCreate");
  ++OpenObjects;
  *Stream = &UsedBytes;
  return Ok;
}
Result cuStreamDestroy_v2(void *) {
  CALL_IN("cuStreamDestroy_v2");
  --OpenObjects;
  return Ok;
}
Result cuStreamSynchronize(void *) {
  CALL_IN("cuStreamSynchronize");
  return Ok;
}
Result cuLaunchCooperativeKernel(void *, unsigned GridX, unsigned, unsigned,
                                 unsigned BlockX, unsigned, unsigned, unsigned,
                                 void *, void **Parameters) {
  CALL_IN("cuLaunchCooperativeKernel");
  if (GridX > kMultiprocessors || BlockX % kGroup)
    return 720; // CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
  const char *Path = std::getenv("FAKE_CUDA_KERNELS");
  if (!Path)
    return Ok;
  // So that the kernels find this library's functions.
  Dl_info Self;
  if (!dladdr(reinterpret_cast<void *>(&cuInit), &Self) ||
      !dlopen(Self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL))
    stop(dlerror());
  void *Library = dlopen(Path, RTLD_NOW | RTLD_LOCAL);
  void *Code = Library ? dlsym(Library, "model_forward") : nullptr;
  if (!Code)
    stop(dlerror());
  Machine Run;
  std::memcpy(&Run.Code, &Code, sizeof(Code));
  Run.Args = Parameters[0];
  TheMachine = &Run;
  Run.TeamGroups = BlockX / kGroup;
  Run.run(GridX * Run.TeamGroups);
  TheMachine = nullptr;
  return Ok;
}
Result cuGetErrorName(Result Code, const char **Name) {
  *Name = Code == OldPtx     ? "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"
          : Code == NoMemory ? "CUDA_ERROR_OUT_OF_MEMORY"
          : Code == BadPtx   ? "CUDA_ERROR_INVALID_PTX"
          : Code == Fault    ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                             : "CUDA_ERROR_OTHER";
  return Ok;
}
Result cuGetErrorString(Result Code, const char **Text) {
  *Text = Code == OldPtx     ? "the provided PTX was compiled with an "
                               "unsupported toolchain."
          : Code == NoMemory ? "out of memory"
          : Code == Fault    ? "an illegal memory access was encountered"
                             : "another error";
  return Ok;
}

} // extern "C"
