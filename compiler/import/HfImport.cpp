// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A Hugging Face folder: config.json, safetensors, tokenizer files.
#include "compiler/import/DecoderModule.h"
#include "compiler/import/HfConfig.h"
#include "compiler/import/InputFile.h"
#include "compiler/import/PoolKvHeads.h"
#include "runtime/text/GgufTokenizer.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>

using namespace llvm;

namespace cria {
namespace {

/// The text of a file of the folder; nothing where there is none.
Expected<std::optional<std::string>> readText(StringRef folder,
                                              StringRef name) {
  SmallString<256> path(folder);
  sys::path::append(path, name);
  if (!sys::fs::exists(path))
    return std::nullopt;
  Expected<std::unique_ptr<MemoryBuffer>> buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  constexpr size_t maxBytes = size_t(1) << 28;
  if ((*buffer)->getBufferSize() > maxBytes)
    return fileError(path, "has " + Twine((*buffer)->getBufferSize()) +
                               " bytes; accepted: at most " + Twine(maxBytes));
  return (*buffer)->getBuffer().str();
}

Expected<std::optional<json::Value>> readJson(StringRef folder,
                                              StringRef name) {
  Expected<std::optional<std::string>> text = readText(folder, name);
  if (!text)
    return text.takeError();
  if (!*text)
    return std::nullopt;
  SmallString<256> path(folder);
  sys::path::append(path, name);
  Expected<json::Value> value = parseJson(path, **text);
  if (!value)
    return value.takeError();
  return std::optional<json::Value>(std::move(*value));
}

/// generation_config.json may end a text with more tokens than config.json.
Error addGenerationEnds(StringRef folder, DecoderDescription &model) {
  Expected<std::optional<json::Value>> root =
      readJson(folder, "generation_config.json");
  if (!root)
    return root.takeError();
  const json::Object *object = *root ? (*root)->getAsObject() : nullptr;
  const json::Value *eos = object ? object->get("eos_token_id") : nullptr;
  if (!eos || eos->kind() == json::Value::Null)
    return Error::success();
  const json::Array *list = eos->getAsArray();
  size_t count = list ? list->size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const json::Value &item = list ? (*list)[i] : *eos;
    std::optional<int64_t> id = jsonInteger(item);
    if (!id || *id < 0 || *id >= model.vocab)
      return fileError((folder + "/generation_config.json").str(),
                       "key 'eos_token_id' is " + jsonText(item) +
                           "; accepted: an integer from 0 to " +
                           Twine(model.vocab - 1) + ", or a list of them");
    if (!llvm::is_contained(model.eos, *id))
      model.eos.push_back(*id);
  }
  return Error::success();
}

/// Tokens that tokenizer_config.json adds to a tokenizer.model, or describes
/// better.
Error readAddedTokens(const json::Object &settings, const Twine &path,
                      int64_t vocab, GgufTokenizerMetadata &metadata) {
  constexpr int32_t normal = 1, control = 3, userDefined = 4, unused = 5;
  const json::Object *decoder = settings.getObject("added_tokens_decoder");
  if (!decoder)
    return Error::success();
  std::map<int64_t, const json::Object *> tokens;
  for (const auto &[key, value] : *decoder) {
    int64_t id;
    const json::Object *token = value.getAsObject();
    if (StringRef(key).getAsInteger(10, id) || id < 0 || id >= vocab ||
        !token || !token->getString("content"))
      return fileError(path.str(),
                       "key 'added_tokens_decoder' has \"" + StringRef(key) +
                           "\": " + jsonText(value) + "; accepted: ids below " +
                           Twine(vocab) +
                           ", each with an object that has a string content");
    tokens.emplace(id, token);
  }
  for (const auto &[id, token] : tokens) {
    while (static_cast<int64_t>(metadata.tokens.size()) <= id) {
      metadata.tokens.emplace_back();
      metadata.scores.push_back(0);
      metadata.tokenTypes.push_back(unused);
    }
    metadata.tokens[id] = token->getString("content")->str();
    int32_t &type = metadata.tokenTypes[id];
    if (type == normal || type == unused)
      type =
          token->getBoolean("special").value_or(false) ? control : userDefined;
    auto flag = [&, id = id, token = token](StringRef key,
                                            std::vector<int64_t> &list) {
      if (token->getBoolean(key).value_or(false))
        list.push_back(id);
    };
    flag("lstrip", metadata.leftStrip);
    flag("rstrip", metadata.rightStrip);
    flag("single_word", metadata.singleWord);
  }
  return Error::success();
}

/// A vocabulary in another form as a tokenizer.json.
Error convertTokenizer(StringRef folder, StringRef file, StringRef data,
                       const DecoderDescription &described,
                       ImportedModel &model) {
  std::string path = (folder + "/" + file).str(), message;
  GgufTokenizerMetadata metadata;
  // A SentencePiece model is a message of protobuf, of which its pieces come
  // first, under a tag that is no digit of base64.
  constexpr char piecesTag = '\n';
  bool isTekken = file == "tekken.json",
       isTiktoken = !isTekken && !data.starts_with(StringRef(&piecesTag, 1));
  if (!(isTekken     ? readTekken
        : isTiktoken ? readTiktoken
                     : readSentencePiece)(data, metadata, message))
    return fileError(path, isTiktoken
                               ? message + "; accepted: a SentencePiece model, "
                                           "or tokens and ranks as tiktoken's"
                               : message);
  size_t ranked = metadata.tokens.size();
  Expected<std::optional<json::Value>> root =
      readJson(folder, "tokenizer_config.json");
  if (!root)
    return root.takeError();
  if (const json::Object *settings = *root ? (*root)->getAsObject() : nullptr) {
    if (Error error =
            readAddedTokens(*settings, folder + "/tokenizer_config.json",
                            described.vocab, metadata))
      return error;
    metadata.addBos = settings->getBoolean("add_bos_token");
    metadata.addEos = settings->getBoolean("add_eos_token");
  }
  if (isTiktoken && metadata.tokens.size() == ranked)
    addLlama3Specials(metadata, described.vocab);
  if (metadata.tokens.size() > static_cast<uint64_t>(described.vocab))
    return fileError(path, "has " + Twine(metadata.tokens.size()) +
                               " tokens; accepted: at most " +
                               Twine(described.vocab) +
                               ", the vocab_size of config.json");
  if (described.bos)
    metadata.bosId = *described.bos;
  if (!described.eos.empty())
    metadata.eosIds.assign(described.eos.begin(), described.eos.end());
  if (!ggufToTokenizerJson(metadata, model.tokenizerJson, message))
    return fileError(path, message);
  return Error::success();
}

Error readTokenizer(StringRef folder, const DecoderDescription &described,
                    ImportedModel &model) {
  Expected<std::optional<std::string>> text =
      readText(folder, "tokenizer.json");
  if (!text)
    return text.takeError();
  if (!*text) {
    for (StringRef file : {"tokenizer.model", "tekken.json"}) {
      text = readText(folder, file);
      if (!text)
        return text.takeError();
      if (*text)
        return convertTokenizer(folder, file, **text, described, model);
    }
    return Error::success();
  }
  std::string message;
  if (!annotateTokenizerJson(**text, described.bos.value_or(-1),
                             {described.eos.begin(), described.eos.end()},
                             model.tokenizerJson, message))
    return fileError((folder + "/tokenizer.json").str(), message);
  return Error::success();
}

/// chat_template.jinja, or what tokenizer_config.json has: a string, or a
/// list of named ones.
Error readChatTemplate(StringRef folder, std::string &chat) {
  Expected<std::optional<std::string>> text =
      readText(folder, "chat_template.jinja");
  if (!text)
    return text.takeError();
  if (*text) {
    chat = std::move(**text);
    return Error::success();
  }
  Expected<std::optional<json::Value>> root =
      readJson(folder, "tokenizer_config.json");
  if (!root)
    return root.takeError();
  const json::Object *object = *root ? (*root)->getAsObject() : nullptr;
  const json::Value *value = object ? object->get("chat_template") : nullptr;
  if (!value || value->kind() == json::Value::Null)
    return Error::success();
  if (std::optional<StringRef> string = value->getAsString()) {
    chat = string->str();
    return Error::success();
  }
  if (const json::Array *list = value->getAsArray())
    for (const json::Value &item : *list)
      if (const json::Object *entry = item.getAsObject())
        if (entry->getString("name") == std::optional<StringRef>("default"))
          if (std::optional<StringRef> string = entry->getString("template")) {
            chat = string->str();
            return Error::success();
          }
  return fileError((folder + "/tokenizer_config.json").str(),
                   "key 'chat_template' is " + jsonText(*value) +
                       "; accepted: a string, or a list with an entry named "
                       "\"default\"");
}

/// Some files hold the tensors of the model without its head, whose names lack
/// the first part: "wte.weight" for "transformer.wte.weight".
void dropPrefix(DecoderDescription &model, const TensorSource &source) {
  StringRef embedding = model.at(Role::Embedding).name;
  auto [prefix, rest] = embedding.split('.');
  if (source.find(embedding) || !source.find(rest))
    return;
  std::string dropped = (prefix + ".").str();
  for (TensorPlace &place : model.tensors)
    if (StringRef(place.name).starts_with(dropped))
      place.name.erase(0, dropped.size());
}

} // namespace

Expected<ImportedModel> importHf(StringRef folder, mlir::MLIRContext &context,
                                 const ImportOptions &options) {
  Expected<DecoderDescription> described = loadHfConfig(folder);
  if (!described)
    return described.takeError();
  ImportedModel model;
  Expected<std::unique_ptr<TensorSource>> source = TensorSource::open(folder);
  if (!source)
    return source.takeError();
  model.weights = std::move(*source);

  SmallString<128> path(folder);
  sys::fs::make_absolute(path);
  sys::path::remove_dots(path, /*remove_dot_dot=*/true);
  while (path.size() > 1 && sys::path::is_separator(path.back()))
    path.pop_back();
  described->name = sys::path::filename(path).str();
  dropPrefix(*described, *model.weights);
  if (Error error = addGenerationEnds(folder, *described))
    return error;

  Expected<std::optional<KvPooling>> pooling =
      poolKvHeads(*described, *model.weights, options);
  if (!pooling)
    return pooling.takeError();
  model.pooling = *pooling;
  Expected<mlir::OwningOpRef<mlir::ModuleOp>> module =
      buildDecoderModule(*described, *model.weights, options, context);
  if (!module)
    return module.takeError();
  model.module = std::move(*module);
  model.notes = std::move(described->notes);
  if (Error error = readTokenizer(folder, *described, model))
    return error;
  if (Error error = readChatTemplate(folder, model.chatTemplate))
    return error;
  return model;
}

} // namespace cria
