// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a model says of its code for GPUs, and where a session runs. No test
// here needs a driver or a GPU; test/gpu/ has those with a driver of their own.
#include "session_fixture.h"

using namespace cria::test;

namespace {

constexpr cria_gpu_clone Good = {"sm_900", "decode", "prefill", "code", 5,  900,
                                 0,        4,        256,       16,     64, 0};

class SessionGpuTest : public SessionTest {
protected:
  cria_status openArtifact() {
    cria_artifact_free(Artifact);
    Artifact = nullptr;
    std::string File = Dir.write("model.safetensors", fakeWeights());
    return cria_artifact_from(&Model, File.c_str(), &Artifact, &Error);
  }
  static cria_model gpuModel(const cria_gpu_clone *Clone) {
    cria_model Model = *fake_get();
    Model.n_gpu_clones = 1;
    Model.gpu_clones = Clone;
    return Model;
  }
  cria_status openOn(const char *Device) {
    cria_session_free(Session);
    Session = nullptr;
    cria_session_options Wanted = options(64, 1);
    Wanted.device = Device;
    return cria_session_create(Artifact, &Wanted, &Session, &Error);
  }

  cria_model Model = gpuModel(&Good);
};

TEST_F(SessionGpuTest, RunsOnTheCpuUnlessAsked) {
  ASSERT_EQ(openArtifact(), CRIA_OK) << Error.message;
  for (const char *Device : {static_cast<const char *>(nullptr), "cpu"}) {
    ASSERT_EQ(openOn(Device), CRIA_OK) << Error.message;
    EXPECT_STREQ(cria_session_device(Session), "cpu");
    EXPECT_STREQ(cria_session_device_note(Session), "");
  }
}

// No GPU has that compute capability, so this holds on every machine.
TEST_F(SessionGpuTest, AutoFallsBackAndSaysWhy) {
  ASSERT_EQ(openArtifact(), CRIA_OK) << Error.message;
  ASSERT_EQ(openOn("auto"), CRIA_OK) << Error.message;
  EXPECT_STREQ(cria_session_device(Session), "cpu");
  EXPECT_TRUE(contains(cria_session_device_note(Session), "device "))
      << cria_session_device_note(Session);
  ASSERT_EQ(append(0, randomTokens(3)), CRIA_OK) << Error.message;
}

TEST_F(SessionGpuTest, AutoIsSilentWithoutCodeForGpus) {
  Model = *fake_get();
  ASSERT_EQ(openArtifact(), CRIA_OK) << Error.message;
  ASSERT_EQ(openOn("auto"), CRIA_OK) << Error.message;
  EXPECT_STREQ(cria_session_device_note(Session), "");
}

TEST_F(SessionGpuTest, RefusesUnknownDevices) {
  ASSERT_EQ(openArtifact(), CRIA_OK) << Error.message;
  for (const char *Device : {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:1x",
                             "cuda:-1", "cuda1", "cuda:99999999999"}) {
    EXPECT_EQ(openOn(Device), CRIA_INVALID_ARGUMENT) << Device;
    EXPECT_TRUE(contains(Error.message, "cpu, cuda, cuda:N and auto"))
        << Error.message;
  }
}

// A model that was compiled before there was code for GPUs.
TEST_F(SessionGpuTest, IgnoresWhatStructBytesLeavesOut) {
  Model.struct_bytes = CRIA_MODEL_PROFILE_BYTES;
  Model.n_gpu_clones = -1;
  ASSERT_EQ(openArtifact(), CRIA_OK) << Error.message;
  EXPECT_EQ(openOn("auto"), CRIA_OK) << Error.message;
}

TEST_F(SessionGpuTest, RefusesWrongTables) {
  Model.n_gpu_clones = -1;
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
  EXPECT_TRUE(contains(Error.message, "n_gpu_clones is -1")) << Error.message;
  Model = gpuModel(nullptr);
  EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
  cria_gpu_clone Wrong[7];
  for (cria_gpu_clone &Each : Wrong)
    Each = Good;
  Wrong[0].target = nullptr;
  Wrong[1].decode_kernel = nullptr;
  Wrong[2].prefill_kernel = nullptr;
  Wrong[3].code_bytes = 4; // does not end with the NUL
  Wrong[4].block_threads = 1040;
  Wrong[5].group_threads = 0;
  Wrong[6].group_threads = 48;
  for (const cria_gpu_clone &Each : Wrong) {
    Model = gpuModel(&Each);
    EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA) << &Each - Wrong;
    EXPECT_TRUE(contains(Error.message, "gpu_clones[0]")) << Error.message;
  }
  for (int64_t Bytes : {int64_t(-1), int64_t(1) << 32}) {
    Model = gpuModel(&Good);
    Model.gpu_shared_bytes = &Bytes;
    EXPECT_EQ(openArtifact(), CRIA_INVALID_DATA);
    EXPECT_TRUE(contains(Error.message, "gpu_shared_bytes[0] is"))
        << Error.message;
  }
}

} // namespace
