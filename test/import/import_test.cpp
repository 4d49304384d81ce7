// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/Import.h"

#include "compiler/import/DecoderModule.h"
#include "compiler/import/PackWeights.h"
#include "dialect/CriaOps.h"
#include "import_fixture.h"

#include <functional>
#include <limits>
#include <map>
#include <set>

using namespace llvm;
using namespace cria::test;

namespace {

enum : uint32_t { F32 = 0, Q4_0 = 2, Q4_1 = 3, Q8_0 = 8, IQ4_XS = 23 };

std::string zeros(ArrayRef<uint64_t> dims, uint32_t type) {
  uint64_t count = 1;
  for (uint64_t dim : dims)
    count *= dim;
  uint64_t bytes = type == F32    ? 4 * count
                   : type == Q4_0 ? count / 32 * 18
                   : type == Q4_1 ? count / 32 * 20
                   : type == Q8_0 ? count / 32 * 34
                                  : count / 256 * 136;
  return std::string(bytes, '\0');
}

/// A Llama of width 64 with 3 layers, 4 heads and 2 kv heads of 16, an ffn of
/// 96, 40 tokens. A test changes one thing of it.
struct SmallLlama {
  std::string architecture = "llama";
  std::map<std::string, uint32_t> integers = {
      {"llama.block_count", 3},          {"llama.context_length", 128},
      {"llama.embedding_length", 64},    {"llama.feed_forward_length", 96},
      {"llama.attention.head_count", 4}, {"llama.attention.head_count_kv", 2},
      {"llama.vocab_size", 40}};
  std::map<std::string, float> floats = {
      {"llama.attention.layer_norm_rms_epsilon", 1e-5f}};
  std::map<std::string, std::string> strings;
  struct Tensor {
    std::vector<uint64_t> dims;
    uint32_t type;
  };
  std::map<std::string, Tensor> tensors;

  SmallLlama() {
    tensors["token_embd.weight"] = {{64, 40}, F32};
    tensors["output_norm.weight"] = {{64}, F32};
    tensors["output.weight"] = {{64, 40}, F32};
    for (int i = 0; i < 3; ++i) {
      std::string blk = "blk." + std::to_string(i) + ".";
      tensors[blk + "attn_norm.weight"] = {{64}, F32};
      tensors[blk + "attn_q.weight"] = {{64, 64}, Q4_0};
      tensors[blk + "attn_k.weight"] = {{64, 32}, Q4_0};
      tensors[blk + "attn_v.weight"] = {{64, 32}, Q4_0};
      tensors[blk + "attn_output.weight"] = {{64, 64}, Q4_0};
      tensors[blk + "ffn_norm.weight"] = {{64}, F32};
      tensors[blk + "ffn_gate.weight"] = {{64, 96}, Q4_0};
      tensors[blk + "ffn_up.weight"] = {{64, 96}, Q4_0};
      tensors[blk + "ffn_down.weight"] = {{96, 64}, Q4_0};
    }
  }

  void fuseQkv(uint64_t rows) {
    for (int i = 0; i < 3; ++i) {
      std::string blk = "blk." + std::to_string(i) + ".";
      for (const char *part : {"attn_q", "attn_k", "attn_v"})
        tensors.erase(blk + part + ".weight");
      tensors[blk + "attn_qkv.weight"] = {{64, rows}, Q4_0};
    }
  }

  std::string bytes() const {
    GgufBuilder builder(3);
    builder.string("general.architecture", architecture);
    for (const auto &[key, value] : integers)
      builder.u32(key, value);
    for (const auto &[key, value] : floats)
      builder.f32(key, value);
    for (const auto &[key, value] : strings)
      builder.string(key, value);
    for (const auto &[name, tensor] : tensors)
      builder.tensor(name, tensor.dims, tensor.type,
                     StringRef(name).starts_with("rope_f")
                         ? ropeFreqs(tensor.dims[0])
                         : zeros(tensor.dims, tensor.type));
    return builder.finish();
  }

  static std::string ropeFreqs(uint64_t count) {
    std::string out;
    for (uint64_t i = 0; i < count; ++i)
      out += bytesOf(1.0f + static_cast<float>(i));
    return out;
  }
};

class ImportGguf : public ImportTest {
protected:
  std::string error() { return messageOf(import()); }

  Expected<cria::ImportedModel> import() {
    return cria::importModel(write("small.gguf", llama.bytes()), context,
                             options);
  }

  /// The module as text; "" with a failure where it does not import.
  std::string text() {
    auto model = import();
    if (!model) {
      ADD_FAILURE() << toString(model.takeError());
      return "";
    }
    std::string out;
    raw_string_ostream stream(out);
    (*model->module)->print(stream);
    return out;
  }

  SmallLlama llama;
  cria::ImportOptions options;
};

TEST_F(ImportGguf, Works) { EXPECT_EQ(error(), ""); }

TEST_F(ImportGguf, TiedHead) {
  llama.tensors.erase("output.weight");
  EXPECT_EQ(text().find("@output :"), std::string::npos);
}

TEST_F(ImportGguf, BiasesWhereTheirTensorsAre) {
  for (int i = 0; i < 3; ++i)
    llama.tensors["blk." + std::to_string(i) + ".attn_k.bias"] = {{32}, F32};
  std::string module = text();
  EXPECT_HAS(module, "@attn_k_bias stacked : tensor<3x32xf32>");
  EXPECT_EQ(module.find("@attn_q_bias"), std::string::npos);
}

TEST_F(ImportGguf, LayersOfTwoKinds) {
  llama.tensors["blk.1.ffn_down.weight"].type = Q4_1;
  std::string module = text();
  EXPECT_HAS(module, "@ffn_down_0 : !cria.weight<2x64x96, q4, block = 32, "
                     "zero_point, rows> from [\"blk.0.ffn_down.weight\", "
                     "\"blk.2.ffn_down.weight\"]");
  EXPECT_HAS(module, "@ffn_down_1 : !cria.weight<1x64x96, q4, block = 32, "
                     "min, rows> from [\"blk.1.ffn_down.weight\"]");
  EXPECT_HAS(module, "dense<[0, 1, 0]>"); // kinds
  EXPECT_HAS(module, "dense<[0, 0, 1]>"); // places among their kind
  EXPECT_HAS(module, "scf.index_switch");
}

TEST_F(ImportGguf, NameLocations) {
  auto model = import();
  ASSERT_TRUE(static_cast<bool>(model));
  std::set<std::string> names;
  (*model->module)->walk([&](cria::LinearOp op) {
    names.insert(cast<mlir::NameLoc>(op.getLoc()).getName().str());
  });
  EXPECT_TRUE(names.count("blk.0.attn_q.weight"));
}

TEST_F(ImportGguf, CapacityFromOptions) {
  options.context = 100;
  options.batch = 7;
  std::string module = text();
  EXPECT_HAS(module, "cria.context = 100");
  EXPECT_HAS(module, "cria.max_batch = 7");
}

TEST(UsualBatch, KeepsTheActivationsOfWideModelsSmall) {
  EXPECT_EQ(cria::usualBatch(576, 1536), 512);
  EXPECT_EQ(cria::usualBatch(2048, 8192), 256);
  EXPECT_EQ(cria::usualBatch(4096, 14336), 128);
}

TEST(UsualBatch, TakesAnyWidth) {
  int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(cria::usualBatch(most, most), 128);
  EXPECT_EQ(cria::usualBatch(1, 1), 512);
}

TEST_F(ImportGguf, BatchIsAtMostTheContext) {
  EXPECT_HAS(text(), "cria.max_batch = 128");
}

TEST_F(ImportGguf, ContextBeyondTheModel) {
  options.context = 129;
  EXPECT_HAS(text(), "cria.context = 129");
}

TEST_F(ImportGguf, NotesAContextBeyondTheModel) {
  options.context = 129;
  std::vector<std::string> notes = cantFail(import()).notes;
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_HAS(notes[0], "129 goes past the 128 positions");
}

TEST_F(ImportGguf, ContextBeyondAnyModel) {
  options.context = (int64_t(1) << 30) + 1;
  EXPECT_HAS(error(), "accepted: 1 to 1073741824");
}

TEST_F(ImportGguf, RopeLengthWhereNothingDependsOnIt) {
  options.ropeLength = 64;
  EXPECT_HAS(error(), "--rope-length 64: no frequency of this model's rope");
}

TEST_F(ImportGguf, BatchBeyondTheContext) {
  options.batch = 129;
  EXPECT_HAS(error(), "batch of 129 tokens is asked for; accepted: 1 to 128");
}

TEST_F(ImportGguf, Architecture) {
  llama.architecture = "mamba";
  EXPECT_HAS(error(), "'general.architecture' is 'mamba'; accepted: llama");
}

TEST_F(ImportGguf, MissingTensor) {
  llama.tensors.erase("blk.2.attn_v.weight");
  EXPECT_HAS(error(), "blk.2.attn_v.weight");
}

TEST_F(ImportGguf, ShapeOfATensor) {
  llama.tensors["blk.1.attn_k.weight"].dims = {64, 64};
  std::string message = error();
  EXPECT_HAS(message, "'blk.1.attn_k.weight' has shape [64, 64]");
  EXPECT_HAS(message, "[32, 64]");
}

TEST_F(ImportGguf, TypeOfATensor) {
  llama.tensors["blk.0.ffn_gate.weight"] = {{256, 24}, IQ4_XS};
  std::string message = error();
  EXPECT_HAS(message, "'blk.0.ffn_gate.weight' has type IQ4_XS");
  EXPECT_HAS(message, "Q8_0");
}

TEST_F(ImportGguf, EmbeddingOfAnotherRank) {
  llama.tensors["token_embd.weight"].dims = {};
  EXPECT_HAS(error(), "'token_embd.weight'");
}

TEST_F(ImportGguf, SurplusTensor) {
  llama.tensors["blk.0.attn_sinks.weight"] = {{4}, F32};
  EXPECT_HAS(error(), "'blk.0.attn_sinks.weight' has no place");
}

TEST_F(ImportGguf, LayerBeyondTheCount) {
  llama.integers["llama.block_count"] = 2;
  EXPECT_HAS(error(), "'blk.2.");
}

TEST_F(ImportGguf, MissingKey) {
  llama.integers.erase("llama.embedding_length");
  EXPECT_HAS(error(), "llama.embedding_length");
}

TEST_F(ImportGguf, AbsurdLayerCount) {
  llama.integers["llama.block_count"] = 4000000000u;
  EXPECT_HAS(error(), "'llama.block_count' is 4000000000; accepted: an "
                      "integer from 1 to 4096");
}

TEST_F(ImportGguf, KvHeadsDivideHeads) {
  llama.integers["llama.attention.head_count_kv"] = 3;
  EXPECT_HAS(error(), "'llama.attention.head_count_kv' is 3; accepted: a "
                      "divisor of llama.attention.head_count = 4");
}

TEST_F(ImportGguf, HeadsDivideWidth) {
  llama.integers["llama.attention.head_count"] = 6;
  EXPECT_HAS(error(), "'llama.attention.head_count' is 6; accepted: a divisor "
                      "of llama.embedding_length = 64");
}

TEST_F(ImportGguf, VocabularyOfAnotherSize) {
  llama.integers["llama.vocab_size"] = 41;
  EXPECT_HAS(error(), "'llama.vocab_size' is 41; accepted: 40");
}

TEST_F(ImportGguf, TokenIdBeyondTheVocabulary) {
  llama.integers["tokenizer.ggml.eos_token_id"] = 40;
  EXPECT_HAS(error(), "'tokenizer.ggml.eos_token_id' is 40; accepted: 0 to 39");
}

TEST_F(ImportGguf, UnknownKey) {
  llama.integers["llama.attention.new_trick"] = 1;
  EXPECT_HAS(error(), "unknown key 'llama.attention.new_trick'");
}

TEST_F(ImportGguf, SlidingWindow) {
  llama.integers["llama.attention.sliding_window"] = 4096;
  EXPECT_HAS(error(), "'llama.attention.sliding_window' is 4096; accepted: 0");
}

TEST_F(ImportGguf, Experts) {
  llama.integers["llama.expert_count"] = 8;
  EXPECT_HAS(error(), "'llama.expert_count' is 8; accepted: 0");
}

TEST_F(ImportGguf, NoExperts) {
  llama.integers["llama.expert_count"] = 0;
  EXPECT_EQ(error(), "");
}

TEST_F(ImportGguf, RopeWithoutScaling) {
  llama.floats["llama.rope.freq_base"] = 500000;
  EXPECT_HAS(text(), "#cria.rope<pairs = interleaved, base = 5.000000e+05, "
                     "dims = 16>");
}

TEST_F(ImportGguf, RopeOfPartOfAHead) {
  llama.integers["llama.rope.dimension_count"] = 8;
  EXPECT_HAS(text(), "dims = 8>");
}

TEST_F(ImportGguf, RopeDimsBeyondAHead) {
  llama.integers["llama.rope.dimension_count"] = 18;
  EXPECT_HAS(error(), "'llama.rope.dimension_count' is 18; accepted: an even "
                      "integer from 2 to 16");
}

TEST_F(ImportGguf, LinearScaling) {
  llama.strings["llama.rope.scaling.type"] = "linear";
  llama.floats["llama.rope.scaling.factor"] = 4;
  EXPECT_HAS(text(), "scaling = linear, factor = 4.000000e+00>");
}

TEST_F(ImportGguf, YarnScaling) {
  llama.strings["llama.rope.scaling.type"] = "yarn";
  llama.floats["llama.rope.scaling.factor"] = 4;
  llama.integers["llama.rope.scaling.original_context_length"] = 32;
  EXPECT_HAS(text(),
             "scaling = yarn, factor = 4.000000e+00, original_context = 32");
}

TEST_F(ImportGguf, UnknownScaling) {
  llama.strings["llama.rope.scaling.type"] = "twisted";
  EXPECT_HAS(error(), "'llama.rope.scaling.type' is 'twisted'; accepted: none, "
                      "linear, yarn");
}

TEST_F(ImportGguf, FactorWithoutScaling) {
  llama.floats["llama.rope.scaling.factor"] = 4;
  EXPECT_HAS(error(), "'llama.rope.scaling.factor' is 4; accepted: 0 or 1");
}

TEST_F(ImportGguf, FrequencyDivisors) {
  llama.tensors["rope_freqs.weight"] = {{8}, F32};
  EXPECT_HAS(text(), "short_factors = [1.000000e+00, 2.000000e+00");
}

TEST_F(ImportGguf, WrongCountOfFrequencyDivisors) {
  llama.tensors["rope_freqs.weight"] = {{16}, F32};
  EXPECT_HAS(error(), "'rope_freqs.weight' has type F32 and 16 elements; "
                      "accepted: F32 and 8");
}

TEST_F(ImportGguf, FrequencyDivisorsAndScaling) {
  llama.tensors["rope_freqs.weight"] = {{8}, F32};
  llama.strings["llama.rope.scaling.type"] = "linear";
  llama.floats["llama.rope.scaling.factor"] = 4;
  EXPECT_HAS(error(), "accepted: none, as the file has the tensor "
                      "rope_freqs.weight");
}

TEST_F(ImportGguf, LongRope) {
  llama.tensors["rope_factors_short.weight"] = {{8}, F32};
  llama.tensors["rope_factors_long.weight"] = {{8}, F32};
  llama.strings["llama.rope.scaling.type"] = "longrope";
  llama.integers["llama.rope.scaling.original_context_length"] = 32;
  llama.floats["llama.rope.scaling.attn_factor"] = 1.5f;
  EXPECT_HAS(text(), "scaling = longrope, original_context = 32, max_context = "
                     "128, attention_factor = 1.500000e+00");
}

TEST_F(ImportGguf, LongRopeWithoutItsShortFactors) {
  llama.tensors["rope_factors_long.weight"] = {{8}, F32};
  EXPECT_HAS(error(), "rope_factors_short.weight");
}

TEST_F(ImportGguf, LongRopeWithoutFactors) {
  llama.strings["llama.rope.scaling.type"] = "longrope";
  EXPECT_HAS(error(),
             "'llama.rope.scaling.type' is 'longrope'; accepted: none, "
             "linear, yarn, and longrope where");
}

TEST_F(ImportGguf, FusedQkv) {
  llama.fuseQkv(128);
  EXPECT_HAS(text(), "from [\"blk.0.attn_qkv.weight | rows 96 32\", ");
}

TEST_F(ImportGguf, FusedQkvOfOtherSizes) {
  llama.fuseQkv(160);
  EXPECT_HAS(error(),
             "tensor 'blk.0.attn_qkv.weight' has 160 rows; the model's "
             "sizes make it 128");
}

TEST_F(ImportGguf, WithoutTokenizer) {
  auto model = import();
  ASSERT_TRUE(static_cast<bool>(model));
  EXPECT_EQ(model->tokenizerJson, "");
}

TEST_F(ImportGguf, ChatTemplate) {
  llama.strings["tokenizer.chat_template"] = "{{ messages }}";
  auto model = import();
  ASSERT_TRUE(static_cast<bool>(model));
  EXPECT_EQ(model->chatTemplate, "{{ messages }}");
}

TEST_F(ImportGguf, SeedBecomesAnAttribute) {
  options.seed = 5;
  EXPECT_HAS(text(), "cria.seed = 5");
}

TEST_F(ImportGguf, KindsPack) {
  llama.tensors["blk.1.ffn_down.weight"].type = Q4_1;
  auto model = import();
  ASSERT_TRUE(static_cast<bool>(model));
  EXPECT_EQ(messageOf(cria::packWeights(*model->module, model->weights.get(),
                                        {}, path("out"), nullptr, {})),
            "");
}

class ImportMlir : public ImportTest {
protected:
  static constexpr const char *attributes =
      "cria.vocab = 8 : i64, cria.width = 4 : i64, cria.layers = 1 : i64, "
      "cria.heads = 1 : i64, cria.kv_heads = 1 : i64, cria.head_dim = 4 : "
      "i64, cria.ffn = 4 : i64, cria.context = 64 : i64";

  static std::string wrap(StringRef extra, StringRef body) {
    return ("module attributes {" + Twine(attributes) + extra + "} {" + body +
            "}")
        .str();
  }
  static constexpr const char *entry =
      "func.func @forward() attributes {cria.entry} { return }\n";

  Expected<cria::ImportedModel> import(StringRef text) {
    return cria::importModel(write("model.mlir", text), context, options);
  }
  std::string error(StringRef text) { return messageOf(import(text)); }

  cria::ImportOptions options;
};

TEST_F(ImportMlir, FillsInWhatIsOptional) {
  auto model = import(wrap("", entry));
  ASSERT_TRUE(static_cast<bool>(model));
  mlir::ModuleOp module = *model->module;
  EXPECT_EQ(module->getAttrOfType<mlir::StringAttr>("cria.name"), "model");
  EXPECT_EQ(module->getAttrOfType<mlir::IntegerAttr>("cria.max_batch").getInt(),
            64);
}

TEST_F(ImportMlir, SyntaxErrorHasItsPlace) {
  EXPECT_HAS(error("module {\n  bogus\n}"), "model.mlir:2:3: error:");
}

TEST_F(ImportMlir, VerifierErrorHasItsPlace) {
  std::string message = error(wrap(
      "", "\ncria.param @w : !cria.weight<2x4x4, f32, rows> from [\"a\"]"));
  EXPECT_HAS(message, "model.mlir:2:1: error:");
  EXPECT_HAS(message, "param_c2");
}

TEST_F(ImportMlir, MissingAttribute) {
  EXPECT_HAS(error(entry), "cria.vocab is missing");
}

TEST_F(ImportMlir, MissingEntry) {
  EXPECT_HAS(error(wrap("", "")), "cria.entry");
}

TEST_F(ImportMlir, RandomWeightsNeedASeed) {
  EXPECT_HAS(
      error(wrap("", std::string(entry) + "cria.param @g : tensor<4xf32>")),
      "param @g has no file of weights; accepted:");
}

TEST_F(ImportMlir, SeedOfTheModule) {
  EXPECT_EQ(error(wrap(", cria.seed = 1 : i64",
                       std::string(entry) + "cria.param @g : tensor<4xf32>")),
            "");
}

TEST_F(ImportMlir, SeedOption) {
  options.seed = 1;
  EXPECT_EQ(
      error(wrap("", std::string(entry) + "cria.param @g : tensor<4xf32>")),
      "");
}

TEST_F(ImportMlir, SourceBesideTheModule) {
  write("w.gguf",
        GgufBuilder(3).tensor("t", {4}, 0, std::string(16, '\0')).finish());
  auto model = import(
      wrap(", cria.source = \"w.gguf\"",
           std::string(entry) + "cria.param @g : tensor<4xf32> from [\"t\"]"));
  ASSERT_TRUE(static_cast<bool>(model));
  EXPECT_NE(model->weights, nullptr);
}

TEST_F(ImportMlir, MissingSourceFile) {
  EXPECT_HAS(error(wrap(", cria.source = \"none.gguf\"", entry)), "none.gguf");
}

TEST_F(ImportMlir, SourceOfAnotherShape) {
  write("w.gguf",
        GgufBuilder(3).tensor("t", {5}, 0, std::string(20, '\0')).finish());
  EXPECT_HAS(error(wrap(", cria.source = \"w.gguf\"",
                        std::string(entry) +
                            "cria.param @g : tensor<4xf32> from [\"t\"]")),
             "'t' has shape [5]; param @g makes it [4]");
}

TEST_F(ImportMlir, NormsAreMarkedForRandomWeights) {
  auto model = import(wrap(", cria.seed = 1 : i64",
                           R"(cria.param @gain : tensor<4xf32>
         func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32>
             attributes {cria.entry} {
           %g = cria.load @gain : tensor<4xf32>
           %y = cria.norm rms %x weight %g {eps = 1.0e-05 : f32}
              : tensor<?x4xf32>, weight tensor<4xf32>
           return %y : tensor<?x4xf32>
         })"));
  ASSERT_TRUE(static_cast<bool>(model));
  auto param = *model->module->getOps<cria::ParamOp>().begin();
  EXPECT_TRUE(param->hasAttr(cria::randomMeanAttr));
}

class ImportOther : public ImportTest {
protected:
  std::string error(StringRef name) {
    return messageOf(cria::importModel(path(name), context, {}));
  }
};

TEST_F(ImportOther, AnotherFormat) {
  write("model.bin", "PK\x03\x04 and more");
  EXPECT_HAS(error("model.bin"),
             "begins with 'PK\\x03\\x04'; accepted: a .gguf "
             "file, a Hugging Face folder");
}

TEST_F(ImportOther, MissingFile) {
  EXPECT_HAS(error("nothing.gguf"), "nothing.gguf");
}

TEST_F(ImportOther, FolderWithoutConfig) {
  EXPECT_HAS(error(""), "config.json");
}

} // namespace
