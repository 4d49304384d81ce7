// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/HfConfig.h"

#include "compiler/import/InputFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <cmath>
#include <string>

using namespace llvm;

namespace cria {

namespace {

constexpr StringLiteral supportedArchitectures = "LlamaForCausalLM";

/// Keys that do not change what the model computes from given weights: they
/// steer training, generation, or transformers itself.
const char *const harmlessKeys[] = {
    // transformers' bookkeeping
    "_name_or_path",
    "name_or_path",
    "_attn_implementation_autoset",
    "_attn_implementation",
    "attn_implementation",
    "_flash_attn_2_enabled",
    "transformers_version",
    "transformers.js_config",
    "model_type_version",
    "torchscript",
    "use_bfloat16",
    "tf_legacy_loss",
    "tokenizer_class",
    "problem_type",
    "finetuning_task",
    "task_specific_params",
    "prefix",
    "id2label",
    "label2id",
    "num_labels",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "chunk_size_feed_forward",
    "is_llama_config",
    "unsloth_version",
    "unsloth_fixed",
    "use_cache",
    "max_sequence_length",
    "cross_attention_hidden_size",
    // training
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    // generation
    "max_length",
    "min_length",
    "max_new_tokens",
    "do_sample",
    "early_stopping",
    "num_beams",
    "num_beam_groups",
    "diversity_penalty",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "decoder_start_token_id",
    "sep_token_id",
};

/// Keys that would change the model and have one value that does not.
struct PinnedKey {
  const char *name;
  const char *accepted; // JSON values, separated by " or "
};
const PinnedKey pinnedKeys[] = {
    {"pretraining_tp", "1 or null"}, // above 1: another order of summation
    {"rope_interleaved", "false or null"},
    {"partial_rotary_factor", "1 or 1.0 or null"},
    {"quantization_config", "null"},
    {"sliding_window", "null"},
    {"use_sliding_window", "false or null"},
    {"auto_map", "{} or null"}, // code of its own
    {"pruned_heads", "{} or null"},
    {"is_encoder_decoder", "false or null"},
    {"is_decoder", "true or false or null"},
    {"add_cross_attention", "false or null"},
    {"tie_encoder_decoder", "false or null"},
};

constexpr int64_t maxTokens = int64_t(1) << 24;
constexpr int64_t maxPositions = int64_t(1) << 30;

/// Reads the keys of one JSON object and remembers which it was asked for.
class ObjectReader {
public:
  ObjectReader(StringRef file, const json::Object &object, StringRef prefix)
      : file(file), object(object), prefix(prefix) {}

  /// The value, or null for a missing key and for JSON's null.
  const json::Value *find(StringRef key) {
    known.insert(key);
    const json::Value *value = object.get(key);
    return value && value->kind() != json::Value::Null ? value : nullptr;
  }

  void accept(StringRef key) { known.insert(key); }

  Error bad(StringRef key, const json::Value *value,
            const Twine &accepted) const {
    return fileError(file, "key '" + prefix + key + "' is " +
                               (value ? jsonText(*value) : "missing") +
                               "; accepted: " + accepted);
  }

  Error integer(StringRef key, int64_t low, int64_t high, int64_t &out,
                bool required = true) {
    const json::Value *value = find(key);
    if (!value && !required)
      return Error::success();
    std::optional<int64_t> number = value ? jsonInteger(*value) : std::nullopt;
    if (!number || *number < low || *number > high)
      return bad(key, value,
                 "an integer from " + Twine(low) + " to " + Twine(high));
    out = *number;
    return Error::success();
  }

  Error number(StringRef key, double low, double high, double &out,
               bool required = true) {
    const json::Value *value = find(key);
    if (!value && !required)
      return Error::success();
    std::optional<double> number = value ? value->getAsNumber() : std::nullopt;
    // Written so that a NaN is refused.
    if (!number || !(*number >= low && *number <= high))
      return bad(key, value,
                 "a number from " + numberText(low) + " to " +
                     numberText(high));
    out = *number;
    return Error::success();
  }

  Error number(StringRef key, double low, double high,
               std::optional<double> &out) {
    if (!find(key))
      return Error::success();
    return number(key, low, high, out.emplace());
  }

  Error boolean(StringRef key, bool &out) {
    const json::Value *value = find(key);
    if (!value)
      return Error::success();
    std::optional<bool> found = value->getAsBoolean();
    if (!found)
      return bad(key, value, "true, false");
    out = *found;
    return Error::success();
  }

  Error string(StringRef key, std::string &out, StringRef accepted) {
    const json::Value *value = find(key);
    if (!value)
      return Error::success();
    std::optional<StringRef> found = value->getAsString();
    if (!found)
      return bad(key, value, accepted);
    out = found->str();
    return Error::success();
  }

  Error pinned(const PinnedKey &pin) {
    const json::Value *value = find(pin.name);
    if (!value)
      return Error::success();
    SmallVector<StringRef, 3> choices;
    StringRef(pin.accepted).split(choices, " or ");
    for (StringRef choice : choices) {
      Expected<json::Value> wanted = json::parse(choice);
      if (!wanted)
        return wanted.takeError();
      if (*wanted == *value)
        return Error::success();
    }
    return bad(pin.name, value, pin.accepted);
  }

  /// The alphabetically first key that nothing asked for.
  std::optional<std::string> unknownKey() const {
    std::optional<std::string> first;
    for (const auto &[key, unused] : object)
      if (!known.contains(StringRef(key)) && (!first || key.str() < *first))
        first = key.str();
    return first;
  }

  StringRef file;

private:
  const json::Object &object;
  std::string prefix;
  StringSet<> known;
};

struct RopeKind {
  const char *name;
  HfRopeScaling::Kind kind;
};
const RopeKind ropeKinds[] = {
    {"default", HfRopeScaling::Kind::Default},
    {"linear", HfRopeScaling::Kind::Linear},
    {"dynamic", HfRopeScaling::Kind::Dynamic},
    {"yarn", HfRopeScaling::Kind::Yarn},
    {"llama3", HfRopeScaling::Kind::Llama3},
    {"longrope", HfRopeScaling::Kind::LongRope},
};

constexpr double maxFactor = 1e6;
constexpr double maxTheta = 1e15;

Error readFactors(ObjectReader &reader, StringRef key, int64_t count,
                  std::vector<double> &out) {
  const json::Value *value = reader.find(key);
  const json::Array *list = value ? value->getAsArray() : nullptr;
  std::string accepted =
      "a list of head_dim / 2 = " + std::to_string(count) + " numbers above 0";
  if (!list || list->size() != static_cast<size_t>(count))
    return reader.bad(key, value, accepted);
  for (const json::Value &item : *list) {
    std::optional<double> number = item.getAsNumber();
    if (!number || !(*number > 0 && *number <= maxFactor))
      return reader.bad(key, &item, accepted);
    out.push_back(*number);
  }
  return Error::success();
}

/// Reads the object under 'rope_scaling' (old) or 'rope_parameters' (new).
Error readRope(ObjectReader &top, ObjectReader &reader, HfLlamaConfig &config) {
  HfRopeScaling &rope = config.rope;
  std::string name = "default", oldName;
  constexpr StringLiteral accepted =
      "default, linear, dynamic, yarn, llama3, longrope";
  if (Error error = reader.string("type", oldName, accepted))
    return error;
  name = oldName.empty() ? name : oldName;
  if (Error error = reader.string("rope_type", name, accepted))
    return error;
  if (!oldName.empty() && oldName != name)
    return fileError(reader.file, "rope keys 'type' = " + quoted(oldName) +
                                      " and 'rope_type' = " + quoted(name) +
                                      " differ; accepted: one of them, or "
                                      "both equal");
  const RopeKind *kind = llvm::find_if(
      ropeKinds, [&](const RopeKind &entry) { return name == entry.name; });
  if (kind == std::end(ropeKinds))
    return reader.bad("rope_type",
                      reader.find("rope_type") ? reader.find("rope_type")
                                               : reader.find("type"),
                      accepted);
  rope.kind = kind->kind;
  if (Error error =
          reader.pinned({"partial_rotary_factor", "1 or 1.0 or null"}))
    return error;

  if (reader.find("rope_theta")) {
    double inner = 0;
    if (Error error = reader.number("rope_theta", 1, maxTheta, inner))
      return error;
    if (top.find("rope_theta") && inner != config.ropeTheta)
      return fileError(reader.file,
                       "key 'rope_theta' is " + numberText(config.ropeTheta) +
                           " at the top and " + numberText(inner) +
                           " among the rope parameters; accepted: one value");
    config.ropeTheta = inner;
  }

  using Kind = HfRopeScaling::Kind;
  bool hasOriginal = rope.kind == Kind::Yarn || rope.kind == Kind::Llama3 ||
                     rope.kind == Kind::LongRope;
  if (hasOriginal) {
    constexpr StringLiteral key = "original_max_position_embeddings";
    int64_t outer = 0;
    if (Error error = top.integer(key, 1, maxPositions, outer, false))
      return error;
    // Yarn without it means a model trained at max_position_embeddings, as
    // transformers has it. For the other two a missing value is a mistake.
    if (Error error =
            reader.integer(key, 1, maxPositions, rope.originalMaxPositions,
                           rope.kind != Kind::Yarn && !outer))
      return error;
    if (outer && rope.originalMaxPositions &&
        outer != rope.originalMaxPositions)
      return fileError(reader.file,
                       "key '" + key + "' is " + Twine(outer) +
                           " at the top and " +
                           Twine(rope.originalMaxPositions) +
                           " among the rope parameters; accepted: one value");
    if (outer)
      rope.originalMaxPositions = outer;
    if (!rope.originalMaxPositions)
      rope.originalMaxPositions = config.maxPositionEmbeddings;
    rope.factor = static_cast<double>(config.maxPositionEmbeddings) /
                  static_cast<double>(rope.originalMaxPositions);
  }

  if (rope.kind != Kind::Default) {
    bool optional = rope.kind == Kind::LongRope ||
                    (rope.kind == Kind::Yarn &&
                     rope.originalMaxPositions != config.maxPositionEmbeddings);
    if (Error error =
            reader.number("factor", 1, maxFactor, rope.factor, !optional))
      return error;
  }
  if (rope.kind == Kind::Yarn || rope.kind == Kind::LongRope)
    if (Error error =
            reader.number("attention_factor", 1e-6, 1e3, rope.attentionFactor))
      return error;

  switch (rope.kind) {
  case Kind::Default:
  case Kind::Linear:
  case Kind::Dynamic:
    break;
  case Kind::Yarn:
    if (Error error =
            reader.number("beta_fast", 1e-6, maxFactor, rope.betaFast, false))
      return error;
    if (Error error =
            reader.number("beta_slow", 1e-6, maxFactor, rope.betaSlow, false))
      return error;
    if (rope.betaFast < rope.betaSlow)
      return reader.bad(
          "beta_fast", reader.find("beta_fast"),
          "a number from beta_slow = " + numberText(rope.betaSlow) + " on");
    if (Error error = reader.number("mscale", 0, 1e3, rope.mscale))
      return error;
    if (Error error =
            reader.number("mscale_all_dim", 0, 1e3, rope.mscaleAllDim))
      return error;
    // transformers takes a zero for "not given".
    if (rope.mscale == 0.0)
      rope.mscale.reset();
    if (rope.mscaleAllDim == 0.0)
      rope.mscaleAllDim.reset();
    if (Error error = reader.boolean("truncate", rope.truncate))
      return error;
    break;
  case Kind::Llama3:
    if (Error error = reader.number("low_freq_factor", 1e-6, maxFactor,
                                    rope.lowFreqFactor))
      return error;
    if (Error error = reader.number("high_freq_factor", 1e-6, maxFactor,
                                    rope.highFreqFactor))
      return error;
    if (rope.highFreqFactor <= rope.lowFreqFactor)
      return reader.bad("high_freq_factor", reader.find("high_freq_factor"),
                        "a number above low_freq_factor = " +
                            numberText(rope.lowFreqFactor));
    break;
  case Kind::LongRope:
    if (Error error = readFactors(reader, "short_factor", config.headDim / 2,
                                  rope.shortFactor))
      return error;
    if (Error error = readFactors(reader, "long_factor", config.headDim / 2,
                                  rope.longFactor))
      return error;
    break;
  }

  if (std::optional<std::string> key = reader.unknownKey())
    return fileError(reader.file, "unknown key " + quoted(*key) +
                                      " among the rope parameters of type '" +
                                      name +
                                      "': cria does not know whether it "
                                      "changes the model");
  return Error::success();
}

Error readTokenIds(ObjectReader &reader, HfLlamaConfig &config) {
  int64_t last = config.vocabSize - 1;
  if (reader.find("bos_token_id"))
    if (Error error = reader.integer("bos_token_id", 0, last,
                                     config.bosTokenId.emplace()))
      return error;
  // Original Llama files pad with -1: no token.
  if (reader.find("pad_token_id"))
    if (Error error = reader.integer("pad_token_id", -1, maxTokens,
                                     config.padTokenId.emplace()))
      return error;
  const json::Value *eos = reader.find("eos_token_id");
  if (!eos)
    return Error::success();
  std::string accepted =
      "an integer from 0 to " + std::to_string(last) + ", or a list of them";
  const json::Array *list = eos->getAsArray();
  size_t count = list ? list->size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const json::Value &item = list ? (*list)[i] : *eos;
    std::optional<int64_t> id = jsonInteger(item);
    if (!id || *id < 0 || *id > last)
      return reader.bad("eos_token_id", &item, accepted);
    config.eosTokenIds.push_back(*id);
  }
  return Error::success();
}

Error readArchitecture(ObjectReader &reader) {
  std::string modelType;
  constexpr StringLiteral acceptedType = "\"llama\"";
  const json::Value *type = reader.find("model_type");
  if (Error error = reader.string("model_type", modelType, acceptedType))
    return error;
  const json::Value *value = reader.find("architectures");
  std::string accepted =
      ("a list with one of: " + Twine(supportedArchitectures)).str();
  if (value) {
    const json::Array *list = value->getAsArray();
    if (!list || list->size() != 1)
      return reader.bad("architectures", value, accepted);
    if ((*list)[0].getAsString() !=
        std::optional<StringRef>(supportedArchitectures))
      return reader.bad("architectures", &(*list)[0], accepted);
  }
  if ((type && modelType != "llama") || (!type && !value))
    return reader.bad("model_type", type, acceptedType);
  return Error::success();
}

Error readDtype(ObjectReader &reader, HfLlamaConfig &config) {
  constexpr StringLiteral accepted =
      "\"float32\", \"float16\", \"bfloat16\", null";
  for (StringRef key : {"torch_dtype", "dtype"}) {
    std::string name;
    if (Error error = reader.string(key, name, accepted))
      return error;
    if (name.empty())
      continue;
    StringRef plain = name;
    plain.consume_front("torch.");
    if (plain != "float32" && plain != "float16" && plain != "bfloat16")
      return reader.bad(key, reader.find(key), accepted);
    config.dtype = plain.str();
  }
  return Error::success();
}

Error readSizes(ObjectReader &reader, HfLlamaConfig &config) {
  if (Error error =
          reader.integer("hidden_size", 1, int64_t(1) << 20, config.hiddenSize))
    return error;
  if (Error error = reader.integer("intermediate_size", 1, int64_t(1) << 22,
                                   config.intermediateSize))
    return error;
  if (Error error =
          reader.integer("num_hidden_layers", 1, 4096, config.numHiddenLayers))
    return error;
  if (Error error = reader.integer("num_attention_heads", 1, 65536,
                                   config.numAttentionHeads))
    return error;
  config.numKeyValueHeads = config.numAttentionHeads;
  if (Error error = reader.integer("num_key_value_heads", 1, 65536,
                                   config.numKeyValueHeads, false))
    return error;
  if (config.numAttentionHeads % config.numKeyValueHeads)
    return reader.bad("num_key_value_heads", reader.find("num_key_value_heads"),
                      "a divisor of num_attention_heads = " +
                          Twine(config.numAttentionHeads));
  if (!reader.find("head_dim")) {
    if (config.hiddenSize % config.numAttentionHeads)
      return reader.bad("hidden_size", reader.find("hidden_size"),
                        "a multiple of num_attention_heads = " +
                            Twine(config.numAttentionHeads) +
                            ", or a head_dim");
    config.headDim = config.hiddenSize / config.numAttentionHeads;
  }
  if (Error error = reader.integer("head_dim", 2, 4096, config.headDim, false))
    return error;
  if (config.headDim % 2 || config.headDim > 4096)
    return fileError(reader.file, "key 'head_dim' is " + Twine(config.headDim) +
                                      "; accepted: an even integer from 2 to "
                                      "4096 (rope rotates pairs)");
  if (Error error =
          reader.integer("vocab_size", 1, maxTokens, config.vocabSize))
    return error;
  return reader.integer("max_position_embeddings", 1, maxPositions,
                        config.maxPositionEmbeddings);
}

Error readLayerTypes(ObjectReader &reader) {
  const json::Value *value = reader.find("layer_types");
  if (!value)
    return Error::success();
  constexpr StringLiteral accepted = "a list of \"full_attention\"";
  const json::Array *list = value->getAsArray();
  if (!list)
    return reader.bad("layer_types", value, accepted);
  for (const json::Value &item : *list)
    if (item.getAsString() != std::optional<StringRef>("full_attention"))
      return reader.bad("layer_types", &item, accepted);
  return Error::success();
}

Error readAll(ObjectReader &reader, HfLlamaConfig &config) {
  if (Error error = readArchitecture(reader))
    return error;
  for (const PinnedKey &pin : pinnedKeys)
    if (Error error = reader.pinned(pin))
      return error;
  if (Error error = readSizes(reader, config))
    return error;
  if (Error error =
          reader.number("rms_norm_eps", 1e-12, 0.1, config.rmsNormEps))
    return error;
  if (Error error =
          reader.number("rope_theta", 1, maxTheta, config.ropeTheta, false))
    return error;
  if (Error error = reader.string("hidden_act", config.hiddenAct, "\"silu\""))
    return error;
  if (config.hiddenAct == "swish") // transformers' other name of silu
    config.hiddenAct = "silu";
  if (config.hiddenAct != "silu")
    return reader.bad("hidden_act", reader.find("hidden_act"), "\"silu\"");
  if (Error error =
          reader.boolean("tie_word_embeddings", config.tieWordEmbeddings))
    return error;
  if (Error error = reader.boolean("attention_bias", config.attentionBias))
    return error;
  if (Error error = reader.boolean("mlp_bias", config.mlpBias))
    return error;
  if (Error error = readTokenIds(reader, config))
    return error;
  if (Error error = readDtype(reader, config))
    return error;
  if (Error error = readLayerTypes(reader))
    return error;

  const json::Value *scaling = reader.find("rope_scaling");
  const json::Value *parameters = reader.find("rope_parameters");
  if (scaling && parameters)
    return reader.bad("rope_scaling", scaling,
                      "either rope_scaling or rope_parameters, not both");
  if (const json::Value *value = scaling ? scaling : parameters) {
    StringRef key = scaling ? "rope_scaling" : "rope_parameters";
    const json::Object *object = value->getAsObject();
    if (!object)
      return reader.bad(key, value, "an object, null");
    ObjectReader rope(reader.file, *object, (key + ".").str());
    if (Error error = readRope(reader, rope, config))
      return error;
  }

  for (const char *key : harmlessKeys)
    reader.accept(key);
  if (std::optional<std::string> key = reader.unknownKey())
    return fileError(reader.file,
                     "unknown key " + quoted(*key) +
                         " in config.json: cria does not know whether it "
                         "changes the model");
  return Error::success();
}

} // namespace

StringRef ropeScalingName(HfRopeScaling::Kind kind) {
  for (const RopeKind &entry : ropeKinds)
    if (entry.kind == kind)
      return entry.name;
  return "default";
}

Expected<HfLlamaConfig> parseHfConfig(StringRef path, StringRef text) {
  Expected<json::Value> root = parseJson(path, text);
  if (!root)
    return root.takeError();
  const json::Object *object = root->getAsObject();
  if (!object)
    return fileError(path,
                     "is " + jsonText(*root) + "; accepted: a JSON object");
  ObjectReader reader(path, *object, "");
  HfLlamaConfig config;
  if (Error error = readAll(reader, config))
    return error;
  return config;
}

Expected<HfLlamaConfig> loadHfConfig(StringRef path) {
  SmallString<256> file(path);
  if (sys::fs::is_directory(path))
    sys::path::append(file, "config.json");
  Expected<std::unique_ptr<MemoryBuffer>> buffer = mapFile(file);
  if (!buffer)
    return buffer.takeError();
  constexpr size_t maxBytes = size_t(1) << 24;
  if ((*buffer)->getBufferSize() > maxBytes)
    return fileError(file, "has " + Twine((*buffer)->getBufferSize()) +
                               " bytes; accepted: at most " + Twine(maxBytes));
  return parseHfConfig(file, (*buffer)->getBuffer());
}

} // namespace cria
