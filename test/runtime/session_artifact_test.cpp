// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Artifacts: loading code, and refusing what this runtime or this processor
// cannot run.
#include "session_fixture.h"

#include <fstream>
#include <sstream>

using namespace cria::test;

namespace {

class SessionArtifact : public testing::Test {
protected:
  void TearDown() override { cria_artifact_free(Artifact); }

  static std::string fakeCode() {
    std::ifstream File(CRIA_FAKE_CODE, std::ios::binary);
    std::stringstream Content;
    Content << File.rdbuf();
    return Content.str();
  }

  cria_status open(const std::string &Code, const std::string &Metadata) {
    Dir.write("model.so", Code);
    Dir.write("model.safetensors",
              fakeWeights("\"__metadata__\": {" + Metadata + "},"));
    return cria_artifact_open(Dir.Path.c_str(), &Artifact, &Error);
  }

  TempDir Dir;
  cria_error Error = {};
  cria_artifact *Artifact = nullptr;
};

TEST_F(SessionArtifact, FolderRuns) {
  ASSERT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get", "cria.abi": "2",
                                "cria.source_hash": "f00d")"),
            CRIA_OK)
      << Error.message;
  EXPECT_STREQ(cria_artifact_model(Artifact)->name, "fake");
  EXPECT_EQ(cria_weights_count(cria_artifact_weights(Artifact)), 2);
  cria_session *Session;
  ASSERT_EQ(cria_session_create(Artifact, nullptr, &Session, &Error), CRIA_OK);
  const int32_t Token = 3;
  float *Logits, Expected[FAKE_VOCAB];
  EXPECT_EQ(cria_session_forward(Session, 1, &Token, nullptr, nullptr, &Logits,
                                 &Error),
            CRIA_OK);
  fake_logits(&Token, 1, Expected);
  EXPECT_EQ(Logits[5], Expected[5]);
  cria_session_free(Session);
}

TEST_F(SessionArtifact, OtherAbiIsNamedWithBothVersions) {
  EXPECT_EQ(open(fakeCode(), R"("cria.symbol": "fake_old_abi_get")"),
            CRIA_ABI_MISMATCH);
  EXPECT_TRUE(contains(Error.message, "ABI version 0")) << Error.message;
  EXPECT_TRUE(contains(Error.message, "version 2")) << Error.message;
}

TEST_F(SessionArtifact, WeightsOfAnotherAbiAreRefused) {
  EXPECT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get", "cria.abi": "7")"),
            CRIA_ABI_MISMATCH);
  EXPECT_TRUE(contains(Error.message, "cria.abi is 7")) << Error.message;
}

TEST_F(SessionArtifact, WeightsOfAnotherCompilationAreRefused) {
  EXPECT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get",
                                "cria.source_hash": "beef")"),
            CRIA_INVALID_DATA);
  EXPECT_TRUE(contains(Error.message, "beef")) << Error.message;
}

TEST_F(SessionArtifact, CodeForAnotherProcessorIsRefused) {
  EXPECT_EQ(open(fakeCode(), R"("cria.symbol": "fake_new_cpu_get")"),
            CRIA_WRONG_CPU);
  EXPECT_TRUE(contains(Error.message, "target \"future\"")) << Error.message;
  EXPECT_TRUE(contains(Error.message, "--target native")) << Error.message;
}

TEST_F(SessionArtifact, BestCloneIsTheFirstThatCanRun) {
  ASSERT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get")"), CRIA_OK)
      << Error.message;
  EXPECT_STREQ(cria_artifact_clone(Artifact)->target, "test");
}

TEST_F(SessionArtifact, SessionRunsTheCloneThatIsAskedFor) {
  ASSERT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get")"), CRIA_OK);
  cria_session_options Options;
  cria_session_options_init(&Options);
  Options.clone = "test";
  cria_session *Session;
  ASSERT_EQ(cria_session_create(Artifact, &Options, &Session, &Error), CRIA_OK)
      << Error.message;
  EXPECT_STREQ(cria_session_clone(Session)->target, "test");
  cria_session_free(Session);
}

TEST_F(SessionArtifact, SessionRefusesACloneThatCannotRun) {
  ASSERT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get")"), CRIA_OK);
  cria_session_options Options;
  cria_session_options_init(&Options);
  Options.clone = "future";
  cria_session *Session;
  EXPECT_EQ(cria_session_create(Artifact, &Options, &Session, &Error),
            CRIA_WRONG_CPU);
  EXPECT_EQ(Session, nullptr);
}

TEST_F(SessionArtifact, MissingSymbolIsNamed) {
  EXPECT_EQ(open(fakeCode(), R"("cria.symbol": "nothing_get")"),
            CRIA_NOT_FOUND);
  EXPECT_TRUE(contains(Error.message, "\"nothing_get\"")) << Error.message;
}

TEST_F(SessionArtifact, MissingFilesAreNotFound) {
  EXPECT_EQ(cria_artifact_open(Dir.Path.c_str(), &Artifact, &Error),
            CRIA_NOT_FOUND);
  EXPECT_TRUE(contains(Error.message, "model.safetensors")) << Error.message;
}

TEST_F(SessionArtifact, TruncatedCodeIsRefused) {
  std::string Code = fakeCode();
  for (size_t Size :
       {size_t{0}, size_t{10}, size_t{64}, size_t{200}, Code.size() / 4})
    EXPECT_EQ(open(Code.substr(0, Size), R"("cria.symbol": "fake_get")"),
              CRIA_INVALID_DATA)
        << "at byte " << Size;
}

TEST_F(SessionArtifact, CodeOfAnotherArchitectureIsRefused) {
  std::string Code = fakeCode();
  Code[18] = '\xF3'; // e_machine: RISC-V
  Code[19] = '\0';
  EXPECT_EQ(open(Code, R"("cria.symbol": "fake_get")"), CRIA_WRONG_CPU);
}

TEST_F(SessionArtifact, LinkedModelOfAnotherAbiIsRefusedFirst) {
  EXPECT_EQ(
      cria_artifact_from(fake_old_abi_get(), "/nonexistent", &Artifact, &Error),
      CRIA_ABI_MISMATCH);
}

} // namespace
