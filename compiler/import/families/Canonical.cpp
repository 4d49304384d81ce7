// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A family whose config.json names every choice of a DecoderDescription
// directly, for models of papers and experiments that no released family is.
// CANONICAL-CONFIG.md has its keys and the names of its tensors.
#include "compiler/import/MadeTensor.h"
#include "compiler/import/families/Family.h"
#include "compiler/target/AlibiSlopes.h"

using namespace llvm;

namespace cria {
namespace {

template <typename T> struct Choice {
  const char *name;
  T value;
};

/// One of several names; `usual` where the key is missing, which must not be
/// where that is nothing.
template <typename T, size_t N>
T choose(ConfigReader &config, StringRef key, const Choice<T> (&choices)[N],
         std::optional<T> usual = std::nullopt) {
  std::string accepted;
  for (const Choice<T> &choice : choices)
    accepted +=
        (accepted.empty() ? "\"" : ", \"") + std::string(choice.name) + "\"";
  if (usual && !config.has(key))
    return *usual;
  std::string name = config.string(key, "", accepted);
  for (const Choice<T> &choice : choices)
    if (name == choice.name)
      return choice.value;
  config.refuse(key, accepted);
  return choices[0].value;
}

enum class NormName { Rms, Layer, Batch };
enum class Positions { Rope, Learned, Sinusoidal, Alibi, Relative, None };

class CanonicalReader {
public:
  CanonicalReader(ConfigReader &config, Model &model)
      : config(config), model(model) {}

  void read();

private:
  void readNorms();
  void readPositions();
  void readStyles(std::optional<RopeDescription> rope);
  void readAttention();
  void placeAll();
  void placeNorm(Role role, const Twine &module);
  void foldBatchNorms();
  void fold(Role role, StringRef norm, BatchNormFold::Where where);

  ConfigReader &config;
  Model &model;
  NormName norm = NormName::Rms;
  bool normWeight = true;
  Bias normBias = Bias::No;
};

void CanonicalReader::readNorms() {
  norm = choose<NormName>(config, "norm",
                          {{"rms", NormName::Rms},
                           {"layer", NormName::Layer},
                           {"batch", NormName::Batch}});
  using Placement = Model::Placement;
  model.placement = choose<Placement>(config, "norm_placement",
                                      {{"before", Placement::Before},
                                       {"branch", Placement::Branch},
                                       {"both", Placement::Both},
                                       {"after", Placement::After}},
                                      Placement::Before);
  model.norm = norm == NormName::Rms ? Model::Norm::Rms : Model::Norm::Layer;
  model.finalNorm = config.boolean("final_norm", true);
  model.embeddingNorm = config.boolean("embedding_norm", false);
  model.normPlusOne = config.boolean("norm_plus_one", false);
  normWeight = config.boolean("norm_weight", true);
  normBias = readBias(config, "norm_bias");
  if (!normWeight && (normBias == Bias::Yes || model.normPlusOne))
    config.refuse("norm_weight", "true, as norm_bias or norm_plus_one is");
  if (normBias == Bias::Yes && norm == NormName::Rms)
    config.refuse("norm_bias", "false, as norm is \"rms\"");
  if (norm != NormName::Batch)
    return;
  // What folds into its neighbour has one that is a linear.
  if (model.placement == Placement::After)
    config.refuse("norm_placement", "\"before\", \"branch\" or \"both\", as "
                                    "norm is \"batch\": a sum has no linear "
                                    "that the norm could be folded into");
  if (model.embeddingNorm)
    config.refuse("embedding_norm", "false, as norm is \"batch\"");
  if (model.normPlusOne)
    config.refuse("norm_plus_one", "false, as norm is \"batch\"");
}

/// Windows, and which layers have them.
void CanonicalReader::readStyles(std::optional<RopeDescription> rope) {
  int64_t window = slidingWindow(config);
  stylesByLayerTypes(config, model, {rope, 0}, {rope, window},
                     [&](int64_t) { return window == 0; });
  if (config.has("layer_types") && !window)
    config.refuse("sliding_window", "an integer, as there are layer_types");
}

void CanonicalReader::readPositions() {
  Positions positions =
      choose<Positions>(config, "positions",
                        {{"rope", Positions::Rope},
                         {"learned", Positions::Learned},
                         {"sinusoidal", Positions::Sinusoidal},
                         {"alibi", Positions::Alibi},
                         {"relative", Positions::Relative},
                         {"none", Positions::None}});
  std::optional<RopeDescription> rope;
  switch (positions) {
  case Positions::Rope: {
    RopeKeys keys;
    keys.partial = {"partial_rotary_factor"};
    keys.interleaved = config.boolean("rope_interleaved", false);
    rope = readRope(config, model, keys);
    break;
  }
  case Positions::Learned:
    model.position = Model::Position::Learned;
    break;
  case Positions::Sinusoidal:
    model.position = Model::Position::Sinusoidal;
    if (model.width % 2)
      config.refuse("hidden_size", "an even integer, as positions is "
                                   "\"sinusoidal\"");
    break;
  case Positions::Alibi: {
    SmallVector<float> slopes =
        alibiSlopes(model.heads, config.number("alibi_bias_max", 1e-3, 1e3, 8));
    model.alibi.assign(slopes.begin(), slopes.end());
    break;
  }
  case Positions::Relative:
    model.relativeBuckets =
        config.integer("relative_attention_num_buckets", 2, 1 << 16, 32);
    model.relativeDistance =
        config.integer("relative_attention_max_distance", 2, 1 << 20, 128);
    if (model.relativeDistance <= model.relativeBuckets / 2)
      config.refuse("relative_attention_max_distance",
                    "an integer above half of "
                    "relative_attention_num_buckets = " +
                        Twine(model.relativeBuckets));
    break;
  case Positions::None:
    break;
  }
  if (!config.failed())
    readStyles(rope);
}

void CanonicalReader::readAttention() {
  model.attentionScale = config.number("attention_scale", 1e-9, 1e6, 0);
  model.attentionSoftcap =
      config.number("attn_logit_softcapping", 1e-3, 1e6, 0);
  model.clipQkv = config.numberOrNone("clip_qkv", 0, 1e6);
  enum class Of { Nothing, Head, Row };
  Of of =
      choose<Of>(config, "qk_norm",
                 {{"none", Of::Nothing}, {"head", Of::Head}, {"row", Of::Row}},
                 Of::Nothing);
  if (of != Of::Nothing && (norm == NormName::Batch || !normWeight))
    config.refuse("qk_norm", "\"none\", as norm is \"batch\" or norm_weight "
                             "false");
  using QkNorm = Model::QkNorm;
  bool layer = norm == NormName::Layer;
  if (of == Of::Head)
    model.qkNorm = layer ? QkNorm::LayerPerHead : QkNorm::PerHead;
  else if (of == Of::Row)
    model.qkNorm = layer ? QkNorm::LayerRow : QkNorm::Row;
}

void CanonicalReader::placeNorm(Role role, const Twine &module) {
  // A BatchNorm becomes a part of the linears beside it.
  if (norm != NormName::Batch && normWeight)
    place(model, role, module, normBias);
}

void CanonicalReader::placeAll() {
  place(model, Role::Embedding, "embedding");
  if (model.position == Model::Position::Learned)
    place(model, Role::PositionTable, "positions");
  if (model.relativeBuckets)
    place(model, Role::RelativeBias, "relative_attention_bias");
  if (model.embeddingNorm)
    placeNorm(Role::EmbeddingNorm, "embedding_norm");

  using Placement = Model::Placement;
  bool before = model.placement == Placement::Before ||
                model.placement == Placement::Both;
  bool serial = model.block == Model::Block::Serial;
  bool two = serial || model.block == Model::Block::ParallelTwoNorms;
  constexpr StringLiteral layer = "layers.{}.";
  if (before)
    placeNorm(Role::AttnNorm, layer + Twine("attention_norm"));
  if (before && two)
    placeNorm(Role::FfnNorm, layer + Twine("feed_forward_norm"));
  if (model.placement != Placement::Before) {
    placeNorm(Role::AttnPostNorm, layer + Twine("attention_post_norm"));
    placeNorm(Role::FfnPostNorm, layer + Twine("feed_forward_post_norm"));
  }
  Bias qkv = readBias(config, "attention_bias");
  place(model, Role::AttnQ, layer + Twine("attention.q"), qkv);
  place(model, Role::AttnK, layer + Twine("attention.k"), qkv);
  place(model, Role::AttnV, layer + Twine("attention.v"), qkv);
  place(model, Role::AttnOutput, layer + Twine("attention.output"),
        readBias(config, "attention_output_bias"));
  if (model.qkNorm != Model::QkNorm::None) {
    place(model, Role::QNorm, layer + Twine("attention.q_norm"), normBias);
    place(model, Role::KNorm, layer + Twine("attention.k_norm"), normBias);
  }
  if (config.boolean("attention_sinks", false))
    model.at(Role::AttnSinks).name = (layer + Twine("attention.sinks")).str();
  Bias ffn = readBias(config, "mlp_bias");
  if (model.gated)
    place(model, Role::FfnGate, layer + Twine("feed_forward.gate"), ffn);
  place(model, Role::FfnUp, layer + Twine("feed_forward.up"), ffn);
  place(model, Role::FfnDown, layer + Twine("feed_forward.down"), ffn);
  if (model.finalNorm)
    placeNorm(Role::OutputNorm, "norm");
  placeHead(model, "head", isTied(config, false),
            readBias(config, "head_bias"));
}

/// A linear takes in the BatchNorm before or behind it.
void CanonicalReader::fold(Role role, StringRef norm,
                           BatchNormFold::Where where) {
  TensorPlace &weight = model.at(role), &bias = model.at(biasOf(role));
  if (weight.name.empty())
    return;
  BatchNormFold fold{where, norm.str(), model.eps};
  bias.name = foldedBias(weight.name, bias.name, fold);
  weight.name = foldedWeight(weight.name, fold);
}

void CanonicalReader::foldBatchNorms() {
  using Placement = Model::Placement;
  using Where = BatchNormFold::Where;
  bool before = model.placement != Placement::Branch;
  bool one = model.block == Model::Block::ParallelOneNorm;
  StringRef attention = "layers.{}.attention_norm";
  StringRef ffn = one ? attention : StringRef("layers.{}.feed_forward_norm");
  // A linear folds one BatchNorm: those of both sides belong to different ones.
  if (before)
    for (Role role : {Role::AttnQ, Role::AttnK, Role::AttnV})
      fold(role, attention, Where::Before);
  if (before)
    for (Role role : {Role::FfnGate, Role::FfnUp})
      fold(role, ffn, Where::Before);
  if (model.placement != Placement::Before) {
    fold(Role::AttnOutput, "layers.{}.attention_post_norm", Where::Behind);
    fold(Role::FfnDown, "layers.{}.feed_forward_post_norm", Where::Behind);
  }
  if (model.finalNorm) {
    if (model.at(Role::Head).name.empty()) // the head is the embedding
      model.at(Role::Head).name = model.at(Role::Embedding).name;
    fold(Role::Head, "norm", Where::Before);
  }
  model.norm = Model::Norm::None;
  ignore(model, {"*.num_batches_tracked"});
  model.notes.push_back("BatchNorm, with its running mean and variance, is "
                        "folded into the weights and biases of the linears "
                        "beside it, which are then f32");
}

void CanonicalReader::read() {
  model.gated = config.boolean("gated", true);
  using Layout = Model::Block;
  model.block =
      choose<Layout>(config, "block",
                     {{"serial", Layout::Serial},
                      {"parallel", Layout::ParallelOneNorm},
                      {"parallel_two_norms", Layout::ParallelTwoNorms}},
                     Layout::Serial);
  readNorms();
  if (model.block != Layout::Serial &&
      model.placement != Model::Placement::Before)
    config.refuse("norm_placement", "\"before\", as block is not \"serial\"");
  readPositions();
  readAttention();
  model.embeddingScale = config.number("embedding_scale", 1e-9, 1e9, 1);
  model.residualScale = config.number("residual_scale", 1e-9, 1e9, 1);
  model.logitScale = config.number("logit_scale", 1e-9, 1e9, 1);
  model.finalSoftcap = config.number("final_logit_softcapping", 1e-3, 1e6, 0);
  placeAll();
  if (norm == NormName::Batch && !config.failed())
    foldBatchNorms();
}

void describeCanonical(ConfigReader &config, Model &model) {
  CanonicalReader(config, model).read();
}

} // namespace

const HfFamily canonical = {
    "cria",
    "CriaForCausalLM",
    {{"hidden_size", &Model::width},
     {"intermediate_size", &Model::ffn},
     {"num_hidden_layers", &Model::layers},
     {"num_attention_heads", &Model::heads},
     {"num_key_value_heads", &Model::kvHeads, 0},
     {"head_dim", &Model::headDim, 0},
     {"vocab_size", &Model::vocab},
     {"max_position_embeddings", &Model::context},
     {"activation", &Model::activation},
     {"norm_eps", &Model::eps}},
    {},
    {},
    describeCanonical,
};

} // namespace cria
