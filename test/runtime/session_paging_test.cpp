// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sequences, pages, forks and capacities.
#include "session_fixture.h"

#include <numeric>

using namespace cria::test;

namespace {

using SessionPaging = SessionTest;

std::vector<int32_t> joined(std::vector<int32_t> First,
                            const std::vector<int32_t> &Second) {
  First.insert(First.end(), Second.begin(), Second.end());
  return First;
}

TEST_F(SessionPaging, LogitsOfEveryTokenAcrossPagesAndChunks) {
  cria_session_options Options = options(0, 1);
  Options.max_logits = 200;
  open(Options);
  std::vector<int32_t> Text = randomTokens(200);
  std::vector<uint8_t> Want(200, 1);
  float *Logits;
  ASSERT_EQ(cria_session_forward(Session, 200, Text.data(), nullptr,
                                 Want.data(), &Logits, &Error),
            CRIA_OK)
      << Error.message;
  for (int64_t I = 0; I < 200; ++I)
    expectLogits(Logits + I * FAKE_VOCAB, {Text.begin(), Text.begin() + I + 1});
}

TEST_F(SessionPaging, PiecesOfAnySizeGiveTheSameLogits) {
  for (int64_t Piece : {1, 7, 48, 64, 130}) {
    cria_session_options Options = options(0, 1);
    Options.max_batch = Piece > FAKE_BATCH ? 0 : Piece;
    open(Options);
    std::vector<int32_t> Text = randomTokens(130);
    float *Logits = nullptr;
    for (int64_t At = 0; At < 130; At += Piece)
      ASSERT_EQ(append(0,
                       {Text.begin() + At,
                        Text.begin() + std::min<int64_t>(130, At + Piece)},
                       &Logits),
                CRIA_OK);
    expectLogits(Logits, Text);
  }
}

TEST_F(SessionPaging, OnlyWantedTokensHaveLogits) {
  cria_session_options Options = options(0, 1);
  Options.max_logits = 3;
  open(Options);
  std::vector<int32_t> Text = randomTokens(120);
  std::vector<uint8_t> Want(120, 0);
  Want[3] = Want[47] = Want[119] = 1;
  float *Logits;
  ASSERT_EQ(cria_session_forward(Session, 120, Text.data(), nullptr,
                                 Want.data(), &Logits, &Error),
            CRIA_OK);
  expectLogits(Logits, {Text.begin(), Text.begin() + 4});
  expectLogits(Logits + FAKE_VOCAB, {Text.begin(), Text.begin() + 48});
  expectLogits(Logits + 2 * FAKE_VOCAB, Text);
}

TEST_F(SessionPaging, NoWantedTokenGivesNull) {
  open(options(0, 1));
  int32_t Token = 1;
  uint8_t Want = 0;
  float *Logits = reinterpret_cast<float *>(&Token);
  ASSERT_EQ(
      cria_session_forward(Session, 1, &Token, nullptr, &Want, &Logits, &Error),
      CRIA_OK);
  EXPECT_EQ(Logits, nullptr);
}

TEST_F(SessionPaging, MixedSequencesAreIndependent) {
  cria_session_options Options = options(1000, 3);
  Options.max_logits = 500;
  open(Options);
  std::vector<int32_t> Texts[3];
  std::vector<int32_t> Tokens = randomTokens(400), Rows;
  std::vector<uint8_t> Want(400, 1);
  for (int64_t I = 0; I < 400; ++I)
    Rows.push_back(Tokens[I] % 3);
  float *Logits;
  ASSERT_EQ(cria_session_forward(Session, 400, Tokens.data(), Rows.data(),
                                 Want.data(), &Logits, &Error),
            CRIA_OK)
      << Error.message;
  for (int64_t I = 0; I < 400; ++I) {
    Texts[Rows[I]].push_back(Tokens[I]);
    expectLogits(Logits + I * FAKE_VOCAB, Texts[Rows[I]]);
  }
}

TEST_F(SessionPaging, StatedCapacityFitsHoweverItIsSpread) {
  open(options(130, 5));
  int64_t Left = 130;
  for (int32_t Sequence = 0; Sequence < 5; ++Sequence) {
    int64_t Count = Sequence < 4 ? 1 + 8 * Sequence : Left;
    ASSERT_EQ(append(Sequence, randomTokens(Count)), CRIA_OK) << Error.message;
    Left -= Count;
  }
}

TEST_F(SessionPaging, ClearGivesPagesBack) {
  open(options(128, 1));
  EXPECT_EQ(cria_session_free_pages(Session), 2);
  ASSERT_EQ(append(0, randomTokens(65)), CRIA_OK);
  EXPECT_EQ(cria_session_free_pages(Session), 0);
  ASSERT_EQ(cria_session_clear(Session, 0, &Error), CRIA_OK);
  EXPECT_EQ(cria_session_free_pages(Session), 2);
  EXPECT_EQ(cria_session_length(Session, 0), 0);
}

TEST_F(SessionPaging, TruncatedTextContinuesDifferently) {
  open(options(0, 1));
  std::vector<int32_t> Text = randomTokens(150);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  ASSERT_EQ(cria_session_truncate(Session, 0, 70, &Error), CRIA_OK);
  Text.resize(70);
  std::vector<int32_t> More = randomTokens(80);
  float *Logits;
  ASSERT_EQ(append(0, More, &Logits), CRIA_OK);
  expectLogits(Logits, joined(Text, More));
}

TEST_F(SessionPaging, TruncateBeyondTheEndIsRefused) {
  open(options(0, 1));
  ASSERT_EQ(append(0, randomTokens(5)), CRIA_OK);
  EXPECT_EQ(cria_session_truncate(Session, 0, 6, &Error), CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(contains(Error.message, "length is 6")) << Error.message;
  EXPECT_EQ(cria_session_length(Session, 0), 5);
}

TEST_F(SessionPaging, ForkSharesPages) {
  open(options(300, 2));
  ASSERT_EQ(append(0, randomTokens(130)), CRIA_OK);
  int64_t Before = cria_session_free_pages(Session);
  ASSERT_EQ(cria_session_fork(Session, 0, 1, &Error), CRIA_OK);
  EXPECT_EQ(cria_session_free_pages(Session), Before);
  ASSERT_EQ(append(1, randomTokens(1)), CRIA_OK);
  EXPECT_EQ(cria_session_free_pages(Session), Before - 1);
}

TEST_F(SessionPaging, ForksGoTheirOwnWays) {
  open(options(900, 3));
  for (int64_t Length : {1, 63, 64, 65, 130}) {
    std::vector<int32_t> Text = randomTokens(Length);
    ASSERT_EQ(cria_session_clear(Session, 0, &Error), CRIA_OK);
    ASSERT_EQ(append(0, Text), CRIA_OK);
    ASSERT_EQ(cria_session_fork(Session, 0, 1, &Error), CRIA_OK);
    ASSERT_EQ(cria_session_fork(Session, 1, 2, &Error), CRIA_OK);
    std::vector<int32_t> Texts[3] = {Text, Text, Text};
    for (int Round = 0; Round < 3; ++Round)
      for (int32_t Sequence : {1, 0, 2}) {
        std::vector<int32_t> More = randomTokens(3);
        float *Logits;
        ASSERT_EQ(append(Sequence, More, &Logits), CRIA_OK) << Error.message;
        Texts[Sequence] = joined(Texts[Sequence], More);
        expectLogits(Logits, Texts[Sequence]);
      }
  }
}

TEST_F(SessionPaging, ForksInOneBatchGoTheirOwnWays) {
  cria_session_options Options = options(300, 3);
  Options.max_logits = 3;
  open(Options);
  std::vector<int32_t> Text = randomTokens(70);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  ASSERT_EQ(cria_session_fork(Session, 0, 1, &Error), CRIA_OK);
  ASSERT_EQ(cria_session_fork(Session, 0, 2, &Error), CRIA_OK);
  const int32_t Next[] = {5, 6, 7}, Rows[] = {2, 0, 1};
  const uint8_t Want[] = {1, 1, 1};
  float *Logits;
  ASSERT_EQ(cria_session_forward(Session, 3, Next, Rows, Want, &Logits, &Error),
            CRIA_OK);
  for (int I = 0; I < 3; ++I)
    expectLogits(Logits + I * FAKE_VOCAB, joined(Text, {Next[I]}));
}

TEST_F(SessionPaging, TruncatingASharedPageLeavesTheOtherAlone) {
  open(options(600, 2));
  std::vector<int32_t> Text = randomTokens(200);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  ASSERT_EQ(cria_session_fork(Session, 0, 1, &Error), CRIA_OK);
  ASSERT_EQ(cria_session_truncate(Session, 1, 30, &Error), CRIA_OK);
  ASSERT_EQ(append(1, randomTokens(100)), CRIA_OK);
  expectText(0, Text);
}

TEST_F(SessionPaging, TheLastOwnerOfASharedPageNeedsNoCopy) {
  // Two pages: the copy for the first to write takes the second one, and the
  // other then has the first page to itself.
  open(options(64, 2));
  std::vector<int32_t> Text = randomTokens(20);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  ASSERT_EQ(cria_session_fork(Session, 0, 1, &Error), CRIA_OK);
  const int32_t Next[] = {3, 4}, Rows[] = {0, 1};
  ASSERT_EQ(cria_session_pages(Session), 1 + 1);
  EXPECT_EQ(
      cria_session_forward(Session, 2, Next, Rows, nullptr, nullptr, &Error),
      CRIA_OK)
      << Error.message;
}

TEST_F(SessionPaging, ForkOntoItselfKeepsTheText) {
  open(options(0, 1));
  std::vector<int32_t> Text = randomTokens(90);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  ASSERT_EQ(cria_session_fork(Session, 0, 0, &Error), CRIA_OK);
  expectText(0, Text);
}

TEST_F(SessionPaging, RandomOperationsMatchAModelOfThem) {
  open(options(500, 4));
  std::vector<int32_t> Texts[4];
  for (int Step = 0; Step < 2000; ++Step) {
    std::vector<int32_t> Dice = randomTokens(4);
    int32_t Sequence = Dice[0] % 4, Other = Dice[1] % 4;
    std::vector<int32_t> &Text = Texts[Sequence];
    if (Dice[2] < 4) {
      ASSERT_EQ(cria_session_fork(Session, Sequence, Other, &Error), CRIA_OK);
      Texts[Other] = Text;
    } else if (Dice[2] < 8) {
      Text.resize(Text.size() * Dice[3] / FAKE_VOCAB);
      ASSERT_EQ(cria_session_truncate(Session, Sequence, Text.size(), &Error),
                CRIA_OK);
    } else {
      std::vector<int32_t> More = randomTokens(1 + Dice[3]);
      int64_t FreeBefore = cria_session_free_pages(Session);
      float *Logits;
      cria_status Status = append(Sequence, More, &Logits);
      if (Status == CRIA_OUT_OF_RANGE) {
        ASSERT_EQ(cria_session_free_pages(Session), FreeBefore);
        ASSERT_EQ(cria_session_clear(Session, Sequence, &Error), CRIA_OK);
        Text.clear();
        continue;
      }
      ASSERT_EQ(Status, CRIA_OK) << Error.message;
      Text = joined(Text, More);
      expectLogits(Logits, Text);
    }
  }
  for (int32_t Sequence = 0; Sequence < 4; ++Sequence)
    cria_session_clear(Session, Sequence, &Error);
  EXPECT_EQ(cria_session_free_pages(Session), cria_session_pages(Session));
}

TEST_F(SessionPaging, ContextIsALimitThatChangesNothing) {
  open(options(2000, 2));
  std::vector<int32_t> Text = randomTokens(FAKE_CONTEXT - 1);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  int64_t Free = cria_session_free_pages(Session);
  EXPECT_EQ(append(0, {1, 2}), CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(contains(Error.message, "has 299 tokens and 2 more"))
      << Error.message;
  EXPECT_TRUE(contains(Error.message, "context of 300")) << Error.message;
  EXPECT_EQ(cria_session_free_pages(Session), Free);
  expectText(0, Text);
}

TEST_F(SessionPaging, CapacityIsALimitThatChangesNothing) {
  open(options(128, 1));
  std::vector<int32_t> Text = randomTokens(100);
  ASSERT_EQ(append(0, Text), CRIA_OK);
  EXPECT_EQ(append(0, randomTokens(29)), CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(contains(Error.message, "capacity is 128")) << Error.message;
  EXPECT_EQ(cria_session_length(Session, 0), 100);
  expectText(0, Text);
}

TEST_F(SessionPaging, TokenOutsideTheVocabularyIsRefused) {
  open(options(0, 1));
  EXPECT_EQ(append(0, {1, FAKE_VOCAB}), CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(contains(Error.message, "tokens[1] is 37")) << Error.message;
  EXPECT_EQ(append(0, {-1}), CRIA_OUT_OF_RANGE);
  EXPECT_EQ(cria_session_length(Session, 0), 0);
}

TEST_F(SessionPaging, RefusedTokensAreNotCountedLater) {
  open(options(64, 1));
  EXPECT_EQ(append(0, {1, 2, 3, -1}), CRIA_OUT_OF_RANGE);
  EXPECT_EQ(append(0, randomTokens(64)), CRIA_OK) << Error.message;
}

TEST_F(SessionPaging, SequenceOutsideTheSessionIsRefused) {
  open(options(0, 2));
  EXPECT_EQ(append(2, {1}), CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(contains(Error.message, "sequences 0 to 1")) << Error.message;
  EXPECT_EQ(append(-1, {1}), CRIA_OUT_OF_RANGE);
  EXPECT_EQ(cria_session_fork(Session, 0, 2, &Error), CRIA_OUT_OF_RANGE);
  EXPECT_EQ(cria_session_length(Session, 2), -1);
}

TEST_F(SessionPaging, MoreLogitsThanRoomAreRefused) {
  open(options(0, 1));
  const int32_t Tokens[] = {1, 2};
  const uint8_t Want[] = {1, 1};
  EXPECT_EQ(
      cria_session_forward(Session, 2, Tokens, nullptr, Want, nullptr, &Error),
      CRIA_OUT_OF_RANGE);
  EXPECT_TRUE(contains(Error.message, "2 rows")) << Error.message;
}

TEST_F(SessionPaging, OptionsOutOfRangeAreNamed) {
  cria_session_options Options = options(0, 1);
  Options.max_batch = FAKE_BATCH + 1;
  EXPECT_EQ(cria_session_create(Artifact, &Options, &Session, &Error),
            CRIA_INVALID_ARGUMENT);
  EXPECT_TRUE(contains(Error.message, "max_batch is 49")) << Error.message;
  EXPECT_EQ(Session, nullptr);
}

TEST_F(SessionPaging, NullsAreInvalidArguments) {
  float *Logits;
  EXPECT_EQ(cria_session_forward(nullptr, 1, nullptr, nullptr, nullptr, &Logits,
                                 nullptr),
            CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(cria_session_create(nullptr, nullptr, &Session, nullptr),
            CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(cria_session_clear(nullptr, 0, &Error), CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(cria_session_length(nullptr, 0), -1);
  cria_session_free(nullptr);
  cria_artifact_free(nullptr);
  cria_weights_free(nullptr);
}

} // namespace
