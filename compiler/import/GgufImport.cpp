// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GGUF metadata of any of the architectures in families/Gguf.cpp. The keys and
// what they mean are those of ggml's gguf.md and of llama.cpp's loader.
#include "compiler/import/DecoderModule.h"
#include "compiler/import/GgufReader.h"
#include "compiler/import/InputFile.h"
#include "compiler/import/PoolKvHeads.h"
#include "compiler/import/families/GgufFamily.h"
#include "runtime/text/GgufTokenizer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include <algorithm>
#include <cmath>

using namespace llvm;

namespace cria {
namespace {

constexpr int64_t maxLayers = 4096, maxHeads = 65536, maxHeadDim = 4096,
                  maxWidth = int64_t(1) << 20, maxFfn = int64_t(1) << 22,
                  maxContext = int64_t(1) << 30;

/// Keys of any architecture that say nothing about what is computed.
const char *const harmlessKeys[] = {
    "rope.scaling.finetuned",
    "tensor_data_layout", // of the conversion that wrote the file
};

/// Keys that a family does not read, with the one value that changes nothing.
const GgufPinnedKey pinnedKeys[] = {
    {"attention.causal", 1},
    {"attention.sliding_window", 0},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attn_logit_softcapping", 0},
    {"embedding_scale", 1},
    {"expert_count", 0},
    {"expert_used_count", 0},
    {"expert_shared_count", 0},
    {"final_logit_softcapping", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"rope.scaling.yarn_attn_factor", 1},
    {"rope.scaling.yarn_ext_factor", 1},
    {"rope.scaling.yarn_log_multiplier", 0},
    {"use_parallel_residual", 0},
};

/// The source's names of the tensors of frequency divisors: Llama 3.1's, and
/// LongRoPE's two.
constexpr StringLiteral ropeFreqsTensor = "rope_freqs.weight",
                        ropeLongTensor = "rope_factors_long.weight",
                        ropeShortTensor = "rope_factors_short.weight";

class GgufImporter {
public:
  GgufImporter(const TensorSource &source, const GgufFamily &family)
      : source(source), family(family),
        keys(*source.gguf(), family.architecture) {}

  Expected<DecoderDescription> describe();

private:
  void readSizes();
  void readRope();
  void readTokenIds();
  void readDivisors(StringRef name, int64_t count, std::vector<double> &out);

  const TensorSource &source;
  const GgufFamily &family;
  GgufKeys keys;
  DecoderDescription model;
};

void GgufImporter::readSizes() {
  model.layers = keys.integer("block_count", 1, maxLayers);
  model.width = keys.integer("embedding_length", 1, maxWidth);
  model.ffn = keys.integer("feed_forward_length", 1, maxFfn);
  model.context = keys.integer("context_length", 1, maxContext);
  model.heads = keys.integer("attention.head_count", 1, maxHeads);
  model.kvHeads =
      keys.integer("attention.head_count_kv", 1, maxHeads, model.heads);
  if (keys.failed())
    return;
  if (model.heads % model.kvHeads)
    keys.refuse("attention.head_count_kv", Twine(model.kvHeads),
                "a divisor of " + keys.full("attention.head_count") + " = " +
                    Twine(model.heads));
  std::optional<int64_t> usual;
  if (model.width % model.heads == 0)
    usual = model.width / model.heads;
  else if (!keys.has("attention.key_length"))
    keys.refuse("attention.head_count", Twine(model.heads),
                "a divisor of " + keys.full("embedding_length") + " = " +
                    Twine(model.width) + ", where there is no " +
                    keys.full("attention.key_length"));
  if (keys.failed())
    return;
  model.headDim = keys.integer("attention.key_length", 2, maxHeadDim, usual);
  if (model.headDim % 2 || model.headDim > maxHeadDim || model.headDim < 2)
    keys.refuse("attention.key_length", Twine(model.headDim),
                "an even integer from 2 to " + Twine(maxHeadDim) +
                    " (embedding_length / head_count where it is missing)");
  int64_t valueDim =
      keys.integer("attention.value_length", 1, maxHeadDim, model.headDim);
  if (valueDim != model.headDim)
    keys.refuse("attention.value_length", Twine(valueDim),
                Twine(model.headDim) + ", the length of a key");
  bool isRms = family.norm == DecoderDescription::Norm::Rms;
  constexpr StringLiteral rms = "attention.layer_norm_rms_epsilon",
                          layer = "attention.layer_norm_epsilon";
  model.norm = family.norm;
  model.eps = keys.number(isRms ? rms : layer, 1e-12, 0.1);
  keys.accept(isRms ? layer : rms); // of norms that the family has not
  model.attentionScale = keys.number("attention.scale", 1e-6, 1e6, 0.0);

  Expected<const TensorView *> embedding = source.get("token_embd.weight");
  if (!embedding)
    return keys.fail(embedding.takeError());
  if ((*embedding)->shape.size() != 2)
    return keys.fail(fileError(
        source.path(), "tensor 'token_embd.weight' has " +
                           Twine((*embedding)->shape.size()) +
                           " dimensions; accepted: 2, tokens and width"));
  model.vocab = (*embedding)->shape.front();
  int64_t vocab = keys.integer("vocab_size", 1, maxContext, model.vocab);
  if (vocab != model.vocab)
    keys.refuse("vocab_size", Twine(vocab),
                Twine(model.vocab) + ", the rows of token_embd.weight");
}

/// One divisor of each pair's frequency.
void GgufImporter::readDivisors(StringRef name, int64_t count,
                                std::vector<double> &out) {
  auto refuse = [&](const Twine &message) {
    keys.fail(
        fileError(source.path(), "tensor " + quoted(name) + " " + message));
  };
  Expected<const TensorView *> view = source.get(name);
  if (!view)
    return keys.fail(view.takeError());
  if ((*view)->dtype != DType::F32 || (*view)->shape.size() != 1 ||
      (*view)->shape.front() != count)
    return refuse("has type " + (*view)->typeName + " and " +
                  Twine((*view)->numElements()) +
                  " elements; accepted: F32 and " + Twine(count) +
                  ", half of " + keys.full("rope.dimension_count"));
  std::vector<float> values(count);
  if (Error error = dequantizeRow(**view, 0, values))
    return keys.fail(std::move(error));
  for (float value : values) {
    if (!(value > 0 && value <= 1e6f))
      return refuse("holds " + numberText(static_cast<double>(value)) +
                    "; accepted: numbers above 0, up to 1e6");
    out.push_back(static_cast<double>(value));
  }
}

void GgufImporter::readRope() {
  int64_t dims =
      keys.integer("rope.dimension_count", 2, maxHeadDim, model.headDim);
  if (dims % 2 || dims > model.headDim)
    keys.refuse("rope.dimension_count", Twine(dims),
                "an even integer from 2 to " + Twine(model.headDim) +
                    ", the length of a head");
  double base = keys.number("rope.freq_base", 1, 1e15, 10000.0);

  StringRef type = keys.string("rope.scaling.type", "none");
  using Kind = RopeDescription::Kind;
  RopeDescription rope;
  rope.interleaved = *family.interleaved;
  rope.dims = dims;
  rope.theta = base;
  rope.maxPositions = model.context;
  double attnFactor = keys.number("rope.scaling.attn_factor", 1e-6, 1e3, 1.0);
  // What GGUF files had before rope.scaling.
  double oldLinear = keys.number("rope.scale_linear", 1e-6, 1e6, 1.0);
  int64_t given = keys.integer("rope.scaling.original_context_length", 1,
                               maxContext, model.context);
  double fast = keys.number("rope.scaling.yarn_beta_fast", 1e-6, 1e6, 32.0);
  double slow = keys.number("rope.scaling.yarn_beta_slow", 1e-6, 1e6, 1.0);
  double scaleFactor = keys.number("rope.scaling.factor", 0, 1e6, 1.0);
  bool isLong = source.find(ropeLongTensor) || source.find(ropeShortTensor);
  if (type == "linear" || (type == "none" && oldLinear != 1.0)) {
    rope.kind = Kind::Linear;
    rope.factor =
        scaleFactor > 0 && type == "linear" && keys.has("rope.scaling.factor")
            ? scaleFactor
            : oldLinear;
  } else if (type == "yarn") {
    rope.kind = Kind::Yarn;
    rope.factor = scaleFactor;
    rope.originalMaxPositions = given;
    rope.betaFast = fast;
    rope.betaSlow = slow;
    if (scaleFactor < 1)
      keys.refuse("rope.scaling.factor", numberText(scaleFactor),
                  "a number from 1 to 1e6");
    // Peng et al. 2023, equation 22.
    if (attnFactor != 1.0)
      rope.attentionFactor =
          attnFactor * (1.0 + 0.1 * std::log(std::max(scaleFactor, 1.0)));
  } else if (type != "none" && !(type == "longrope" && isLong)) {
    keys.refuse("rope.scaling.type", quoted(type),
                "none, linear, yarn, and longrope where the file has tensors "
                "of its factors");
  } else if (scaleFactor != 0 && scaleFactor != 1) {
    keys.refuse("rope.scaling.factor", numberText(scaleFactor),
                "0 or 1, as " + keys.full("rope.scaling.type") +
                    " is none, longrope or missing");
  }
  if (attnFactor != 1.0 && type != "yarn" && !isLong)
    keys.refuse("rope.scaling.attn_factor", numberText(attnFactor),
                "1, as " + keys.full("rope.scaling.type") +
                    " is not yarn and the file has no factors of longrope");

  if (keys.failed())
    return;
  bool hasFreqs = source.find(ropeFreqsTensor);
  if ((hasFreqs || isLong) && rope.kind != Kind::Default)
    keys.refuse("rope.scaling.type", quoted(type),
                "none, as the file has the tensor " +
                    (hasFreqs ? ropeFreqsTensor : ropeLongTensor));
  if (isLong) {
    rope.kind = Kind::LongRope;
    rope.originalMaxPositions = given;
    rope.attentionFactor = attnFactor;
    if (hasFreqs)
      keys.fail(fileError(source.path(),
                          "the tensors " + quoted(ropeFreqsTensor) + " and " +
                              quoted(ropeLongTensor) + " exclude each other"));
    readDivisors(ropeShortTensor, dims / 2, rope.shortFactor);
    readDivisors(ropeLongTensor, dims / 2, rope.longFactor);
  } else if (hasFreqs) {
    // LongRoPE with equal lists divides each frequency by a number and does
    // nothing else.
    rope.kind = Kind::LongRope;
    rope.originalMaxPositions = model.context;
    rope.attentionFactor = 1.0;
    readDivisors(ropeFreqsTensor, dims / 2, rope.shortFactor);
    rope.longFactor = rope.shortFactor;
  }
  model.styles.assign(1, {rope, 0});
}

void GgufImporter::readTokenIds() {
  auto id = [&](StringRef key) -> std::optional<int64_t> {
    if (!keys.file.has(key))
      return std::nullopt;
    Expected<uint32_t> value = keys.file.getU32(key);
    if (!value) {
      keys.fail(value.takeError());
      return std::nullopt;
    }
    if (*value >= model.vocab) {
      keys.fail(fileError(source.path(),
                          "key '" + key + "' is " + Twine(*value) +
                              "; accepted: 0 to " + Twine(model.vocab - 1)));
      return std::nullopt;
    }
    return *value;
  };
  model.bos = id("tokenizer.ggml.bos_token_id");
  for (StringRef key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id"})
    if (std::optional<int64_t> value = id(key))
      if (!llvm::is_contained(model.eos, *value))
        model.eos.push_back(*value);
}

Expected<DecoderDescription> GgufImporter::describe() {
  SmallString<128> path(source.path());
  Expected<StringRef> name =
      keys.file.getStringOr("general.name", sys::path::stem(path));
  if (!name)
    return name.takeError();
  model.name = name->str();
  // It becomes a C string.
  llvm::erase(model.name, '\0');
  model.architecture = family.architecture;

  readSizes();
  if (!keys.failed() && family.interleaved)
    readRope();
  else
    model.styles.assign(1, {});
  model.styleOf.assign(static_cast<size_t>(std::max<int64_t>(model.layers, 0)),
                       0);
  if (!keys.failed())
    readTokenIds();
  placeUsualGguf(keys, model);
  if (!keys.failed() && family.describe)
    family.describe(keys, model);
  for (const GgufPinnedKey &key : pinnedKeys)
    keys.pin(key);
  for (const char *key : harmlessKeys)
    keys.accept(key);
  if (!keys.failed())
    keys.refuseOthers();
  if (keys.failed())
    return keys.take();
  return model;
}

Expected<std::string> readTokenizer(const GgufFile &file,
                                    const DecoderDescription &described) {
  Expected<StringRef> model = file.getStringOr("tokenizer.ggml.model", "none");
  if (!model)
    return model.takeError();
  if (*model == "none" || *model == "no_vocab")
    return std::string();
  GgufTokenizerMetadata metadata;
  metadata.model = model->str();
  Expected<StringRef> pre = file.getStringOr("tokenizer.ggml.pre", "");
  if (!pre)
    return pre.takeError();
  metadata.pre = pre->str();

  auto strings = [&](StringRef key, std::vector<std::string> &out) -> Error {
    if (!file.has(key))
      return Error::success();
    Expected<ArrayRef<StringRef>> list = file.getStrings(key);
    if (!list)
      return list.takeError();
    for (StringRef text : *list)
      out.push_back(text.str());
    return Error::success();
  };
  if (Error error = strings("tokenizer.ggml.tokens", metadata.tokens))
    return error;
  if (Error error = strings("tokenizer.ggml.merges", metadata.merges))
    return error;
  if (metadata.tokens.size() > static_cast<uint64_t>(described.vocab))
    return fileError(file.path(), "key 'tokenizer.ggml.tokens' has " +
                                      Twine(metadata.tokens.size()) +
                                      " tokens; accepted: at most " +
                                      Twine(described.vocab) +
                                      ", the rows of token_embd.weight");
  if (file.has("tokenizer.ggml.scores")) {
    Expected<std::vector<float>> scores =
        file.getFloats("tokenizer.ggml.scores");
    if (!scores)
      return scores.takeError();
    metadata.scores = std::move(*scores);
  }
  if (file.has("tokenizer.ggml.token_type")) {
    Expected<std::vector<int64_t>> types =
        file.getInts("tokenizer.ggml.token_type");
    if (!types)
      return types.takeError();
    for (int64_t type : *types)
      metadata.tokenTypes.push_back(static_cast<int32_t>(
          std::clamp<int64_t>(type, INT32_MIN, INT32_MAX)));
  }
  metadata.bosId = described.bos.value_or(-1);
  metadata.eosIds.assign(described.eos.begin(), described.eos.end());
  if (file.has("tokenizer.ggml.unknown_token_id")) {
    Expected<uint32_t> unknown = file.getU32("tokenizer.ggml.unknown_token_id");
    if (!unknown)
      return unknown.takeError();
    metadata.unknownId = *unknown;
  }
  auto flag = [&](StringRef key, std::optional<bool> &out) -> Error {
    if (!file.has(key))
      return Error::success();
    Expected<bool> value = file.getBool(key);
    if (!value)
      return value.takeError();
    out = *value;
    return Error::success();
  };
  if (Error error = flag("tokenizer.ggml.add_bos_token", metadata.addBos))
    return error;
  if (Error error = flag("tokenizer.ggml.add_eos_token", metadata.addEos))
    return error;
  if (Error error =
          flag("tokenizer.ggml.add_space_prefix", metadata.addSpacePrefix))
    return error;
  std::string json, message;
  if (!ggufToTokenizerJson(metadata, json, message))
    return fileError(file.path(), message);
  return json;
}

Expected<const GgufFamily *> findFamily(const TensorSource &source) {
  Expected<StringRef> architecture =
      source.gguf()->getString("general.architecture");
  if (!architecture)
    return architecture.takeError();
  std::string accepted;
  for (const GgufFamily &family : ggufFamilies()) {
    if (*architecture == family.architecture)
      return &family;
    accepted +=
        (accepted.empty() ? "" : ", ") + std::string(family.architecture);
  }
  return fileError(source.path(), "key 'general.architecture' is " +
                                      quoted(*architecture) +
                                      "; accepted: " + accepted);
}

} // namespace

Expected<ImportedModel> importGguf(std::unique_ptr<TensorSource> source,
                                   mlir::MLIRContext &context,
                                   const ImportOptions &options) {
  Expected<const GgufFamily *> family = findFamily(*source);
  if (!family)
    return family.takeError();
  Expected<DecoderDescription> described =
      GgufImporter(*source, **family).describe();
  if (!described)
    return described.takeError();
  Expected<std::optional<KvPooling>> pooling =
      poolKvHeads(*described, *source, options);
  if (!pooling)
    return pooling.takeError();
  Expected<mlir::OwningOpRef<mlir::ModuleOp>> module =
      buildDecoderModule(*described, *source, options, context);
  if (!module)
    return module.takeError();
  const GgufFile &file = *source->gguf();
  Expected<std::string> tokenizer = readTokenizer(file, *described);
  if (!tokenizer)
    return tokenizer.takeError();
  Expected<StringRef> chat = file.getStringOr("tokenizer.chat_template", "");
  if (!chat)
    return chat.takeError();
  ImportedModel model;
  model.pooling = *pooling;
  model.module = std::move(*module);
  model.notes = std::move(described->notes);
  model.tokenizerJson = std::move(*tokenizer);
  model.chatTemplate = chat->str();
  model.weights = std::move(source);
  return model;
}

} // namespace cria
