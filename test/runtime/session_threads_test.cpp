// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Barrier, thread pool, and sessions on several threads.
#include "session_fixture.h"

#include "threads/Barrier.h"
#include "threads/CpuCount.h"
#include "threads/ThreadPool.h"

#include <chrono>
#include <thread>

using namespace cria::test;
using namespace cria::runtime;

namespace {

/// Each thread raises its own counter, waits, and looks at all the others.
struct Lockstep {
  static constexpr int Threads = 4;
  Barrier Meeting;
  int Rounds = 0;
  int Counters[Threads][16] = {};
  std::atomic<int> Faults{0};

  void run(int64_t Thread) {
    for (int Round = 1; Round <= Rounds; ++Round) {
      Counters[Thread][0] = Round;
      Meeting.wait();
      for (auto &Counter : Counters)
        if (Counter[0] != Round)
          ++Faults;
      Meeting.wait();
    }
  }
};

void stress(uint32_t Spins, int Rounds) {
  Lockstep Test;
  Test.Rounds = Rounds;
  Test.Meeting.init(Lockstep::Threads, Spins);
  ThreadPool Pool;
  cria_error Error;
  ASSERT_EQ(Pool.start(Lockstep::Threads, &Error), CRIA_OK) << Error.message;
  Pool.run(
      [](void *Context, int64_t Thread) {
        static_cast<Lockstep *>(Context)->run(Thread);
      },
      &Test);
  EXPECT_EQ(Test.Faults, 0);
}

TEST(SessionBarrier, HoldsWhenAllSleep) { stress(0, 5000); }

TEST(SessionBarrier, HoldsWhenMoreThreadsThanProcessorsSpin) {
  stress(200, 5000);
}

TEST(SessionThreadPool, RunsEveryThreadOnceEachTime) {
  ThreadPool Pool;
  cria_error Error;
  ASSERT_EQ(Pool.start(4, &Error), CRIA_OK);
  std::atomic<int> Calls[4] = {};
  for (int Round = 1; Round <= 2000; ++Round) {
    Pool.run(
        [](void *Context, int64_t Thread) {
          ++static_cast<std::atomic<int> *>(Context)[Thread];
        },
        Calls);
    for (auto &Count : Calls)
      ASSERT_EQ(Count, Round);
  }
}

TEST(SessionThreadPool, TheCallerIsThreadZero) {
  ThreadPool Pool;
  cria_error Error;
  ASSERT_EQ(Pool.start(3, &Error), CRIA_OK);
  std::thread::id Ids[3];
  Pool.run(
      [](void *Context, int64_t Thread) {
        static_cast<std::thread::id *>(Context)[Thread] =
            std::this_thread::get_id();
      },
      Ids);
  EXPECT_EQ(Ids[0], std::this_thread::get_id());
  EXPECT_NE(Ids[1], Ids[0]);
  EXPECT_NE(Ids[2], Ids[1]);
}

TEST(SessionThreadPool, SleepingWorkersWakeUp) {
  ThreadPool Pool;
  cria_error Error;
  ASSERT_EQ(Pool.start(2, &Error), CRIA_OK);
  std::atomic<int> Calls{0};
  for (int Round = 0; Round < 5; ++Round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    Pool.run([](void *Context,
                int64_t) { ++*static_cast<std::atomic<int> *>(Context); },
             &Calls);
  }
  EXPECT_EQ(Calls, 10);
}

TEST(SessionCpus, CoresAreAtMostTheProcessors) {
  EXPECT_GE(cria_default_threads(), 1);
  EXPECT_LE(cria_default_threads(), allowedCpus());
}

using SessionThreads = SessionTest;

int threadsOfProcess() {
  int Count = 0;
  if (FILE *File = std::fopen("/proc/self/status", "r")) {
    char Line[256];
    while (std::fgets(Line, sizeof(Line), File))
      std::sscanf(Line, "Threads: %d", &Count);
    std::fclose(File);
  }
  return Count;
}

TEST_F(SessionThreads, LogitsDoNotDependOnTheirNumber) {
  for (int64_t Threads : {1, 2, 4, 7}) {
    open(options(0, 1, Threads));
    EXPECT_EQ(cria_session_threads(Session), Threads);
    std::vector<int32_t> Text = randomTokens(100);
    float *Logits;
    ASSERT_EQ(append(0, Text, &Logits), CRIA_OK);
    expectLogits(Logits, Text);
    for (int Step = 0; Step < 150; ++Step) {
      std::vector<int32_t> Next = randomTokens(1);
      ASSERT_EQ(append(0, Next, &Logits), CRIA_OK);
      Text.push_back(Next[0]);
      expectLogits(Logits, Text);
    }
  }
}

TEST_F(SessionThreads, OneThreadStartsNone) {
  int Before = threadsOfProcess();
  open(options(0, 1, 1));
  EXPECT_EQ(threadsOfProcess(), Before);
}

TEST_F(SessionThreads, FreeEndsWhatCreateStarted) {
  int Before = threadsOfProcess();
  open(options(0, 1, 3));
  EXPECT_EQ(threadsOfProcess(), Before + 2);
  cria_session_free(Session);
  Session = nullptr;
  EXPECT_EQ(threadsOfProcess(), Before);
}

void parallelHook(void *Context, int64_t Threads, void (*Body)(void *, int64_t),
                  void *BodyContext) {
  ++*static_cast<int *>(Context);
  std::vector<std::thread> Others;
  for (int64_t I = 1; I < Threads; ++I)
    Others.emplace_back(Body, BodyContext, I);
  Body(BodyContext, 0);
  for (std::thread &Each : Others)
    Each.join();
}

TEST_F(SessionThreads, TheCallersHookRunsThem) {
  int Calls = 0;
  cria_session_options Options = options(0, 1, 3);
  Options.parallel = parallelHook;
  Options.parallel_context = &Calls;
  int Before = threadsOfProcess();
  open(Options);
  EXPECT_EQ(threadsOfProcess(), Before);
  std::vector<int32_t> Text = randomTokens(100);
  float *Logits;
  ASSERT_EQ(append(0, Text, &Logits), CRIA_OK);
  expectLogits(Logits, Text);
  EXPECT_EQ(Calls, 3); // chunks of 48
}

TEST_F(SessionThreads, SessionsOnOneArtifactRunAtOnce) {
  std::atomic<int> Faults{0};
  auto Run = [&](int32_t Seed) {
    cria_session_options Options = options(0, 1, 2);
    cria_session *Own;
    if (cria_session_create(Artifact, &Options, &Own, nullptr)) {
      ++Faults;
      return;
    }
    std::vector<int32_t> Text;
    for (int32_t I = 0; I < 200; ++I) {
      int32_t Token = (Seed * 31 + I * I) % FAKE_VOCAB;
      Text.push_back(Token);
      float *Logits, Expected[FAKE_VOCAB];
      if (cria_session_forward(Own, 1, &Token, nullptr, nullptr, &Logits,
                               nullptr))
        ++Faults;
      fake_logits(Text.data(), Text.size(), Expected);
      Faults += Logits[FAKE_VOCAB - 1] != Expected[FAKE_VOCAB - 1];
    }
    cria_session_free(Own);
  };
  std::thread First(Run, 1), Second(Run, 2);
  First.join();
  Second.join();
  EXPECT_EQ(Faults, 0);
}

} // namespace
