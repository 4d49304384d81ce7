// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria_session_profile: calls and formulas, on a model whose stamps are made
// by hand.
#include "session_fixture.h"

#include <cstddef>

using namespace cria::test;

namespace {

enum { Linear, Full, Window, Head, OpCount };

constexpr cria_profile_op Ops[OpCount] = {
    {"w", "linear", "prefill", 100, 0, 3, 7, 0, 0, 0, 1},
    {"full", "attention", "prefill", 0, 5, 0, 0, 2, 0, 0, 0},
    {"window", "attention", "prefill", 0, 5, 0, 0, 2, 4, 0, 0},
    {"head", "linear", "prefill", 1000, 0, 11, 13, 0, 0, 1, 0},
};

void forwardProfiled(const cria_forward_args *Args, int64_t Thread,
                     int64_t Threads, cria_profile_counter *Counters) {
  fake_get()->clones->forward(Args, Thread, Threads);
  // Two layers and a head; the second thread is slower.
  for (int Op : {Linear, Full, Window})
    Counters[Op].calls += 2;
  Counters[Linear].ticks += Thread == 0 ? 1000 : 3000;
  Counters[Head].calls += 1;
  Counters[OpCount].calls += 1;
}

// Of each clone.
constexpr cria_forward_profiled_fn Profiled[] = {forwardProfiled,
                                                 forwardProfiled};

cria_model profiledModel() {
  cria_model Model = *fake_get();
  Model.n_profile_ops = OpCount;
  Model.profile_ops = Ops;
  Model.forward_profiled = Profiled;
  return Model;
}

class SessionProfileTest : public SessionTest {
protected:
  void openModel(const cria_session_options &Options) {
    cria_session_free(Session);
    Session = nullptr;
    cria_artifact_free(Artifact);
    ASSERT_EQ(openArtifact(), CRIA_OK) << Error.message;
    open(Options);
  }
  cria_status openArtifact() {
    std::string File = Dir.write("model.safetensors", fakeWeights());
    return cria_artifact_from(&Model, File.c_str(), &Artifact, &Error);
  }
  cria_profile profile() {
    cria_profile Result;
    EXPECT_EQ(cria_session_profile(Session, &Result, &Error), CRIA_OK)
        << Error.message;
    return Result;
  }

  cria_model Model = profiledModel();
};

TEST_F(SessionProfileTest, NeedsAProfiledModel) {
  open(options(64, 1));
  cria_profile Profile;
  EXPECT_EQ(cria_session_profile(Session, &Profile, &Error), CRIA_UNSUPPORTED);
  EXPECT_TRUE(contains(Error.message, "--profile")) << Error.message;
  EXPECT_EQ(Profile.n_entries, 0);
  EXPECT_EQ(cria_session_profile_reset(Session, &Error), CRIA_UNSUPPORTED);
}

TEST_F(SessionProfileTest, RefusesNull) {
  cria_profile Profile;
  EXPECT_EQ(cria_session_profile(nullptr, &Profile, &Error),
            CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(cria_session_profile(Session, nullptr, &Error),
            CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(cria_session_profile_reset(nullptr, &Error), CRIA_INVALID_ARGUMENT);
}

TEST_F(SessionProfileTest, CountsRunsAndCalls) {
  openModel(options(300, 1));
  ASSERT_EQ(append(0, randomTokens(FAKE_BATCH + 2)), CRIA_OK);
  cria_profile Profile = profile();
  EXPECT_EQ(Profile.runs, 2); // more than max_batch
  EXPECT_EQ(Profile.tokens, FAKE_BATCH + 2);
  EXPECT_EQ(Profile.outputs, 1);
  ASSERT_EQ(Profile.n_entries, OpCount);
  EXPECT_EQ(Profile.entries[Linear].calls, 4u);
  EXPECT_EQ(Profile.entries[Head].calls, 2u);
  EXPECT_EQ(Profile.entries[Linear].op, &Ops[Linear]);
}

TEST_F(SessionProfileTest, SumsWhatRowsNeed) {
  openModel(options(300, 1));
  ASSERT_EQ(append(0, randomTokens(5)), CRIA_OK);
  ASSERT_EQ(append(0, randomTokens(1)), CRIA_OK);
  const cria_profile_entry &W = profile().entries[Linear];
  EXPECT_EQ(W.memory_bytes, 2 * 2 * 100);
  EXPECT_EQ(W.activation_bytes, 2 * 3 * (5 + 1));
  EXPECT_EQ(W.operations, 2 * 7 * (5 + 1));
  // Rows of the head are outputs: one a call.
  const cria_profile_entry &H = profile().entries[Head];
  EXPECT_EQ(H.activation_bytes, 11 * 2);
  EXPECT_EQ(H.operations, 13 * 2);
}

TEST_F(SessionProfileTest, SumsWhatPositionsNeed) {
  openModel(options(300, 2));
  ASSERT_EQ(append(0, randomTokens(6)), CRIA_OK);
  ASSERT_EQ(cria_session_profile_reset(Session, &Error), CRIA_OK);
  // Positions 6, 7, 8 of one sequence and 0, 1 of another, mixed.
  std::vector<int32_t> Rows = {0, 1, 0, 1, 0}, Tokens = randomTokens(5);
  ASSERT_EQ(cria_session_forward(Session, 5, Tokens.data(), Rows.data(),
                                 nullptr, nullptr, &Error),
            CRIA_OK);
  const cria_profile_entry *Entries = profile().entries;
  EXPECT_EQ(Entries[Full].memory_bytes, 2 * 5 * (9 + 2));
  EXPECT_EQ(Entries[Full].operations, 2 * 2 * (7 + 8 + 9 + 1 + 2));
  // A window of 4: positions 3 to 8 of the first, all of the second.
  EXPECT_EQ(Entries[Window].memory_bytes, 2 * 5 * (6 + 2));
  EXPECT_EQ(Entries[Window].operations, 2 * 2 * (4 + 4 + 4 + 1 + 2));
}

TEST_F(SessionProfileTest, AveragesTheThreads) {
  openModel(options(64, 1, 2));
  ASSERT_EQ(append(0, randomTokens(1)), CRIA_OK);
  cria_profile Profile = profile();
  const cria_profile_entry &W = Profile.entries[Linear];
  EXPECT_GT(Profile.seconds, 0);
  EXPECT_GT(W.seconds, 0);
  // 3000 ticks beside 1000.
  EXPECT_NEAR(W.most_seconds / W.seconds, 1.5, 1e-9);
  EXPECT_EQ(W.calls, 2u); // of each thread, not of all
}

TEST_F(SessionProfileTest, ResetForgets) {
  openModel(options(64, 1));
  ASSERT_EQ(append(0, randomTokens(3)), CRIA_OK);
  ASSERT_EQ(cria_session_profile_reset(Session, &Error), CRIA_OK);
  cria_profile Profile = profile();
  EXPECT_EQ(Profile.runs, 0);
  EXPECT_EQ(Profile.seconds, 0);
  EXPECT_EQ(Profile.entries[Linear].calls, 0u);
  EXPECT_EQ(Profile.entries[Linear].memory_bytes, 0);
}

// A model that was compiled before there were profiles.
TEST_F(SessionProfileTest, IgnoresWhatStructBytesLeavesOut) {
  Model.struct_bytes = CRIA_MODEL_LEAST_BYTES;
  Model.n_profile_ops = -1;
  openModel(options(64, 1));
  cria_profile Profile;
  EXPECT_EQ(cria_session_profile(Session, &Profile, &Error), CRIA_UNSUPPORTED);
}

TEST_F(SessionProfileTest, RefusesWrongTables) {
  cria_artifact_free(Artifact);
  Artifact = nullptr;
  Model.n_profile_ops = -1;
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
  EXPECT_TRUE(contains(Error.message, "n_profile_ops is -1")) << Error.message;
  Model = profiledModel();
  Model.profile_ops = nullptr;
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
  Model = profiledModel();
  Model.forward_profiled = nullptr;
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
  cria_profile_op Wrong = Ops[0];
  Wrong.name = nullptr;
  Model = profiledModel();
  Model.n_profile_ops = 1;
  Model.profile_ops = &Wrong;
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
  EXPECT_TRUE(contains(Error.message, "profile op 0")) << Error.message;
  Wrong = Ops[0];
  Wrong.window = -4;
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
}

} // namespace
