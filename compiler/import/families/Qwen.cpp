// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Qwen 2, 2.5 (the same architecture) and 3: Llama's blocks, with biases of Q,
// K and V (2) or normalised heads (3), and sliding windows in late layers.
#include "compiler/import/families/Family.h"

using namespace llvm;

namespace cria {
namespace {

void readStyles(ConfigReader &config, Model &model) {
  RopeDescription rope = readRope(config, model, {});
  int64_t window = slidingWindow(config);
  if (!config.boolean("use_sliding_window", false))
    window = 0;
  int64_t first = config.integer("max_window_layers", 0, int64_t(1) << 20, 28);
  stylesByLayerTypes(config, model, {rope, 0}, {rope, window},
                     [&](int64_t i) { return window == 0 || i < first; });
}

void describeQwen2(ConfigReader &config, Model &model) {
  readStyles(config, model);
  placeUsual(model, isTied(config, false), Bias::No, Bias::Yes, Bias::No,
             Bias::No);
}

void describeQwen3(ConfigReader &config, Model &model) {
  readStyles(config, model);
  Bias attention = readBias(config, "attention_bias");
  placeUsual(model, isTied(config, false), Bias::No, attention, attention,
             Bias::No);
  model.qkNorm = Model::QkNorm::PerHead;
  place(model, Role::QNorm, "model.layers.{}.self_attn.q_norm");
  place(model, Role::KNorm, "model.layers.{}.self_attn.k_norm");
}

} // namespace

const HfFamily qwen2 = {
    "qwen2",
    "Qwen2ForCausalLM",
    required(usualKeys("rms_norm_eps"), {"num_key_value_heads"}),
    {{"use_mrope", "false or null"}},
    {},
    describeQwen2,
};

const HfFamily qwen3 = {
    "qwen3",
    "Qwen3ForCausalLM",
    required(usualKeys("rms_norm_eps"), {"num_key_value_heads", "head_dim"}),
    {},
    {},
    describeQwen3,
};

} // namespace cria
