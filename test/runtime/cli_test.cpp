// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The program `cria` with a model by hand, and with a shell script in place
// of cria-compile: what it prints, what it caches, how it fails.
#include "session_fixture.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/wait.h>
#include <thread>

using namespace cria::test;
namespace fs = std::filesystem;

namespace {

std::string contentOf(const fs::path &Path) {
  std::ifstream File(Path, std::ios::binary);
  std::stringstream Content;
  Content << File.rdbuf();
  return Content.str();
}

class Cli : public testing::Test {
protected:
  void SetUp() override {
    std::string Template = testing::TempDir() + "/cria-cli-XXXXXX";
    ASSERT_NE(mkdtemp(Template.data()), nullptr);
    Root = Template;
    // A copy: cria looks for the compiler beside itself.
    fs::create_directory(Root / "bin");
    fs::copy_file(CRIA_PROGRAM, Root / "bin" / "cria");
    makeArtifact("fake");
  }
  void TearDown() override { fs::remove_all(Root); }

  void makeArtifact(const char *Name) {
    fs::create_directory(Root / Name);
    fs::copy_file(CRIA_FAKE_CODE, Root / Name / "model.so");
    std::ofstream(Root / Name / "model.safetensors", std::ios::binary)
        << fakeWeights(R"("__metadata__": {"cria.symbol": "fake_get"},)");
  }

  /// Letters are 0 to 25; the model's other ids have no text.
  void makeTokenizer(int32_t Eos = -1) {
    nlohmann::json Vocab;
    for (int I = 0; I < 26; ++I)
      Vocab[std::string(1, static_cast<char>('a' + I))] = I;
    nlohmann::json File = {{"version", "1.0"},
                           {"added_tokens", nlohmann::json::array()},
                           {"normalizer", nullptr},
                           {"pre_tokenizer",
                            {{"type", "ByteLevel"},
                             {"add_prefix_space", false},
                             {"trim_offsets", true},
                             {"use_regex", false}}},
                           {"post_processor", nullptr},
                           {"decoder",
                            {{"type", "ByteLevel"},
                             {"add_prefix_space", true},
                             {"trim_offsets", true},
                             {"use_regex", true}}},
                           {"model",
                            {{"type", "BPE"},
                             {"vocab", Vocab},
                             {"merges", nlohmann::json::array()}}}};
    if (Eos >= 0)
      File["cria"]["eos_ids"] = {Eos};
    std::ofstream(Root / "fake" / "tokenizer.json") << File;
  }

  /// The model's greedy ids after a prompt of letters.
  static std::vector<int32_t> greedy(const std::string &Prompt, int Count) {
    std::vector<int32_t> Text;
    for (char Letter : Prompt)
      Text.push_back(Letter - 'a');
    for (int I = 0; I < Count; ++I) {
      float Logits[FAKE_VOCAB];
      fake_logits(Text.data(), Text.size(), Logits);
      Text.push_back(static_cast<int32_t>(
          std::max_element(Logits, Logits + FAKE_VOCAB) - Logits));
    }
    Text.erase(Text.begin(), Text.begin() + Prompt.size());
    return Text;
  }

  static std::string letters(const std::vector<int32_t> &Ids) {
    std::string Text;
    for (int32_t Id : Ids)
      if (Id < 26)
        Text += static_cast<char>('a' + Id);
    return Text;
  }

  /// A compiler that copies the folder "fake" and notes that it ran.
  void makeCompiler(const char *Before = "") {
    fs::path Script = Root / "bin" / "cria-compile";
    std::ofstream(Script) << "#!/bin/sh\n"
                          << Before << "\necho \"$@\" >> '" << Root.native()
                          << "/runs'\nwhile [ $# -gt 1 ]; do shift; done\n"
                          << "echo noise on stdout\ncp -r '" << Root.native()
                          << "/fake' \"$1\"\n";
    fs::permissions(Script, fs::perms::owner_all);
  }

  int64_t compilerRuns() {
    std::string Runs = contentOf(Root / "runs");
    return std::count(Runs.begin(), Runs.end(), '\n');
  }

  int run(const std::string &Arguments, const char *Stdout = "out") {
    std::string Line = "cd '" + Root.native() +
                       "' && CRIA_CACHE=cache PATH=/usr/bin:/bin bin/cria " +
                       Arguments + " > " + Stdout + " 2> err";
    int Status = std::system(Line.c_str());
    Out = contentOf(Root / "out");
    Err = contentOf(Root / "err");
    return WIFEXITED(Status) ? WEXITSTATUS(Status) : -1;
  }

  /// Exit code 1, one line on stderr with `Part`, nothing on stdout.
  void expectError(const std::string &Arguments, const char *Part) {
    EXPECT_EQ(run(Arguments), 1) << Arguments;
    EXPECT_EQ(Err.rfind("cria: error: ", 0), 0u) << Err;
    EXPECT_EQ(std::count(Err.begin(), Err.end(), '\n'), 1) << Err;
    EXPECT_TRUE(contains(Err.c_str(), Part)) << Err;
    EXPECT_EQ(Out, "") << Arguments;
  }

  fs::path Root;
  std::string Out, Err;
};

TEST_F(Cli, HelpHasAnExampleAndFitsEightyColumns) {
  for (const char *Command : {"", "compile", "run", "tokenize", "logits",
                              "bench", "eval", "inspect"}) {
    ASSERT_EQ(run(std::string(Command) + " --help"), 0) << Err;
    EXPECT_TRUE(contains(Out.c_str(), "Example")) << Command;
    std::stringstream Lines(Out);
    for (std::string Line; std::getline(Lines, Line);)
      EXPECT_LE(Line.size(), 81u) << Line;
  }
}

TEST_F(Cli, LogitsAreANumpyFile) {
  ASSERT_EQ(run("logits fake --tokens 3,1,4,1,5 -o l.npy -t 2"), 0) << Err;
  std::string File = contentOf(Root / "l.npy");
  ASSERT_EQ(File.size(), 128 + 5 * FAKE_VOCAB * sizeof(float));
  EXPECT_EQ(File.substr(1, 5), "NUMPY");
  EXPECT_TRUE(contains(File.c_str() + 10, "(5, 37)"));
  const int32_t Tokens[] = {3, 1, 4, 1, 5};
  float Expected[FAKE_VOCAB], Found[FAKE_VOCAB];
  fake_logits(Tokens, 5, Expected);
  std::memcpy(Found, &File[128 + 4 * sizeof(Found)], sizeof(Found));
  for (int V = 0; V < FAKE_VOCAB; ++V)
    EXPECT_EQ(Found[V], Expected[V]);
}

TEST_F(Cli, LogitsDoNotDependOnPiecesOrCompany) {
  ASSERT_EQ(run("logits fake --tokens 3,1,4,1,5 -o a.npy"), 0) << Err;
  ASSERT_EQ(run("logits fake --tokens 3,1,4,1,5 -o b.npy --batch-split 2 "
                "--beside 3"),
            0)
      << Err;
  EXPECT_EQ(contentOf(Root / "a.npy"), contentOf(Root / "b.npy"));
}

TEST_F(Cli, BenchLookupComparesOnAPrompt) {
  makeTokenizer();
  std::ofstream(Root / "p.txt") << "abcabcabcabc";
  ASSERT_EQ(run("bench fake --lookup --prompt-file p.txt -n 20 -r 2 --json"), 0)
      << Err;
  nlohmann::json Found = nlohmann::json::parse(Out);
  ASSERT_EQ(Found.size(), 1u);
  EXPECT_EQ(Found[0]["prompt_tokens"], 12);
  EXPECT_EQ(Found[0]["tokens"], 19);
  EXPECT_EQ(Found[0]["plain_tps_samples"].size(), 2u);
  expectError("bench fake --lookup --prompt-file none.txt", "none.txt");
}

TEST_F(Cli, EvalCutsTheTextIntoWindows) {
  makeTokenizer();
  std::ofstream(Root / "t.txt") << "abcdefghijklmnopqrstuvw"; // 23 tokens
  ASSERT_EQ(run("eval fake --text t.txt --window 10 --skip 2 --json"), 0)
      << Err;
  auto Found = nlohmann::json::parse(Out, nullptr, false);
  EXPECT_EQ(Found["text_tokens"], 23);
  // Of 10, 10 and 3 tokens all but the last and two are scored.
  EXPECT_EQ(Found["tokens"], 7 + 7 + 0);
  EXPECT_EQ(Err, "");
}

TEST_F(Cli, EvalAgainstItselfFindsNoDifference) {
  makeTokenizer();
  std::ofstream(Root / "t.txt") << "abcdefghijklmnopqrstuvw";
  ASSERT_EQ(run("eval fake --text t.txt --against fake --json"), 0) << Err;
  auto Found = nlohmann::json::parse(Out, nullptr, false);
  EXPECT_EQ(Found["tokens"], 22);
  EXPECT_EQ(Found["kl_max"], 0.0);
  EXPECT_EQ(Found["same_top"], 1.0);
  EXPECT_EQ(Found["perplexity"], Found["reference_perplexity"]);
}

TEST_F(Cli, EvalNamesWhatItCannotScore) {
  makeTokenizer();
  std::ofstream(Root / "one.txt") << "a";
  std::ofstream(Root / "none.txt") << "";
  std::ofstream(Root / "t.txt") << "abcdef";
  expectError("eval fake", "--text");
  expectError("eval fake --text missing.txt", "--text missing.txt: cannot");
  expectError("eval fake --text none.txt", "--text none.txt: is empty");
  expectError("eval fake --text one.txt", "needed: at least 2");
  expectError("eval fake --text t.txt --skip 5", "needed: at least 7");
  expectError("eval fake --text t.txt --window 301",
              "--window 301: compiled for a context of 300");
  expectError("eval fake --text t.txt --against fake --against-plain",
              "give one of them");
}

TEST_F(Cli, FailedLogitsLeaveTheOldFile) {
  std::ofstream(Root / "l.npy") << "old";
  expectError("logits fake --tokens 1,37 -o l.npy",
              "entry 1 is 37; the model's token ids are 0 to 36");
  EXPECT_EQ(contentOf(Root / "l.npy"), "old");
  for (const auto &Entry : fs::directory_iterator(Root))
    EXPECT_NE(Entry.path().extension(), ".tmp");
}

TEST_F(Cli, BadArgumentsAreNamed) {
  expectError("", "A subcommand is required");
  expectError("bogus", "\"bogus\" is no command");
  expectError("logits fake --tokens 1,x -o l.npy", "--tokens: \"1,x\"");
  expectError("logits fake --tokens '' -o l.npy", "--tokens: \"\"");
  expectError("logits fake --tokens 99999999999999999999 -o l.npy",
              "out of range");
  expectError("logits fake --tokens 1 -o none/l.npy", "none/l.npy");
  expectError("logits fake --tokens 1 -o l.npy -t 0", "--threads");
  expectError("bench fake -p 301", "context of 300");
  expectError("bench fake -p 0 -n 0", "nothing to measure");
  expectError("bench fake --lookup", "--lookup needs --prompt-file");
  expectError("bench fake --prompt-file x", "--prompt-file is for --lookup");
  expectError("bench fake --lookup -t 1,2 --prompt-file x", "-t 1,2");
  expectError("bench fake --against fake --lookup",
              "--against and --lookup exclude each other");
  expectError("bench fake --against none -p 4 -n 4",
              "none: no such file or folder");
  expectError("bench fake --against fake -d 300",
              "fake: is compiled for a context of 300; --depth with -p and -n "
              "needs 812");
  expectError("bench fake --lookup 64 --prompt-file x", "64");
  expectError("run fake -p x --lookup 0", "0");
  expectError("run fake -p x --lookup many", "many");
  expectError("bench none", "none: no such file or folder");
  expectError("bench bin", "bin: has neither model.so nor config.json");
  expectError("bench fake/model.so", "neither a GGUF file");
  expectError("bench fake --context 9", "is compiled already");
  expectError("logits fake --tokens 1 -o l.npy --clone v5",
              "has no clone of this name; it has future, test");
  expectError("logits fake --tokens 1 -o l.npy --clone future",
              "needs feature bits 0x1000000000000000");
  expectError("run fake -p ''", "the prompt is empty");
  expectError("run fake -p x", "fake/tokenizer.json: not found");
  expectError("tokenize fake -p x", "fake/tokenizer.json: not found");
}

TEST_F(Cli, TokenizePrintsIds) {
  makeTokenizer();
  ASSERT_EQ(run("tokenize fake -p cab"), 0) << Err;
  EXPECT_EQ(Out, "2,0,1\n");
}

TEST_F(Cli, RunPrintsTheTextAndTheSpeedElsewhere) {
  makeTokenizer();
  ASSERT_EQ(run("run fake -p cab -n 20 -t 2"), 0) << Err;
  EXPECT_EQ(Out, letters(greedy("cab", 20)) + "\n");
  EXPECT_TRUE(contains(Err.c_str(), "prefill       3 tokens")) << Err;
  EXPECT_TRUE(contains(Err.c_str(), "decode       19 tokens")) << Err;
}

TEST_F(Cli, RunStopsAtTheEndOfText) {
  std::vector<int32_t> Ids = greedy("cab", 20);
  makeTokenizer(Ids[7]);
  ASSERT_EQ(run("run fake -p cab -n 20"), 0) << Err;
  Ids.erase(std::find(Ids.begin(), Ids.end(), Ids[7]), Ids.end());
  EXPECT_EQ(Out, letters(Ids) + "\n");
}

TEST_F(Cli, RunStopsWhenTheContextIsFull) {
  makeTokenizer();
  std::string Prompt(FAKE_CONTEXT - 5, 'q');
  ASSERT_EQ(run("run fake -n -1 -p " + Prompt), 0) << Err;
  EXPECT_EQ(Out, letters(greedy(Prompt, 6)) + "\n");
  EXPECT_TRUE(contains(Err.c_str(), "context of 300 tokens is full")) << Err;
}

TEST_F(Cli, RunSamplesWithASeed) {
  makeTokenizer();
  const char *Line = "run fake -p cab -n 50 --temp 1e6 --top-k 20 --seed ";
  ASSERT_EQ(run(std::string(Line) + "1"), 0) << Err;
  std::string First = Out;
  ASSERT_EQ(run(std::string(Line) + "1"), 0) << Err;
  EXPECT_EQ(Out, First);
  ASSERT_EQ(run(std::string(Line) + "2"), 0) << Err;
  EXPECT_NE(Out, First);
}

TEST_F(Cli, RunRefusesWhatDoesNotFit) {
  makeTokenizer();
  expectError("run fake -p " + std::string(FAKE_CONTEXT + 1, 'q'),
              "has 301 tokens; the model is compiled for a context of 300");
  expectError("run fake -p a --temp -1", "temperature");
  expectError("run fake -p a -n -2", "--count");
}

TEST_F(Cli, FullDiskIsAnError) {
  EXPECT_EQ(run("inspect fake", "/dev/full"), 1);
  EXPECT_TRUE(contains(Err.c_str(), "standard output")) << Err;
  expectError("logits fake --tokens 1 -o /dev/full", "/dev/full");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(Cli, ClosedPipeEndsQuietly) {
  std::string Line = "cd '" + Root.native() +
                     "' && { sleep 0.2; bin/cria inspect fake 2> err; echo $? "
                     "> code; } | true";
  ASSERT_EQ(std::system(Line.c_str()), 0);
  for (int Wait = 0; Wait < 100 && contentOf(Root / "code").empty(); ++Wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(contentOf(Root / "err"), "");
  EXPECT_EQ(contentOf(Root / "code"), "1\n");
}

TEST_F(Cli, BenchJsonHasTheKeys) {
  ASSERT_EQ(run("bench fake -p 20 -n 4 -t 1,2 --depth 10 --batch 2 -r 3 "
                "--json"),
            0)
      << Err;
  auto Parsed = nlohmann::json::parse(Out, nullptr, false);
  ASSERT_EQ(Parsed.size(), 2u);
  EXPECT_EQ(Parsed[1]["threads"], 2);
  EXPECT_GT(Parsed[0]["prefill_tps"], 0.0);
  EXPECT_GT(Parsed[0]["decode_tps"], 0.0);
  EXPECT_EQ(Parsed[0]["decode_tps_samples"].size(), 3u);
}

TEST_F(Cli, BenchTableNamesWhatItMeasured) {
  ASSERT_EQ(run("bench fake -p 20 -n 4 -t 1 --depth 10 -r 1"), 0) << Err;
  EXPECT_TRUE(contains(Out.c_str(), "pp20 @ d10")) << Out;
  EXPECT_TRUE(contains(Out.c_str(), "tg4 @ d10")) << Out;
}

TEST_F(Cli, BenchAgainstMeasuresBothByTurns) {
  makeArtifact("other");
  ASSERT_EQ(run("bench fake --against other -p 20 -n 4 -t 1,2 --depth 10 -r 3 "
                "--json"),
            0)
      << Err;
  auto Parsed = nlohmann::json::parse(Out, nullptr, false);
  ASSERT_EQ(Parsed.size(), 2u) << Out;
  EXPECT_EQ(Parsed[1]["threads"], 2);
  EXPECT_EQ(Parsed[0]["against"], "other");
  EXPECT_EQ(Parsed[0]["against_bytes"], Parsed[0]["model_bytes"]);
  // Its cache has 96 bytes a token, its context 300.
  EXPECT_EQ(Parsed[0]["model_bytes"]["kv_bytes_full_context"], 96 * 300);
  const auto &Times = Parsed[0]["decode_seconds_samples"],
             &Others = Parsed[0]["against_decode_seconds_samples"];
  ASSERT_EQ(Times.size(), 3u);
  ASSERT_EQ(Others.size(), 3u);
  std::vector<double> Ratios;
  for (size_t I = 0; I < 3; ++I)
    Ratios.push_back(Others[I].get<double>() / Times[I].get<double>());
  std::sort(Ratios.begin(), Ratios.end());
  EXPECT_DOUBLE_EQ(Parsed[0]["decode_ratio_min"], Ratios[0]);
  EXPECT_DOUBLE_EQ(Parsed[0]["decode_ratio"], Ratios[1]);
  EXPECT_DOUBLE_EQ(Parsed[0]["decode_ratio_max"], Ratios[2]);
}

TEST_F(Cli, BenchAgainstTellsBytesSpeedsAndTheTimeSaved) {
  makeArtifact("other");
  ASSERT_EQ(run("bench fake --against other -p 0 -n 4 -t 1 -d 10 -r 1"), 0)
      << Err;
  for (const char *Part : {"model    fake\n", "against  other\n",
                           "KV cache, full context           28.8 kB       "
                           "28.8 kB     1.00\n",
                           "read to decode one @ d10", "\n1 thread, tokens/s",
                           "\ntg4 @ d10 ", "\ndecode time saved: "})
    EXPECT_TRUE(contains(Out.c_str(), Part)) << Part << Out;
  EXPECT_FALSE(contains(Out.c_str(), "pp0")) << Out;
}

TEST_F(Cli, InspectJsonHasTheFigures) {
  ASSERT_EQ(run("inspect fake --json"), 0) << Err;
  auto Parsed = nlohmann::json::parse(Out, nullptr, false);
  EXPECT_EQ(Parsed["weights"]["U8"]["bytes"], 128);
  EXPECT_EQ(Parsed["kv_bytes_full_context"], 96 * 300);
  // Two layers of 12 x (6 + 2 x 3 + 6) x 2 and 3 x 12 x 20, a head of 12 x 37.
  EXPECT_EQ(Parsed["flops_per_token"], 2 * (2 * (432 + 720) + 444));
}

TEST_F(Cli, InspectSaysWhereAModelLeavesTheUsualRange) {
  ASSERT_EQ(run("inspect fake --json"), 0) << Err;
  auto Card = nlohmann::json::parse(Out, nullptr, false)["proportions"];
  EXPECT_DOUBLE_EQ(Card["ffn_ratio"]["value"], 20.0 / 12.0);
  EXPECT_EQ(Card["ffn_ratio"]["usual"], nlohmann::json({2.5, 4.0}));
  EXPECT_EQ(Card["ffn_ratio"]["remark"],
            "narrow: 8/3 matches a plain network of 4");
  EXPECT_DOUBLE_EQ(Card["intensity_8"]["value"],
                   8 * Card["intensity_1"]["value"].get<double>());
  ASSERT_EQ(run("inspect fake"), 0) << Err;
  EXPECT_TRUE(contains(Out.c_str(), "d_ff / d_model, gated")) << Out;
}

TEST_F(Cli, InspectListsClonesAndTheOneThatRuns) {
  ASSERT_EQ(run("inspect fake --json"), 0) << Err;
  auto Clones = nlohmann::json::parse(Out, nullptr, false)["clones"];
  ASSERT_EQ(Clones.size(), 2u) << Out;
  EXPECT_EQ(Clones[0]["target"], "future");
  EXPECT_EQ(Clones[0]["features"], nlohmann::json::array({"bit 60"}));
  EXPECT_EQ(Clones[0]["can_run"], false);
  EXPECT_EQ(Clones[1]["target"], "test");
  EXPECT_EQ(Clones[1]["can_run"], true);
  EXPECT_EQ(Clones[1]["chosen"], true);
  ASSERT_EQ(run("inspect fake"), 0) << Err;
  EXPECT_TRUE(contains(Out.c_str(), "future           bit 60 (not here)"))
      << Out;
}

TEST_F(Cli, NamedCloneRuns) {
  ASSERT_EQ(run("bench fake -p 20 -n 0 -r 1 -t 1 --clone test --json"), 0)
      << Err;
  auto Parsed = nlohmann::json::parse(Out, nullptr, false);
  EXPECT_EQ(Parsed[0]["target"], "test");
}

TEST_F(Cli, ModelIsCompiledOnceAndTheNoiseStaysOffStdout) {
  makeCompiler();
  std::ofstream(Root / "m.gguf") << "GGUF one";
  ASSERT_EQ(run("inspect m.gguf --json"), 0) << Err;
  EXPECT_TRUE(contains(Err.c_str(), "compiling m.gguf")) << Err;
  EXPECT_TRUE(nlohmann::json::accept(Out)) << Out;
  ASSERT_EQ(run("inspect m.gguf --json"), 0) << Err;
  EXPECT_EQ(Err, "");
  EXPECT_EQ(compilerRuns(), 1);
}

TEST_F(Cli, ContentAndOptionsMakeOtherEntries) {
  makeCompiler();
  std::ofstream(Root / "m.gguf") << "GGUF one";
  ASSERT_EQ(run("inspect m.gguf"), 0) << Err;
  ASSERT_EQ(run("inspect m.gguf --context 64"), 0) << Err;
  ASSERT_EQ(run("inspect m.gguf --target x86-64-v3"), 0) << Err;
  std::ofstream(Root / "m.gguf") << "GGUF two";
  ASSERT_EQ(run("inspect m.gguf"), 0) << Err;
  EXPECT_EQ(compilerRuns(), 4);
}

TEST_F(Cli, EveryFileOfAFolderCounts) {
  makeCompiler();
  fs::create_directory(Root / "hf");
  std::ofstream(Root / "hf" / "config.json") << "{}";
  std::ofstream(Root / "hf" / "tokenizer.json") << "{}";
  ASSERT_EQ(run("inspect hf"), 0) << Err;
  std::ofstream(Root / "hf" / "tokenizer.json") << "{ }";
  ASSERT_EQ(run("inspect hf"), 0) << Err;
  std::ofstream(Root / "hf" / "notes.md") << "unrelated";
  ASSERT_EQ(run("inspect hf"), 0) << Err;
  EXPECT_EQ(compilerRuns(), 2);
}

TEST_F(Cli, WeightsThatADescriptionNamesCount) {
  makeCompiler();
  std::ofstream(Root / "m.mlir") << "module { w = \"w.safetensors\" }";
  std::ofstream(Root / "w.safetensors") << "one";
  ASSERT_EQ(run("inspect m.mlir"), 0) << Err;
  std::ofstream(Root / "w.safetensors") << "two";
  ASSERT_EQ(run("inspect m.mlir"), 0) << Err;
  EXPECT_EQ(compilerRuns(), 2);
}

TEST_F(Cli, FailedCompilationLeavesNothing) {
  makeCompiler("echo 'cria: error: no good' >&2; mkdir -p \"$5\"; exit 1");
  std::ofstream(Root / "m.gguf") << "GGUF one";
  EXPECT_EQ(run("inspect m.gguf"), 1);
  EXPECT_TRUE(contains(Err.c_str(), "cria: error: no good")) << Err;
  for (const auto &Entry : fs::directory_iterator(Root / "cache"))
    EXPECT_EQ(Entry.path().extension(), ".lock") << Entry.path();
}

TEST_F(Cli, KilledCompilationIsReported) {
  makeCompiler("kill -9 $$");
  std::ofstream(Root / "m.gguf") << "GGUF one";
  EXPECT_EQ(run("inspect m.gguf"), 1);
  EXPECT_TRUE(contains(Err.c_str(), "signal 9")) << Err;
}

TEST_F(Cli, TwoAtOnceCompileOnce) {
  makeCompiler("sleep 0.5");
  std::ofstream(Root / "m.gguf") << "GGUF one";
  std::string Line =
      "cd '" + Root.native() + "' && CRIA_CACHE=cache bin/cria inspect m.gguf ";
  int Codes[2];
  std::thread Other(
      [&] { Codes[0] = std::system((Line + "> o1 2> e1").c_str()); });
  Codes[1] = std::system((Line + "> o2 2> e2").c_str());
  Other.join();
  EXPECT_EQ(Codes[0], 0) << contentOf(Root / "e1");
  EXPECT_EQ(Codes[1], 0) << contentOf(Root / "e2");
  EXPECT_EQ(compilerRuns(), 1);
}

TEST_F(Cli, PlainTakesItsCodeFromTheCacheAndTheModelsWeights) {
  makeCompiler();
  std::ofstream(Root / "fake" / "model.mlir") << "module {}";
  // The script's plain code has no model_get: its error shows which code and
  // symbol were asked for.
  EXPECT_EQ(run("logits fake --tokens 1 -o l.npy --plain"), 1);
  EXPECT_TRUE(contains(Err.c_str(), "plain-")) << Err;
  EXPECT_TRUE(contains(Err.c_str(), "model_get")) << Err;
  EXPECT_TRUE(contains(contentOf(Root / "runs").c_str(), "fake --plain"));
  EXPECT_FALSE(fs::exists(Root / "l.npy"));
}

TEST_F(Cli, CompileHandsItsArgumentsOn) {
  makeCompiler();
  ASSERT_EQ(run("compile m.gguf --timing -o made"), 0) << Err;
  EXPECT_EQ(contentOf(Root / "runs"), "m.gguf --timing -o made\n");
  EXPECT_TRUE(fs::exists(Root / "made" / "model.so"));
}

TEST_F(Cli, MissingCompilerIsNamed) {
  expectError("compile m.gguf -o made", "cria-compile is neither beside");
}

} // namespace
