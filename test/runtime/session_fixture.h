// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEST_SESSION_FIXTURE_H
#define CRIA_TEST_SESSION_FIXTURE_H

#include "cria/cria.h"
#include "fake/fake_model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>

namespace cria::test {

/// A folder that lives as long as the object.
class TempDir {
public:
  TempDir() {
    std::string Template = testing::TempDir() + "/cria-XXXXXX";
    if (const char *Made = mkdtemp(Template.data()))
      Path = Made;
  }
  ~TempDir() {
    for (const std::string &File : Files)
      unlink(File.c_str());
    rmdir(Path.c_str());
  }
  std::string file(const std::string &Name) {
    Files.push_back(Path + "/" + Name);
    return Files.back();
  }
  std::string write(const std::string &Name, const std::string &Content) {
    std::string File = file(Name);
    if (FILE *Out = std::fopen(File.c_str(), "wb")) {
      std::fwrite(Content.data(), 1, Content.size(), Out);
      std::fclose(Out);
    }
    return File;
  }
  std::string Path;

private:
  std::vector<std::string> Files;
};

/// A safetensors file of a header and so many bytes of data.
inline std::string safetensors(std::string Json, size_t DataBytes) {
  while ((Json.size() + 8) % 64 != 0)
    Json += ' ';
  std::string File(8, '\0');
  for (int I = 0; I < 8; ++I)
    File[I] = static_cast<char>(Json.size() >> (8 * I));
  return File + Json + std::string(DataBytes, '\0');
}

inline std::string fakeWeights(const std::string &Metadata = "") {
  return safetensors("{" + Metadata +
                         R"("bias": {"dtype": "F32", "shape": [],
                            "data_offsets": [128, 132]},
                            "blk.quants": {"dtype": "U8", "shape": [4, 32],
                            "data_offsets": [0, 128]}})",
                     132);
}

/// The fake model with its weights, and sessions on it.
class SessionTest : public testing::Test {
protected:
  void SetUp() override {
    std::string File = Dir.write("model.safetensors", fakeWeights());
    ASSERT_EQ(cria_artifact_from(fake_get(), File.c_str(), &Artifact, &Error),
              CRIA_OK)
        << Error.message;
  }
  void TearDown() override {
    cria_session_free(Session);
    cria_artifact_free(Artifact);
  }

  void open(const cria_session_options &Options) {
    cria_session_free(Session);
    ASSERT_EQ(cria_session_create(Artifact, &Options, &Session, &Error),
              CRIA_OK)
        << Error.message;
  }

  static cria_session_options options(int64_t Capacity, int64_t Sequences,
                                      int64_t Threads = 1) {
    cria_session_options Options;
    cria_session_options_init(&Options);
    Options.capacity = Capacity;
    Options.max_sequences = Sequences;
    Options.threads = Threads;
    return Options;
  }

  /// Random tokens, different on each call.
  std::vector<int32_t> randomTokens(int64_t Count) {
    std::vector<int32_t> Tokens(Count);
    for (int32_t &Token : Tokens) {
      State = State * 6364136223846793005u + 1442695040888963407u;
      Token = static_cast<int32_t>((State >> 33) % FAKE_VOCAB);
    }
    return Tokens;
  }

  cria_status append(int32_t Sequence, const std::vector<int32_t> &Tokens,
                     float **Logits = nullptr) {
    std::vector<int32_t> Rows(Tokens.size(), Sequence);
    return cria_session_forward(Session, Tokens.size(), Tokens.data(),
                                Rows.data(), nullptr, Logits, &Error);
  }

  static void expectLogits(const float *Logits,
                           const std::vector<int32_t> &Text) {
    ASSERT_NE(Logits, nullptr);
    float Expected[FAKE_VOCAB];
    fake_logits(Text.data(), Text.size(), Expected);
    for (int V = 0; V < FAKE_VOCAB; ++V)
      ASSERT_EQ(Logits[V], Expected[V]) << "logit " << V;
  }

  /// Appends one token and checks that the whole text is in the cache.
  void expectText(int32_t Sequence, std::vector<int32_t> Text) {
    std::vector<int32_t> Next = randomTokens(1);
    float *Logits;
    ASSERT_EQ(append(Sequence, Next, &Logits), CRIA_OK) << Error.message;
    Text.push_back(Next[0]);
    expectLogits(Logits, Text);
    ASSERT_EQ(cria_session_truncate(Session, Sequence, Text.size() - 1, &Error),
              CRIA_OK);
  }

  TempDir Dir;
  cria_error Error = {};
  cria_artifact *Artifact = nullptr;
  cria_session *Session = nullptr;
  uint64_t State = 7;
};

inline bool contains(const char *Message, const char *Part) {
  return std::string(Message).find(Part) != std::string::npos;
}

} // namespace cria::test

#endif
