// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Artifacts: loading code, and refusing what this runtime or this processor
// cannot run.
#include "session_fixture.h"

#include "model/Cpu.h"

#include <fstream>
#include <sstream>

using namespace cria::test;
using namespace cria::runtime;

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
  ASSERT_EQ(open(fakeCode(), R"("cria.symbol": "fake_get", "cria.abi": "1",
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
  EXPECT_TRUE(contains(Error.message, "version 1")) << Error.message;
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
  EXPECT_TRUE(contains(Error.message, "target \"test\"")) << Error.message;
  EXPECT_TRUE(contains(Error.message, "--target native")) << Error.message;
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

TEST(SessionCpu, MissingFeaturesAreNamed) {
  cria_model Model = *fake_get();
  Model.features = CRIA_CPU_AVX2 | CRIA_CPU_AVX512VNNI;
  cria_error Error;
  EXPECT_EQ(checkFeatures(Model, {CRIA_CPU_AVX2, CRIA_CPU_AVX2}, &Error),
            CRIA_WRONG_CPU);
  EXPECT_TRUE(contains(Error.message, "AVX512-VNNI")) << Error.message;
  EXPECT_FALSE(contains(Error.message, "AVX2")) << Error.message;
}

TEST(SessionCpu, DisabledFeaturesAreTheOperatingSystems) {
  cria_model Model = *fake_get();
  Model.features = CRIA_CPU_AVX512;
  cria_error Error;
  EXPECT_EQ(checkFeatures(Model, {CRIA_CPU_AVX512, 0}, &Error), CRIA_WRONG_CPU);
  EXPECT_TRUE(contains(Error.message, "operating system")) << Error.message;
}

TEST(SessionCpu, EnabledFeaturesAreEnough) {
  cria_model Model = *fake_get();
  Model.features = CRIA_CPU_AVX512;
  EXPECT_EQ(checkFeatures(Model, {CRIA_CPU_AVX512, CRIA_CPU_AVX512}, nullptr),
            CRIA_OK);
}

#if defined(__x86_64__)
TEST(SessionCpu, AgreesWithTheCompilersOwnDetection) {
  __builtin_cpu_init();
  uint64_t Features = cria_cpu_features();
  EXPECT_EQ(!!(Features & CRIA_CPU_AVX2), __builtin_cpu_supports("avx2") &&
                                              __builtin_cpu_supports("fma") &&
                                              __builtin_cpu_supports("bmi2"));
  EXPECT_EQ(!!(Features & CRIA_CPU_AVX512VNNI),
            !!__builtin_cpu_supports("avx512vnni"));
  EXPECT_EQ(!!(Features & CRIA_CPU_AVX512BF16),
            !!__builtin_cpu_supports("avx512bf16"));
}
#endif

} // namespace
