// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/HfConfig.h"

#include "compiler/import/InputFile.h"
#include "compiler/import/families/Family.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include <string>

using namespace llvm;

namespace cria {
namespace {

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
    // training; see noteTraining
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "dropout",
    "classifier_dropout",
    "weight_decay",
    "label_smoothing",
    "z_loss",
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

/// Keys of any config that have one value, or a few, that cria can do.
const PinnedKey pinnedKeys[] = {
    {"quantization_config", "null"},
    {"pruned_heads", "{} or null"},
    {"is_encoder_decoder", "false or null"},
    {"is_decoder", "true or false or null"},
    {"add_cross_attention", "false or null"},
    {"tie_encoder_decoder", "false or null"},
};

constexpr int64_t maxTokens = int64_t(1) << 24;
constexpr int64_t maxHeadDim = 4096;

// Bounds of the members that keys set.
struct IntegerBounds {
  int64_t DecoderDescription::*member;
  int64_t low, high;
};
const IntegerBounds integerBounds[] = {
    {&Model::vocab, 1, maxTokens},      {&Model::width, 1, int64_t(1) << 20},
    {&Model::layers, 1, 4096},          {&Model::heads, 1, 65536},
    {&Model::kvHeads, 1, 65536},        {&Model::headDim, 1, maxHeadDim},
    {&Model::ffn, 1, int64_t(1) << 22}, {&Model::context, 1, int64_t(1) << 30},
};
struct NumberBounds {
  double DecoderDescription::*member;
  double low, high;
};
const NumberBounds numberBounds[] = {
    {&Model::eps, 1e-12, 0.1},
    {&Model::attentionScale, 1e-9, 1e6},
    {&Model::attentionSoftcap, 1e-3, 1e6},
    {&Model::finalSoftcap, 1e-3, 1e6},
    {&Model::embeddingScale, 1e-9, 1e9},
    {&Model::residualScale, 1e-9, 1e9},
    {&Model::logitScale, 1e-9, 1e9},
};

struct ActivationName {
  const char *name;
  Model::Activation activation;
};
// transformers' ACT2FN; its other spellings of the tanh approximation are
// equal up to rounding.
const ActivationName activationNames[] = {
    {"silu", Model::Activation::Silu},
    {"swish", Model::Activation::Silu},
    {"gelu", Model::Activation::Gelu},
    {"gelu_python", Model::Activation::Gelu},
    {"gelu_new", Model::Activation::GeluTanh},
    {"gelu_fast", Model::Activation::GeluTanh},
    {"gelu_pytorch_tanh", Model::Activation::GeluTanh},
    {"gelu_python_tanh", Model::Activation::GeluTanh},
    {"relu", Model::Activation::Relu},
    {"relu2", Model::Activation::Relu2},
};

class ConfigParser {
public:
  ConfigParser(ConfigReader &config, DecoderDescription &model)
      : config(config), model(model) {}

  void parse();

private:
  const HfFamily *findFamily();
  void readKey(HfKey key);
  void readActivation(const HfKey &key, Model::Activation &out);
  void checkSizes(const HfFamily &family);
  void readTokenIds();
  void readDtype();

  ConfigReader &config;
  DecoderDescription &model;
};

const HfFamily *ConfigParser::findFamily() {
  const json::Value *type = config.find("model_type");
  const json::Value *list = config.find("architectures");
  std::string types, names;
  const HfFamily *byType = nullptr, *byName = nullptr;
  std::string wanted = config.string("model_type", "", "a string");
  const json::Value *first = list;
  if (const json::Array *array = list ? list->getAsArray() : nullptr)
    if (array->size() == 1)
      first = &(*array)[0];
  std::optional<StringRef> name =
      first ? first->getAsString() : std::optional<StringRef>();
  for (const HfFamily *each : hfFamilies()) {
    const HfFamily &family = *each;
    types += (types.empty() ? "" : ", ") + std::string(family.modelType);
    if (type && wanted == family.modelType)
      byType = &family;
    SmallVector<StringRef, 2> spellings;
    StringRef(family.architecture).split(spellings, '|');
    for (StringRef spelling : spellings) {
      names += (names.empty() ? "" : ", ") + spelling.str();
      if (name && *name == spelling)
        byName = &family;
    }
  }
  if (list && !byName) {
    config.refuse("architectures", first, "a list with one of: " + names);
    return nullptr;
  }
  if ((type && !byType) || (!type && !list)) {
    config.refuse("model_type", type, "one of: " + types);
    return nullptr;
  }
  if (byType && byName && byType != byName)
    config.refuse("architectures", first,
                  Twine(byType->architecture) + ", as model_type is " +
                      byType->modelType);
  return byType ? byType : byName;
}

void ConfigParser::readActivation(const HfKey &key, Model::Activation &out) {
  if (key.otherwise && !config.has(key.name))
    return;
  std::string accepted;
  for (const ActivationName &entry : activationNames)
    accepted += (accepted.empty() ? "" : ", ") + std::string(entry.name);
  std::string name = config.string(key.name, "", accepted);
  const ActivationName *found =
      llvm::find_if(activationNames, [&](const ActivationName &entry) {
        return name == entry.name;
      });
  if (found == std::end(activationNames))
    return config.refuse(key.name, accepted);
  out = found->activation;
}

void ConfigParser::readKey(HfKey key) {
  if (key.also && config.has(key.also)) {
    const json::Value *value = config.find(key.name);
    if (value && *value != *config.find(key.also))
      return config.refuse(key.also, "what '" + Twine(key.name) + "' is, " +
                                         jsonText(*value));
    key.name = key.also;
  }
  if (const auto *member = std::get_if<int64_t Model::*>(&key.member)) {
    std::optional<int64_t> otherwise;
    if (key.otherwise)
      otherwise = static_cast<int64_t>(*key.otherwise);
    for (const IntegerBounds &bounds : integerBounds)
      if (bounds.member == *member)
        model.*bounds.member =
            config.integer(key.name, bounds.low, bounds.high, otherwise);
  } else if (const auto *number = std::get_if<double Model::*>(&key.member)) {
    for (const NumberBounds &bounds : numberBounds)
      if (bounds.member == *number)
        model.*bounds.member =
            config.number(key.name, bounds.low, bounds.high, key.otherwise);
  } else {
    readActivation(key, model.*std::get<2>(key.member));
  }
}

/// Fills in what follows from other sizes.
void ConfigParser::checkSizes(const HfFamily &family) {
  auto keyOf = [&](int64_t Model::*member) -> std::string {
    for (const HfKey &key : family.keys)
      if (const auto *found = std::get_if<int64_t Model::*>(&key.member))
        if (*found == member)
          return key.name;
    return "";
  };
  std::string headsKey = keyOf(&Model::heads), widthKey = keyOf(&Model::width);
  if (model.kvHeads == 0)
    model.kvHeads = model.heads;
  if (model.heads % model.kvHeads)
    return config.refuse(keyOf(&Model::kvHeads), "a divisor of " + headsKey +
                                                     " = " +
                                                     Twine(model.heads));
  std::string headDimKey = keyOf(&Model::headDim);
  if (model.headDim == 0) {
    if (model.width % model.heads)
      return config.refuse(
          widthKey, "a multiple of " + headsKey + " = " + Twine(model.heads) +
                        (headDimKey.empty() ? "" : ", or a " + headDimKey));
    model.headDim = model.width / model.heads;
  }
  if (model.headDim > maxHeadDim)
    return config.fail("heads have " + Twine(model.headDim) + " elements (" +
                       widthKey + " / " + headsKey + "); accepted: 1 to " +
                       Twine(maxHeadDim));
  if (model.ffn == 0)
    model.ffn = 4 * model.width;
}

void ConfigParser::readTokenIds() {
  int64_t last = model.vocab - 1;
  if (config.has("bos_token_id"))
    model.bos = config.integer("bos_token_id", 0, last);
  // Original Llama files pad with -1: no token.
  config.integer("pad_token_id", -1, maxTokens, -1);
  const json::Value *eos = config.find("eos_token_id");
  if (!eos)
    return;
  const json::Array *list = eos->getAsArray();
  size_t count = list ? list->size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const json::Value &item = list ? (*list)[i] : *eos;
    std::optional<int64_t> id = jsonInteger(item);
    if (!id || *id < 0 || *id > last)
      return config.refuse("eos_token_id", &item,
                           "an integer from 0 to " + Twine(last) +
                               ", or a list of them");
    model.eos.push_back(*id);
  }
}

void ConfigParser::readDtype() {
  constexpr StringLiteral accepted =
      "\"float32\", \"float16\", \"bfloat16\", null";
  for (StringRef key : {"torch_dtype", "dtype"}) {
    std::string name = config.string(key, "", accepted);
    StringRef plain = name;
    plain.consume_front("torch.");
    if (!name.empty() && plain != "float32" && plain != "float16" &&
        plain != "bfloat16")
      config.refuse(key, accepted);
  }
}

void ConfigParser::parse() {
  const HfFamily *family = findFamily();
  if (config.failed())
    return;
  model.architecture = family->modelType;
  for (const PinnedKey &pin : pinnedKeys)
    config.pin(pin.name, pin.accepted);
  for (const PinnedKey &pin : family->pinned)
    config.pin(pin.name, pin.accepted);
  for (const HfKey &key : family->keys)
    readKey(key);
  if (config.failed())
    return;
  checkSizes(*family);
  if (config.failed())
    return;
  readTokenIds();
  readDtype();
  // Code beside the weights, which made them; cria computes what the family's
  // class does.
  if (const json::Value *map = config.find("auto_map")) {
    const json::Object *object = map->getAsObject();
    if (!object)
      config.refuse("auto_map", map, "an object, null");
    else if (!object->empty())
      model.notes.push_back("auto_map names code of the model's own, which is "
                            "not run: model_type says what is computed, " +
                            model.architecture);
  }
  family->describe(config, model);
  acceptHarmless(config);
  for (const char *key : family->harmless)
    config.accept(key);
  config.refuseOthers("in config.json");
}

} // namespace

void acceptHarmless(ConfigReader &config) {
  for (const char *key : harmlessKeys)
    config.accept(key);
}

/// What the names of such keys contain.
constexpr StringLiteral trainingKeys[] = {"dropout", "pdrop", "weight_decay",
                                          "label_smoothing", "z_loss"};

/// Says which keys that are set are of training, and do nothing here.
static void noteTraining(const json::Object &config,
                         DecoderDescription &model) {
  std::vector<std::string> set;
  for (const auto &[key, value] : config) {
    StringRef name = key;
    bool isTraining = llvm::any_of(
        trainingKeys, [&](StringRef part) { return name.contains(part); });
    std::optional<double> number = value.getAsNumber();
    if (isTraining && number && *number != 0) {
      std::string text;
      raw_string_ostream(text) << name << " = " << format("%g", *number);
      set.push_back(std::move(text));
    }
  }
  if (set.empty())
    return;
  llvm::sort(set); // objects have no order
  model.notes.push_back(llvm::join(set, ", ") +
                        (set.size() == 1 ? " is" : " are") +
                        " of training, and without effect here");
}

Expected<DecoderDescription> parseHfConfig(StringRef path, StringRef text) {
  Expected<json::Value> root = parseJson(path, text);
  if (!root)
    return root.takeError();
  const json::Object *object = root->getAsObject();
  if (!object)
    return fileError(path,
                     "is " + jsonText(*root) + "; accepted: a JSON object");
  ConfigReader config(path, *object);
  DecoderDescription model;
  ConfigParser(config, model).parse();
  if (config.failed())
    return config.take();
  noteTraining(*object, model);
  return model;
}

Expected<DecoderDescription> loadHfConfig(StringRef path) {
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
