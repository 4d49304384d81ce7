// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lookup speculation: the index of n-grams, the length of drafts, and steps
// on the fake model, whose logits depend on every token of the text.
#include "cria/lookup.h"
#include "session/DraftPolicy.h"
#include "session/NgramIndex.h"
#include "session_fixture.h"

#include <algorithm>
#include <cstring>

using namespace cria::runtime;
using namespace cria::test;

namespace {

void append(NgramIndex &Index, const std::vector<int32_t> &Tokens) {
  for (int32_t Token : Tokens)
    Index.append(Token);
}

std::vector<int32_t> drafted(const NgramIndex &Index, int64_t Count) {
  NgramIndex::Match Found = Index.find();
  std::vector<int32_t> Tokens(Found.Length ? Count : 0);
  Index.follow(Found, Tokens.size(), Tokens.data());
  return Tokens;
}

using Ids = std::vector<int32_t>;

TEST(NgramIndex, FollowsTheLongestMatch) {
  NgramIndex Index;
  Index.init(64, 2);
  append(Index, {1, 2, 3, 10, 0, 9, 2, 3, 20, 0, 1, 2, 3});
  EXPECT_EQ(Index.find().Length, 3);
  EXPECT_EQ(drafted(Index, 2), (Ids{10, 0}));
}

TEST(NgramIndex, PrefersTheLatestOfEqualMatches) {
  NgramIndex Index;
  Index.init(64, 2);
  append(Index, {7, 2, 3, 10, 8, 2, 3, 20, 9, 2, 3});
  EXPECT_EQ(Index.find().Length, 2);
  EXPECT_EQ(drafted(Index, 1), (Ids{20}));
}

TEST(NgramIndex, FindsNothingBelowTheLeastMatch) {
  NgramIndex Index;
  Index.init(64, 3);
  EXPECT_EQ(Index.find().Length, 0) << "empty";
  append(Index, {1, 2});
  EXPECT_EQ(Index.find().Length, 0) << "shorter than a match";
  append(Index, {3, 4, 9, 3, 4});
  EXPECT_EQ(Index.find().Length, 0) << "two tokens agree";
  append(Index, {7, 9, 3, 4});
  EXPECT_EQ(Index.find().Length, 3);
}

TEST(NgramIndex, ContinuesAPeriodPastTheEnd) {
  NgramIndex Index;
  Index.init(64, 2);
  append(Index, {9, 1, 2, 3, 1, 2, 3});
  EXPECT_EQ(drafted(Index, 8), (Ids{1, 2, 3, 1, 2, 3, 1, 2}));
  append(Index, {5, 5, 5, 5, 5});
  EXPECT_EQ(Index.find().Length, 4);
  EXPECT_EQ(drafted(Index, 3), (Ids{5, 5, 5}));
}

TEST(NgramIndex, ForgetsTheOldestTokens) {
  NgramIndex Index;
  Index.init(7, 2); // exactly: a power of two less one
  append(Index, {1, 2, 3, 0, 1, 2});
  EXPECT_EQ(drafted(Index, 1), (Ids{3}));
  Index.append(4);          // 1 2 3 0 1 2 4
  append(Index, {5, 1, 2}); // 0 1 2 4 5 1 2
  EXPECT_EQ(drafted(Index, 1), (Ids{4}));
  append(Index, {6, 7, 2, 3});
  EXPECT_EQ(Index.find().Length, 0) << "2 3 was forgotten";
}

TEST(NgramIndex, AgreesWithASearchOfTheWholeText) {
  // Few different tokens: long chains, collisions, matches that overlap.
  constexpr int64_t Capacity = 63, MinMatch = 2;
  NgramIndex Index;
  Index.init(Capacity, MinMatch);
  Ids Text;
  uint64_t State = 5;
  for (int Step = 0; Step < 3000; ++Step) {
    State = State * 6364136223846793005u + 1442695040888963407u;
    Text.push_back(static_cast<int32_t>((State >> 40) % 3) * 1000003);
    Index.append(Text.back());
    int64_t Size = Text.size(), First = std::max<int64_t>(0, Size - Capacity);
    int64_t Longest = 0, Next = 0;
    for (int64_t End = Size - 1; End >= First + MinMatch; --End) {
      int64_t Length = 0;
      while (Length < NgramIndex::LongestMatch && End - Length > First &&
             Text[End - 1 - Length] == Text[Size - 1 - Length])
        ++Length;
      if (Length >= MinMatch && Length > Longest)
        Longest = Length, Next = End;
    }
    NgramIndex::Match Found = Index.find();
    ASSERT_EQ(Found.Length, Longest) << "after " << Size << " tokens";
    if (Longest) {
      ASSERT_EQ(Found.Next, Next) << "after " << Size << " tokens";
    }
  }
}

TEST(NgramIndex, RetractUndoesAnAppend) {
  NgramIndex Index;
  Index.init(7, 2);
  append(Index, {4, 1, 2, 3, 4, 1, 2, 8, 1, 2});
  NgramIndex::Match Before = Index.find();
  Index.append(3);
  Index.retract();
  EXPECT_EQ(Index.find().Length, Before.Length);
  EXPECT_EQ(Index.find().Next, Before.Next);
  EXPECT_EQ(drafted(Index, 1), (Ids{8}));
}

TEST(NgramIndex, ClearedIsEmpty) {
  NgramIndex Index;
  Index.init(64, 2);
  append(Index, {1, 2, 3, 1, 2});
  Index.clear();
  append(Index, {1, 2});
  EXPECT_EQ(Index.find().Length, 0);
  append(Index, {4, 1, 2});
  EXPECT_EQ(drafted(Index, 1), (Ids{4}));
}

TEST(DraftPolicy, DraftsMoreBehindALongerMatch) {
  DraftPolicy Policy;
  EXPECT_EQ(Policy.choose(0, 15), 0);
  EXPECT_LT(Policy.choose(2, 15), Policy.choose(32, 15));
  EXPECT_LE(Policy.choose(32, 2), 2);
  EXPECT_EQ(Policy.choose(32, 0), 0);
}

TEST(DraftPolicy, LearnsWhatDraftsAreWorth) {
  DraftPolicy Policy;
  for (int I = 0; I < 50; ++I)
    Policy.learnDraft(8, 3, 0);
  EXPECT_LT(Policy.probability(8), 0.2);
  EXPECT_GT(Policy.probability(30), 0.9) << "another class";
  for (int I = 0; I < 200; ++I)
    Policy.learnDraft(8, 1, 1);
  EXPECT_GT(Policy.probability(8), 0.9);
}

TEST(DraftPolicy, TokensBehindAWrongOneSayNothing) {
  DraftPolicy One, Two;
  One.learnDraft(2, 1, 0);
  Two.learnDraft(2, 15, 0);
  for (int64_t M = 1; M < 32; ++M)
    EXPECT_EQ(One.probability(M), Two.probability(M));
}

TEST(DraftPolicy, DraftsNothingWhereLongerRunsCostTooMuch) {
  DraftPolicy Policy;
  for (int I = 0; I < 100; ++I)
    for (int64_t N : {1, 2, 4, 8, 12, 16})
      Policy.learnTime(N, 0.01 * static_cast<double>(N * N));
  EXPECT_EQ(Policy.choose(32, 15), 0);
}

TEST(DraftPolicy, DraftsAllWhereARunCostsTheSameAtAnySize) {
  DraftPolicy Policy;
  for (int I = 0; I < 100; ++I)
    for (int64_t N : {1, 2, 4, 8, 12, 16})
      Policy.learnTime(N, 0.01);
  EXPECT_EQ(Policy.choose(32, 15), 15);
}

TEST(DraftPolicy, OneBadMeasurementIsForgotten) {
  DraftPolicy Policy;
  for (int I = 0; I < 20; ++I)
    Policy.learnTime(1, 0.01);
  double Before = Policy.time(8) / Policy.time(1);
  Policy.learnTime(8, 10);
  for (int I = 0; I < 200; ++I)
    Policy.learnTime(1, 0.01);
  EXPECT_NEAR(Policy.time(8) / Policy.time(1), Before, 0.1 * Before);
}

class Lookup : public SessionTest {
protected:
  void TearDown() override {
    cria_lookup_free(Drafts);
    SessionTest::TearDown();
  }

  void make(int64_t MaxDraft = 0, int64_t MinMatch = 0, int64_t Capacity = 0) {
    cria_lookup_free(Drafts);
    cria_lookup_options Options;
    cria_lookup_options_init(&Options);
    Options.max_draft = MaxDraft;
    Options.min_match = MinMatch;
    Options.capacity = Capacity;
    ASSERT_EQ(cria_lookup_create(&Options, &Drafts, &Error), CRIA_OK)
        << Error.message;
  }

  void openFor(int64_t Capacity, int64_t MaxDraft = CRIA_LOOKUP_MAX_DRAFT,
               int64_t Threads = 1) {
    cria_session_options Options = options(Capacity, 1, Threads);
    Options.max_logits = 1 + MaxDraft;
    open(Options);
  }

  /// The model's answer is checked against what it says to the whole text, and
  /// then overruled: the text goes on as Script says.
  struct Script {
    Ids Text;   // fed or chosen
    Ids Future; // still to come
    int StopAt = -1;
    int FailAt = -1;
    size_t Chosen = 0;
    bool RightLogits = true;
  };
  static cria_status choose(void *Context, float *Logits, int32_t *Token,
                            int *Stop, cria_error *) {
    auto &S = *static_cast<Script *>(Context);
    float Expected[FAKE_VOCAB];
    fake_logits(S.Text.data(), S.Text.size(), Expected);
    S.RightLogits &= !std::memcmp(Expected, Logits, sizeof(Expected));
    if (S.FailAt == static_cast<int>(S.Chosen))
      return CRIA_IO;
    *Token = S.Future[S.Chosen];
    S.Text.push_back(*Token);
    *Stop = S.StopAt == static_cast<int>(S.Chosen++);
    return CRIA_OK;
  }

  cria_status step(int32_t Token, int64_t Most, Script &S) {
    return cria_lookup_step(Drafts, Session, 0, Token, Most, choose, &S, Chosen,
                            &Count, &Error);
  }

  /// Feeds all of a text but its last token.
  void start(const Ids &Text) {
    cria_lookup_append(Drafts, Text.data(), Text.size() - 1);
    ASSERT_EQ(SessionTest::append(0, {Text.begin(), Text.end() - 1}), CRIA_OK)
        << Error.message;
  }

  cria_lookup *Drafts = nullptr;
  int32_t Chosen[1 + CRIA_LOOKUP_LONGEST_DRAFT];
  int64_t Count = 0;
};

TEST_F(Lookup, ChosenTokensAreTheSameHoweverTheyWereDrafted) {
  // A text of repetitions with faults in it, so that drafts are right, wrong
  // and half right.
  Ids Text;
  for (int I = 0; I < 200; ++I)
    Text.push_back(I % 29 == 13 ? 20 + I % 7 : I % 11);
  for (int64_t Threads : {1, 3})
    for (int64_t MaxDraft : {1, 4, 15, 40}) {
      openFor(220, MaxDraft, Threads);
      make(MaxDraft);
      Script S{{Text.begin(), Text.begin() + 30},
               {Text.begin() + 30, Text.end()}};
      start(S.Text);
      int32_t Token = S.Text.back();
      int64_t Most;
      while ((Most = S.Future.size() - S.Chosen) > 0) {
        size_t Before = S.Chosen;
        ASSERT_EQ(step(Token, Most, S), CRIA_OK) << Error.message;
        ASSERT_TRUE(S.RightLogits) << "after " << S.Text.size() << " tokens";
        ASSERT_EQ(Count, static_cast<int64_t>(S.Chosen - Before));
        ASSERT_EQ(Ids(Chosen, Chosen + Count),
                  Ids(S.Future.begin() + Before, S.Future.begin() + S.Chosen));
        ASSERT_EQ(cria_session_length(Session, 0),
                  static_cast<int64_t>(S.Text.size()) - 1);
        Token = Chosen[Count - 1];
      }
      EXPECT_EQ(S.Text, Text);
      cria_lookup_stats Stats;
      cria_lookup_get_stats(Drafts, &Stats);
      EXPECT_LT(Stats.runs, 170) << "drafts of " << MaxDraft;
      EXPECT_EQ(Stats.runs + Stats.right, 170);
      EXPECT_GE(Stats.drafted, Stats.right);
    }
}

TEST_F(Lookup, AStopWithinADraftEndsTheStep) {
  openFor(100);
  make();
  Ids Text;
  for (int I = 0; I < 40; ++I)
    Text.push_back(I % 8);
  Script S{Text, {0, 1, 2, 3, 4, 5, 6, 7, 0, 1}};
  S.StopAt = 1;
  start(Text);
  ASSERT_EQ(step(Text.back(), 20, S), CRIA_OK) << Error.message;
  EXPECT_EQ(Ids(Chosen, Chosen + Count), (Ids{0, 1}));
  // The last token was drafted and chosen, but counts as not yet fed.
  EXPECT_EQ(cria_session_length(Session, 0), 41);
  Ids Fed = Text;
  Fed.push_back(0);
  expectText(0, Fed);
}

TEST_F(Lookup, NeverMoreThanAskedFor) {
  openFor(100);
  make();
  Ids Text;
  for (int I = 0; I < 40; ++I)
    Text.push_back(I % 8);
  start(Text);
  for (int64_t Most : {1, 2, 3, 5}) {
    Script S{Text, {0, 1, 2, 3, 4, 5, 6, 7, 0, 1}};
    ASSERT_EQ(step(Text.back(), Most, S), CRIA_OK) << Error.message;
    EXPECT_LE(Count, Most);
    ASSERT_EQ(cria_session_truncate(Session, 0, 39, &Error), CRIA_OK);
    cria_lookup_clear(Drafts);
    cria_lookup_append(Drafts, Text.data(), 39);
  }
}

TEST_F(Lookup, DraftsEndWithTheContext) {
  openFor(FAKE_CONTEXT);
  make();
  Ids Text;
  for (int I = 0; I < FAKE_CONTEXT - 2; ++I)
    Text.push_back(I % 8);
  Script S{Text, Ids(100)};
  for (int I = 0; I < 100; ++I)
    S.Future[I] = (FAKE_CONTEXT - 2 + I) % 8;
  start(Text);
  ASSERT_EQ(step(Text.back(), 50, S), CRIA_OK) << Error.message;
  EXPECT_TRUE(S.RightLogits);
  while (cria_session_length(Session, 0) < FAKE_CONTEXT)
    ASSERT_EQ(step(Chosen[Count - 1], 50, S), CRIA_OK) << Error.message;
  EXPECT_EQ(S.Chosen, 3u);
  EXPECT_EQ(step(Chosen[Count - 1], 50, S), CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(std::strstr(Error.message, "context")) << Error.message;
  EXPECT_EQ(Count, 0);
}

TEST_F(Lookup, DraftsEndWithThePages) {
  // One page, of which all but one position is taken.
  openFor(CRIA_PAGE_TOKENS);
  make();
  Ids Text;
  for (int I = 0; I < CRIA_PAGE_TOKENS; ++I)
    Text.push_back(I % 8);
  Script S{Text, {0, 1, 2, 3}};
  start(Text);
  ASSERT_EQ(step(Text.back(), 4, S), CRIA_OK) << Error.message;
  EXPECT_TRUE(S.RightLogits);
  EXPECT_EQ(Ids(Chosen, Chosen + Count), (Ids{0}));
}

TEST_F(Lookup, AFailedChoiceChangesNothing) {
  openFor(100);
  make();
  Ids Text;
  for (int I = 0; I < 40; ++I)
    Text.push_back(I % 8);
  start(Text);
  Script Failing{Text, {0, 1, 2, 3}};
  Failing.FailAt = 2;
  EXPECT_EQ(step(Text.back(), 20, Failing), CRIA_IO);
  EXPECT_EQ(Count, 0);
  EXPECT_EQ(cria_session_length(Session, 0), 39);
  expectText(0, {Text.begin(), Text.end() - 1});
  Script S{Text, {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7}};
  ASSERT_EQ(step(Text.back(), 16, S), CRIA_OK) << Error.message;
  EXPECT_TRUE(S.RightLogits);
}

TEST_F(Lookup, ARefusedTokenChangesNothing) {
  openFor(100);
  make();
  Ids Text = {1, 2, 3, 1, 2};
  start(Text);
  Script S{Text, {3, 1, 2}};
  EXPECT_EQ(step(FAKE_VOCAB, 3, S), CRIA_OUT_OF_RANGE);
  EXPECT_EQ(cria_session_length(Session, 0), 4);
  EXPECT_EQ(S.Chosen, 0u);
  ASSERT_EQ(step(2, 3, S), CRIA_OK) << Error.message;
  EXPECT_TRUE(S.RightLogits);
}

TEST_F(Lookup, DraftsAreForCallersWhoBatchThemselvesToo) {
  make(4, 2);
  int32_t Text[] = {1, 2, 3, 4, 5, 6, 1, 2, 3}, Draft[4];
  cria_lookup_append(Drafts, Text, 9);
  int64_t Length = cria_lookup_draft(Drafts, 4, Draft);
  ASSERT_GE(Length, 1);
  EXPECT_EQ(Ids(Draft, Draft + Length), Ids(Text + 3, Text + 3 + Length));
  cria_lookup_report(Drafts, Length, 1, 1 + Length, 0.01);
  cria_lookup_stats Stats;
  cria_lookup_get_stats(Drafts, &Stats);
  EXPECT_EQ(Stats.runs, 1);
  EXPECT_EQ(Stats.drafted, Length);
  EXPECT_EQ(Stats.right, 1);
  cria_lookup_clear(Drafts);
  EXPECT_EQ(cria_lookup_draft(Drafts, 4, Draft), 0);
}

TEST_F(Lookup, MemoryIsBoundByTheCapacity) {
  make(0, 0, 1000);
  uint64_t Before = cria_lookup_bytes(Drafts);
  EXPECT_LE(Before, 24u * 1000 + 4096);
  Ids Text = randomTokens(5000);
  cria_lookup_append(Drafts, Text.data(), Text.size());
  EXPECT_EQ(cria_lookup_bytes(Drafts), Before);
}

TEST_F(Lookup, BadArgumentsAreNamed) {
  cria_lookup_options Options;
  cria_lookup_options_init(&Options);
  Options.max_draft = 64;
  EXPECT_EQ(cria_lookup_create(&Options, &Drafts, &Error),
            CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(Drafts, nullptr);
  EXPECT_TRUE(std::strstr(Error.message, "max_draft is 64")) << Error.message;
  EXPECT_TRUE(std::strstr(Error.message, "1 and 63")) << Error.message;
  Options.max_draft = 0;
  Options.capacity = -1;
  EXPECT_EQ(cria_lookup_create(&Options, &Drafts, &Error),
            CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(cria_lookup_create(nullptr, nullptr, &Error),
            CRIA_INVALID_ARGUMENT);

  make();
  Script S{{1}, {2}};
  EXPECT_EQ(step(1, 1, S), CRIA_INVALID_ARGUMENT) << "no session";
  open(options(100, 1));
  EXPECT_EQ(step(1, 1, S), CRIA_INVALID_ARGUMENT);
  EXPECT_TRUE(std::strstr(Error.message, "max_logits")) << Error.message;
  openFor(100);
  EXPECT_EQ(step(1, 0, S), CRIA_INVALID_ARGUMENT);
  EXPECT_TRUE(std::strstr(Error.message, "most is 0")) << Error.message;
  EXPECT_EQ(cria_lookup_step(Drafts, Session, 1, 1, 1, choose, &S, Chosen,
                             &Count, &Error),
            CRIA_OUT_OF_RANGE);
  cria_lookup_free(nullptr);
}

} // namespace
