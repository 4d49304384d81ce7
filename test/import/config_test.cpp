// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/HfConfig.h"
#include "gtest/gtest.h"

using namespace llvm;
using cria::Role;
using Kind = cria::RopeDescription::Kind;

namespace {

/// A valid file whose members `rest` follows or, where it repeats a key,
/// overrides (the last of two equal keys counts).
std::string text(const std::string &rest = "") {
  return R"({"architectures":["LlamaForCausalLM"],"model_type":"llama",
    "hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,
    "num_attention_heads":8,"num_key_value_heads":4,"vocab_size":100,
    "rms_norm_eps":1e-05,"max_position_embeddings":32768)" +
         (rest.empty() ? "" : "," + rest) + "}";
}

Expected<cria::DecoderDescription> parse(const std::string &rest) {
  return cria::parseHfConfig("config.json", text(rest));
}

std::string errorOf(const std::string &rest) {
  auto config = parse(rest);
  return config ? std::string() : toString(config.takeError());
}

/// The rope part of a config that must parse.
cria::RopeDescription rope(const std::string &rest) {
  auto config = parse(rest);
  if (!config) {
    ADD_FAILURE() << toString(config.takeError());
    return {};
  }
  return *config->styles.front().rope;
}

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(HfConfig, FillsInDefaults) {
  auto config = parse("");
  ASSERT_TRUE(bool(config)) << toString(config.takeError());
  EXPECT_EQ(config->headDim, 8);
  EXPECT_EQ(config->styles.front().rope->theta, 10000.0);
  EXPECT_EQ(config->styles.front().rope->kind, Kind::Default);
  EXPECT_EQ(config->at(Role::Head).name, "lm_head.weight");
  EXPECT_FALSE(config->bos.has_value());
}

TEST(HfConfig, ReadsWhatIsGiven) {
  auto config = parse(R"("head_dim":16,"rope_theta":5e5,
    "tie_word_embeddings":true,"attention_bias":true,"mlp_bias":true,
    "bos_token_id":1,"eos_token_id":[2,3],"torch_dtype":"bfloat16",
    "use_cache":true,"pretraining_tp":1,"rope_interleaved":false)");
  ASSERT_TRUE(bool(config)) << toString(config.takeError());
  EXPECT_EQ(config->headDim, 16);
  EXPECT_EQ(config->styles.front().rope->theta, 5e5);
  EXPECT_EQ(config->at(Role::Head).name, "");
  EXPECT_EQ(config->at(Role::AttnQBias).name,
            "model.layers.{}.self_attn.q_proj.bias");
  EXPECT_EQ(config->at(Role::FfnUpBias).name,
            "model.layers.{}.mlp.up_proj.bias");
  EXPECT_EQ(config->bos, 1);
  EXPECT_EQ(config->eos, (SmallVector<int64_t, 2>{2, 3}));
}

TEST(HfConfig, RopeOldSpelling) {
  auto scaling = rope(R"("rope_scaling":{"type":"linear","factor":2.5})");
  EXPECT_EQ(scaling.kind, Kind::Linear);
  EXPECT_EQ(scaling.factor, 2.5);
}

TEST(HfConfig, RopeNewSpellingHoldsTheta) {
  auto config = parse(
      R"("rope_parameters":{"rope_type":"default","rope_theta":1000000})");
  ASSERT_TRUE(bool(config)) << toString(config.takeError());
  EXPECT_EQ(config->styles.front().rope->theta, 1e6);
}

TEST(HfConfig, RopeDynamic) {
  EXPECT_EQ(rope(R"("rope_scaling":{"type":"dynamic","factor":4})").kind,
            Kind::Dynamic);
}

TEST(HfConfig, RopeLlama3) {
  auto scaling = rope(R"("rope_scaling":{"rope_type":"llama3","factor":8.0,
    "low_freq_factor":1.5,"high_freq_factor":4.5,
    "original_max_position_embeddings":8192})");
  EXPECT_EQ(scaling.kind, Kind::Llama3);
  EXPECT_EQ(scaling.factor, 8.0);
  EXPECT_EQ(scaling.lowFreqFactor, 1.5);
  EXPECT_EQ(scaling.highFreqFactor, 4.5);
  EXPECT_EQ(scaling.originalMaxPositions, 8192);
}

TEST(HfConfig, RopeYarn) {
  auto scaling = rope(R"("rope_scaling":{"rope_type":"yarn","factor":4,
    "beta_fast":24,"beta_slow":2,"mscale":0.7,"mscale_all_dim":0,
    "truncate":false,"original_max_position_embeddings":8192})");
  EXPECT_EQ(scaling.kind, Kind::Yarn);
  EXPECT_EQ(scaling.betaFast, 24);
  EXPECT_EQ(scaling.betaSlow, 2);
  EXPECT_EQ(scaling.mscale, 0.7);
  EXPECT_FALSE(scaling.mscaleAllDim.has_value());
  EXPECT_FALSE(scaling.truncate);
  EXPECT_FALSE(scaling.attentionFactor.has_value());
}

TEST(HfConfig, RopeLongRopeTakesItsFactorFromTheLengths) {
  auto scaling = rope(R"("original_max_position_embeddings":4096,
    "rope_scaling":{"type":"longrope","short_factor":[1,1.1,1.2,1.3],
    "long_factor":[2,3,4,5]})");
  EXPECT_EQ(scaling.kind, Kind::LongRope);
  EXPECT_EQ(scaling.factor, 8.0);
  EXPECT_EQ(scaling.longFactor, (std::vector<double>{2, 3, 4, 5}));
}

TEST(HfConfig, RefusesUnknownRope) {
  EXPECT_EQ(errorOf(R"("rope_scaling":{"type":"su","factor":2})"),
            "config.json: key 'rope_scaling.rope_type' is 'su'; accepted: "
            "default, linear, dynamic, yarn, llama3, longrope");
}

TEST(HfConfig, RefusesUnknownRopeParameter) {
  EXPECT_HAS(
      errorOf(R"("rope_scaling":{"type":"linear","factor":2,"alpha":1})"),
      "unknown key 'alpha' among the rope parameters of type 'linear'");
}

TEST(HfConfig, RefusesLongRopeOfAnotherLength) {
  EXPECT_HAS(errorOf(R"("rope_scaling":{"type":"longrope",
    "original_max_position_embeddings":4096,"short_factor":[1,1],
    "long_factor":[2,3]})"),
             "rotated dims / 2 = 4 numbers");
}

TEST(HfConfig, RefusesTwoRopeThetas) {
  EXPECT_HAS(errorOf(R"("rope_theta":10000,
    "rope_parameters":{"rope_type":"default","rope_theta":1000000})"),
             "key 'rope_theta' is 10000 at the top and 1000000");
}

TEST(HfConfig, RefusesPartialRotation) {
  EXPECT_HAS(errorOf(R"("partial_rotary_factor":0.5)"),
             "key 'partial_rotary_factor' is 0.5; accepted: 1");
}

TEST(HfConfig, RefusesUnknownKey) {
  EXPECT_EQ(errorOf(R"("residual_multiplier":0.22)"),
            "config.json: unknown key 'residual_multiplier' in config.json: "
            "cria does not know whether it changes the model");
}

TEST(HfConfig, RefusesAnotherArchitecture) {
  EXPECT_HAS(errorOf(R"("architectures":["MixtralForCausalLM"])"),
             "config.json: key 'architectures' is 'MixtralForCausalLM'; "
             "accepted: a list with one of: LlamaForCausalLM, Mistral");
}

TEST(HfConfig, RefusesAnotherActivation) {
  EXPECT_HAS(errorOf(R"("hidden_act":"quick_gelu")"),
             "config.json: key 'hidden_act' is 'quick_gelu'; accepted: silu,");
}

TEST(HfConfig, RefusesQuantisedWeights) {
  EXPECT_HAS(errorOf(R"("quantization_config":{"bits":4})"),
             "key 'quantization_config' is an object; accepted: null");
}

TEST(HfConfig, NotesAutoMap) {
  auto config = parse(R"("auto_map":{"AutoModel":"modeling_x.X"})");
  ASSERT_TRUE(bool(config)) << toString(config.takeError());
  ASSERT_EQ(config->notes.size(), 1u);
  EXPECT_HAS(config->notes[0], "model_type says what is computed, llama");
}

TEST(HfConfig, NotesWhatIsOfTraining) {
  auto config = parse(R"("weight_decay":0.1,"attention_dropout":0.0,)"
                      R"("dropout":0.5,"label_smoothing":null)");
  ASSERT_TRUE(bool(config)) << toString(config.takeError());
  ASSERT_EQ(config->notes.size(), 1u);
  EXPECT_EQ(config->notes[0], "dropout = 0.5, weight_decay = 0.1 are of "
                              "training, and without effect here");
}

TEST(HfConfig, RefusesHeadsThatDoNotDivide) {
  EXPECT_HAS(errorOf(R"("num_key_value_heads":3)"),
             "key 'num_key_value_heads' is 3; accepted: a divisor of "
             "num_attention_heads = 8");
}

TEST(HfConfig, RefusesOddHeadDim) {
  EXPECT_HAS(errorOf(R"("head_dim":7)"), "key 'head_dim' is 7; accepted: an");
}

TEST(HfConfig, RefusesAbsurdSize) {
  EXPECT_HAS(errorOf(R"("vocab_size":1e15)"), "key 'vocab_size' is 1");
}

TEST(HfConfig, RefusesFraction) {
  EXPECT_HAS(errorOf(R"("hidden_size":64.5)"), "key 'hidden_size' is 64.5");
}

TEST(HfConfig, RefusesTokenBeyondTheVocabulary) {
  EXPECT_HAS(errorOf(R"("eos_token_id":[2,100])"),
             "key 'eos_token_id' is 100; accepted: an integer from 0 to 99");
}

TEST(HfConfig, MissingSizeIsNamed) {
  auto config = cria::parseHfConfig("config.json", R"({"model_type":"llama"})");
  ASSERT_FALSE(bool(config));
  EXPECT_HAS(toString(config.takeError()),
             "key 'hidden_size' is missing; accepted: an integer from 1");
}

} // namespace
