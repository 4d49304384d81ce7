// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The threads of a GPU, and the functions that kernels call
// (compiler/gpu/TeamBuilder.h).

#include "fake_gpu.h"

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <ucontext.h>
#include <utility>
#include <vector>

using namespace fake;

namespace {

constexpr int kGroup = 16, kWarpGroups = 2, kMostCopyGroups = 6;

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

enum class Wait { None, Group, Warp, MBarrier, Team, All, Done };

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
  /// A product of four warps that was begun: its operands.
  struct Begun {
    uint32_t A[4];
    int32_t Place, Leading, Stride;
    std::vector<uint32_t> Sums;
  };
  std::vector<Begun> Products;
  bool IsCommitted = true;
};

/// Memory of a block, and the mbarriers in it.
struct Block {
  struct MBarrier {
    int64_t Arrivals, Pending; // of a phase; of the one at hand
    int64_t Bytes = 0;         // that are still to come in it
    uint64_t Phase = 0;
    /// What arrives when somebody waits; bulk copies bring bytes.
    std::vector<std::vector<Fiber::Copy>> Threads;
    std::vector<Fiber::Copy> Bulks;
  };
  std::vector<float> Memory;
  /// Places that the async proxy would see an older state of.
  std::vector<bool> IsUnfenced;
  std::map<int32_t, MBarrier> MBarriers;
};

struct Group {
  Fiber Lanes[kGroup];
  int32_t Passed[2][kGroup];
  uint32_t Operands[2][kGroup][10]; // of a product of the warp
};

/// What the threads of a warp found out together.
struct Agreed {
  uint64_t Number = 0;
  bool Value;
};

/// What a warp multiplies, as numbers: done once for its 32 threads.
struct Product {
  uint64_t Number = 0; // of the warp's, from 1 on
  double A[16][32], B[8][32];
};

struct Machine {
  std::vector<Group> Groups;
  size_t TeamGroups = 1;         // of a block
  int32_t Places = 0;            // of its memory
  std::vector<Block> Blocks;     // each
  std::vector<Product> Products; // of each warp, two
  std::vector<Agreed> Found;     // the same
  uint64_t Events = 0;           // of mbarriers
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

  void runWarps(size_t First) {
    for (size_t W : order(First, TeamGroups, kWarpGroups))
      runTogether(W, kWarpGroups, Wait::Warp,
                  "half a warp waits for a product alone", [&] {
                    for (size_t I : order(W, kWarpGroups))
                      if (Groups[I].Lanes[0].Waits == Wait::None)
                        runGroup(I);
                  });
  }

  /// Who waits at an mbarrier asks again while anything happens to one.
  void runTeam(size_t First) {
    runTogether(First, TeamGroups, Wait::Team,
                "some groups of a team wait for it where others do not", [&] {
                  for (;;) {
                    uint64_t Before = Events;
                    runWarps(First);
                    bool Asks = false;
                    for (size_t I = First; I < First + TeamGroups; ++I)
                      if (Groups[I].Lanes[0].Waits == Wait::MBarrier) {
                        Asks = true;
                        release(I, 1);
                      }
                    if (!Asks)
                      return;
                    if (Events == Before)
                      stop("a wait for an mbarrier does not end");
                  }
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
  if (!M.current().Products.empty())
    stop("a thread ends and does not wait for its products");
  M.wait(Wait::Done);
}

void Machine::run(size_t Count) {
  constexpr size_t StackBytes = 256 << 10;
  Order = setting("FAKE_CUDA_ORDER", "forward");
  Random.seed(static_cast<unsigned>(std::atoi(Order.c_str())));
  Groups = std::vector<Group>(Count);
  Blocks = std::vector<Block>(Count / TeamGroups);
  for (Block &Each : Blocks) {
    Each.Memory.assign(Places, NAN);
    Each.IsUnfenced.assign(Places, false);
  }
  Products = std::vector<Product>(Count);
  Found = std::vector<Agreed>(Count);
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

void fake::runKernel(Forward Code, const void *Args, size_t Blocks,
                     size_t Threads, int32_t Places) {
  Machine Run;
  Run.Code = Code;
  Run.Args = Args;
  Run.Places = Places;
  Run.TeamGroups = Threads / kGroup;
  TheMachine = &Run;
  Run.run(Blocks * Run.TeamGroups);
  TheMachine = nullptr;
}

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
                 : Exponent == 0 ? Mantissa * 0x1p-24
                                 : (Mantissa + 1024) * 0x1p-25 *
                                       static_cast<double>(1U << Exponent);
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
static Block &block() {
  return TheMachine->Blocks[TheMachine->AtGroup / TheMachine->TeamGroups];
}
static float &place(int32_t Place) {
  if (Place < 0 || Place >= TheMachine->Places)
    stop("a place that no team has");
  return block().Memory[Place];
}
void cria_gpu_put(int32_t Place, float Value) {
  place(Place) = Value;
  block().IsUnfenced[Place] = true;
}
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

void cria_gpu_fetch(uint64_t At) {
  if (!inside(At, 1))
    stop("a thread asks for memory that nobody allocated");
}
/// What is to be copied; until then its places have no numbers.
static Fiber::Copy begin(int32_t Place, uint64_t From, size_t Bytes,
                         size_t Alignment) {
  if (!Bytes || !inside(From, Bytes) || From % Alignment || Bytes % Alignment ||
      Place % (Alignment / 4))
    stop("a copy from or to where its bytes cannot be");
  place(Place + static_cast<int32_t>(Bytes / 4) - 1);
  std::memset(&place(Place), 0xff, Bytes);
  return {Place, From, Bytes};
}
static void end(const Fiber::Copy &Each, bool IsBulk) {
  std::memcpy(&place(Each.Place), reinterpret_cast<void *>(Each.From),
              Each.Bytes);
  for (size_t I = 0; I < Each.Bytes / 4; ++I)
    block().IsUnfenced[Each.Place + I] = !IsBulk;
}
static void copy(int32_t Place, uint64_t From, int32_t Words) {
  size_t Bytes = static_cast<size_t>(Words) * 4;
  TheMachine->current().Copies.back().push_back(
      begin(Place, From, Bytes, Bytes));
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
    for (const Fiber::Copy &Each : Groups.front())
      end(Each, /*IsBulk=*/false);
    Groups.erase(Groups.begin());
  }
}

static Block::MBarrier &barrier(int32_t Place) {
  auto Found = block().MBarriers.find(Place);
  if (Found == block().MBarriers.end())
    stop("an mbarrier that nobody made");
  return Found->second;
}
static void arrive(Block::MBarrier &Own, int64_t Arrivals, int64_t Bytes) {
  ++TheMachine->Events;
  Own.Pending -= Arrivals;
  Own.Bytes += Bytes;
  if (Own.Pending < 0)
    stop("more arrive at an mbarrier than a phase has");
  if (!Own.Pending && !Own.Bytes) {
    Own.Pending = Own.Arrivals;
    ++Own.Phase;
  }
}
void cria_gpu_mbarrier_init(int32_t Place, int32_t Arrivals) {
  place(Place + 1);
  Block::MBarrier Made;
  Made.Arrivals = Made.Pending = Arrivals;
  if (Place % 2 || Arrivals < 1 ||
      !block().MBarriers.emplace(Place, Made).second)
    stop("an mbarrier where one is, or none can be");
}
void cria_gpu_mbarrier_inval(int32_t Place) {
  if (!barrier(Place).Threads.empty() || !barrier(Place).Bulks.empty())
    stop("an mbarrier goes that copies were to arrive at");
  block().MBarriers.erase(Place);
}
void cria_gpu_mbarrier_arrive(int32_t Place) { arrive(barrier(Place), 1, 0); }
/// All that the thread has begun and not waited for.
void cria_gpu_mbarrier_copies(int32_t Place) {
  auto &Groups = TheMachine->current().Copies;
  barrier(Place).Threads.emplace_back();
  for (auto &Each : Groups)
    for (const Fiber::Copy &Copy : Each)
      barrier(Place).Threads.back().push_back(Copy);
  Groups.assign(1, {});
}
void cria_gpu_bulk_copy(int32_t Place, uint64_t From, int32_t Bytes,
                        int32_t At) {
  barrier(At).Bulks.push_back(begin(Place, From, Bytes, 16));
  arrive(barrier(At), 1, Bytes);
}
void cria_gpu_mbarrier_wait(int32_t Place, int32_t Parity) {
  Machine &M = *TheMachine;
  for (;;) {
    // A warp's threads go on together, as what one sees depends on the others.
    uint64_t Number = ++M.current().Together;
    M.wait(Wait::Warp);
    Agreed &Ended = M.Found[M.AtGroup / kWarpGroups * 2 + Number % 2];
    if (Ended.Number != Number) {
      Block::MBarrier &Own = barrier(Place);
      for (const auto &Copies : std::exchange(Own.Threads, {})) {
        for (const Fiber::Copy &Each : Copies)
          end(Each, /*IsBulk=*/false);
        arrive(Own, 1, 0);
      }
      for (const Fiber::Copy &Each : std::exchange(Own.Bulks, {})) {
        end(Each, /*IsBulk=*/true);
        arrive(Own, 0, -static_cast<int64_t>(Each.Bytes));
      }
      Ended.Number = Number;
      Ended.Value = (Own.Phase & 1) != static_cast<uint32_t>(Parity);
      M.Events += Ended.Value;
    }
    if (Ended.Value)
      return;
    M.wait(Wait::MBarrier);
  }
}
void cria_gpu_fence_async() {
  Block &Own = block();
  std::fill(Own.IsUnfenced.begin(), Own.IsUnfenced.end(), false);
}
void cria_gpu_wgmma_commit() { TheMachine->current().IsCommitted = true; }
/// What stands for sum `I` of the thread's product `Number` until it is there.
static uint32_t promise(size_t Number, size_t I) {
  return 0x7fc00000 | static_cast<uint32_t>(Number << 8 | I);
}
/// A thread's operands of wgmma.m64nNk16 of bf16, B in the block's memory; `N`
/// is 2 `Count`. Sums are promised.
void fake_wgmma(int32_t Count, uint32_t *Own) {
  Fiber &Self = TheMachine->current();
  Fiber::Begun Begun;
  std::memcpy(Begun.A, Own, sizeof(Begun.A));
  Begun.Place = static_cast<int32_t>(Own[4]);
  Begun.Leading = static_cast<int32_t>(Own[5]);
  Begun.Stride = static_cast<int32_t>(Own[6]);
  if (Begun.Place % 4 || Begun.Leading % 16 || Begun.Stride % 16)
    stop("an operand in memory is not at a multiple of 16 bytes");
  Begun.Sums.assign(Own + 7, Own + 7 + Count);
  for (int32_t I = 0; I < Count; ++I)
    Own[I] = promise(Self.Products.size(), I);
  Self.Products.push_back(std::move(Begun));
  Self.IsCommitted = false;
}
/// Computes what the thread's warp has begun, and keeps the promises in `Own`.
/// Where elements are is from the figures of the PTX ISA, "Register fragments
/// for wgmma.mma_async.m64nNk16" and "Strides" of the matrix descriptor.
void fake_wgmma_wait(int32_t Count, uint32_t *Own) {
  Machine &M = *TheMachine;
  Fiber &Self = M.current();
  if (!Self.IsCommitted)
    stop("a wait for products that are in no group");
  auto IsPromise = [&](uint32_t Bits) {
    return Bits >> 22 == 0x7fc00000u >> 22 &&
           (Bits & 0x3fffff) >> 8 < Self.Products.size();
  };
  ++Self.Together;
  M.wait(Wait::Warp); // all have begun
  size_t First = M.AtGroup / kWarpGroups * kWarpGroups;
  int Quad = M.threadOfWarp() / 4, Lane = M.threadOfWarp() % 4;
  for (size_t Number = 0; Number < Self.Products.size(); ++Number) {
    Fiber::Begun &Begun = Self.Products[Number];
    double Rows[2][16];
    for (int Word = 0; Word < 16; ++Word) {
      int Thread = 4 * Quad + Word / 4;
      const Fiber &Other =
          M.Groups[First + Thread / kGroup].Lanes[Thread % kGroup];
      if (Other.Products.size() != Self.Products.size())
        stop("the threads of a warp have begun different products");
      for (int I = 0; I < 2; ++I)
        Rows[Word % 2][(Word / 4 + Word % 4 / 2 * 4) * 2 + I] =
            element(Other.Products[Number].A[Word % 4], I, 1, false);
    }
    for (size_t I = 0; I < Begun.Sums.size(); ++I) {
      auto Column = static_cast<int32_t>(I / 4 * 8 + 2 * Lane + I % 2);
      uint32_t Bits = Begun.Sums[I];
      if (IsPromise(Bits))
        Bits = Self.Products[(Bits & 0x3fffff) >> 8].Sums[Bits & 255];
      float Start;
      std::memcpy(&Start, &Bits, sizeof(Start));
      double Sum = Start;
      for (int K = 0; K < 16; ++K) {
        int32_t Byte = K / 8 * Begun.Leading + Column / 8 * Begun.Stride +
                       Column % 8 * 16 + K % 8 * 2;
        int32_t At = Begun.Place + Byte / 4;
        uint32_t Word;
        std::memcpy(&Word, &place(At), sizeof(Word));
        if (block().IsUnfenced[At])
          Word = 0xffffffff;
        Sum += Rows[I % 4 / 2][K] * element(Word, K % 2, 1, true);
      }
      auto Result = static_cast<float>(Sum);
      std::memcpy(&Begun.Sums[I], &Result, sizeof(Result));
    }
  }
  for (int32_t I = 0; I < Count; ++I)
    if (IsPromise(Own[I]))
      Own[I] = Self.Products[(Own[I] & 0x3fffff) >> 8].Sums[Own[I] & 255];
  ++Self.Together;
  M.wait(Wait::Warp); // others may read this one's operands until here
  Self.Products.clear();
}
} // extern "C"
