// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "JsonReader.h"
#include "Tokenizer.h"

using namespace cria::text;

namespace {

// Longer ones do not occur, and would make matching quadratic.
constexpr size_t MaxAddedTokenBytes = 4096;
constexpr size_t MaxTemplateTokens = 64;

int32_t tokenId(const Json &Value, const Config &Owner, const char *Key) {
  if (!Value.is_number_unsigned() || Value.get<uint64_t>() > INT32_MAX)
    Owner.malformed(Key, "token ids");
  return Value.get<int32_t>();
}

/// Reads what a TemplateProcessing puts before and after a single text.
void loadTemplate(const Config &Component, cria_tokenizer &Result) {
  const Json *Specials = Component.find("special_tokens");
  std::vector<int32_t> Before, After;
  bool SeenText = false;
  for (const Config &Piece : Component.list("single")) {
    if (Piece.find("Sequence")) {
      if (SeenText)
        Component.malformed("single", "a list with one Sequence");
      SeenText = true;
      continue;
    }
    const Json *Special = Piece.find("SpecialToken");
    if (!Special)
      Component.malformed("single", "a list of Sequence and SpecialToken");
    std::string Name =
        Config(*Special, Piece.path() + ".SpecialToken").string("id");
    if (!Specials || !Specials->is_object() || !Specials->contains(Name))
      Component.malformed("special_tokens",
                          ("an entry for '" + Name + "'").c_str());
    Config Entry((*Specials)[Name],
                 Component.path() + ".special_tokens['" + Name + "']");
    if (Before.size() + After.size() > MaxTemplateTokens)
      break;
    for (const Config &Id : Entry.list("ids"))
      (SeenText ? After : Before).push_back(tokenId(Id.value(), Entry, "ids"));
  }
  if (!SeenText)
    Component.malformed("single", "a list with one Sequence");
  if (Before.size() + After.size() > MaxTemplateTokens)
    Component.malformed("single", "at most 64 tokens");
  // A later processor goes around what the earlier ones made.
  Result.Prefix.insert(Result.Prefix.begin(), Before.begin(), Before.end());
  Result.Suffix.insert(Result.Suffix.end(), After.begin(), After.end());
}

void loadPostProcessor(const Config &Component, cria_tokenizer &Result,
                       int Depth = 0) {
  std::string Type = Component.type();
  if (Type == "Sequence") {
    if (Depth == MaxNesting)
      Component.unsupported("a deeper Sequence", "16 levels");
    for (const Config &Item : Component.list("processors"))
      loadPostProcessor(Item, Result, Depth + 1);
  } else if (Type == "TemplateProcessing") {
    if (Result.Prefix.size() + Result.Suffix.size() > MaxTemplateTokens)
      Component.unsupported("one more token around the text", "64");
    loadTemplate(Component, Result);
  } else if (Type != "ByteLevel") { // ByteLevel only trims offsets
    Component.unsupported("post-processor '" + Type + "'",
                          "TemplateProcessing, ByteLevel, Sequence");
  }
}

void loadAddedTokens(const Config &Root, cria_tokenizer &Result) {
  std::vector<AddedToken> Added;
  for (const Config &Item : Root.list("added_tokens")) {
    AddedToken Token;
    Token.Content = Item.string("content");
    Token.Id =
        static_cast<int32_t>(Item.integer("id", 0, Result.Tokens.limit() - 1));
    Token.Special = Item.boolean("special", false);
    Token.SingleWord = Item.boolean("single_word", false);
    Token.LeftStrip = Item.boolean("lstrip", false);
    Token.RightStrip = Item.boolean("rstrip", false);
    Token.Normalized = Item.boolean("normalized", !Token.Special);
    if (Token.Content.size() > MaxAddedTokenBytes)
      Item.malformed("content", "at most 4096 bytes");
    if (!Result.Tokens.add(Token.Content, Token.Id)) {
      int32_t Other = Result.Tokens.find(Token.Content);
      fail(CRIA_INVALID_DATA,
           Item.path() + ".id is " + std::to_string(Token.Id) + ", but " +
               (Other >= 0
                    ? "'" + Token.Content + "' is " + std::to_string(Other)
                    : "that is '" +
                          std::string(Result.Tokens.spelling(Token.Id)) + "'"));
    }
    Added.push_back(std::move(Token));
  }
  Result.Special.assign(Result.Tokens.size(), false);
  for (const AddedToken &Token : Added) {
    if (Token.Special)
      Result.Special[Token.Id] = true;
    if (Token.Normalized) {
      std::string Normal = Result.Normalize.apply(Token.Content, false);
      Result.NormalizedAdded.add(Token, Normal);
      Result.Respelled[Token.Id] = std::move(Normal);
    } else {
      Result.RawAdded.add(Token, Token.Content);
    }
  }
}

/// The parser does not recurse, so depth is no danger.
Json parseJson(std::string_view Text) {
  try {
    return Json::parse(Text.begin(), Text.end());
  } catch (const Json::exception &Failure) {
    fail(CRIA_INVALID_DATA, std::string("not valid JSON: ") + Failure.what());
  }
}

/// The key that cria writes itself, as tokenizer.json has none for these.
void loadEnds(const Config &Owner, cria_tokenizer &Result) {
  const Json *Member = Owner.find("cria");
  if (!Member)
    return;
  Config Ends(*Member,
              Owner.path() + (Owner.path().empty() ? "" : ".") + "cria");
  if (const Json *Bos = Ends.find("bos_id"))
    Result.BosId = tokenId(*Bos, Ends, "bos_id");
  if (Ends.find("eos_ids"))
    for (const Config &Id : Ends.list("eos_ids"))
      Result.EosIds.push_back(tokenId(Id.value(), Ends, "eos_ids"));
}

} // namespace

namespace {

/// Calls `Visit` with each key of the object that comes next. `Visit` reads or
/// skips the value. Where the text is no JSON, it ends early.
template <typename Function>
void forEachMember(JsonReader &Reader, Function &&Visit) {
  if (!Reader.accept('{') || Reader.accept('}'))
    return;
  std::string_view Key;
  std::string Unescaped;
  do {
    if (!Reader.string(Key, Unescaped) || !Reader.accept(':'))
      return;
    Visit(Key);
  } while (Reader.accept(','));
  Reader.accept('}');
}

/// Reads model.vocab and model.merges where they are an object and a list.
/// Returns the rest of the file, with {} and [] in their place: the file is
/// valid JSON if and only if that is.
std::string readModel(std::string_view File, cria_tokenizer &Result) {
  JsonReader Reader(File);
  std::string Rest;
  std::string_view EarlyMerges; // that stand before the vocabulary
  size_t Copied = 0;
  bool SawModel = false, SawVocab = false, SawMerges = false;
  auto once = [](bool &Seen, const char *Key) {
    if (Seen)
      fail(CRIA_INVALID_DATA, std::string(Key) + " appears twice");
    Seen = true;
  };
  auto readMember = [&](std::string_view Key) {
    char First = Reader.peek();
    size_t Start = Reader.position();
    const char *Stub;
    if (Key == "vocab" && First == '{') {
      once(SawVocab, "model.vocab");
      Result.Tokens.read(Reader, File.size());
      Stub = "{}";
    } else if (Key == "merges" && First == '[') {
      once(SawMerges, "model.merges");
      if (SawVocab)
        Result.Model.readMerges(Reader, Result.Tokens);
      else
        EarlyMerges = Reader.skip();
      Stub = "[]";
    } else {
      Reader.skip();
      return;
    }
    Rest.append(File, Copied, Start - Copied).append(Stub);
    Copied = Reader.position();
  };
  forEachMember(Reader, [&](std::string_view Key) {
    if (Key != "model") {
      Reader.skip();
      return;
    }
    once(SawModel, "model");
    if (Reader.peek() == '{')
      forEachMember(Reader, readMember);
    else
      Reader.skip();
  });
  if (!EarlyMerges.empty()) {
    JsonReader Merges(EarlyMerges);
    Result.Model.readMerges(Merges, Result.Tokens);
  }
  Rest.append(File, Copied);
  return Rest;
}

std::unique_ptr<cria_tokenizer> loadParts(std::string_view Data) {
  auto Result = std::make_unique<cria_tokenizer>();
  Json Document = parseJson(readModel(Data, *Result));
  Config Root(Document, "");

  const Json *ModelValue = Root.find("model");
  if (!ModelValue)
    Root.malformed("model", "the BPE model");
  Config Model(*ModelValue, "model");
  // Early files do not say the type; only BPE has merges.
  std::string Type = Model.string("type", Model.find("merges") ? "BPE" : "");
  if (Type != "BPE")
    Model.unsupported("model type '" + Type + "'", "BPE");
  const Json *Added = Root.find("added_tokens");
  const Json *Vocab = Model.find("vocab");
  if (!Vocab || !Vocab->is_object())
    Model.malformed("vocab", "an object of token: id");
  Result->Model.load(Model, Result->Tokens);

  if (const Json *Value = Root.find("normalizer"))
    Result->Normalize.add(Config(*Value, "normalizer"));
  if (const Json *Value = Root.find("pre_tokenizer"))
    Result->PreTokenize.add(Config(*Value, "pre_tokenizer"));
  if (const Json *Value = Root.find("post_processor"))
    loadPostProcessor(Config(*Value, "post_processor"), *Result);
  if (const Json *Value = Root.find("decoder"))
    Result->Decode = TokenDecoder(Config(*Value, "decoder"));
  if (Added)
    loadAddedTokens(Root, *Result);
  Result->Special.resize(Result->Tokens.size());
  for (const std::vector<int32_t> *Ids : {&Result->Prefix, &Result->Suffix})
    for (int32_t Id : *Ids)
      if (!Result->Tokens.has(Id))
        fail(CRIA_INVALID_DATA, "post_processor: the vocabulary has no token " +
                                    std::to_string(Id));
  loadEnds(Root.find("cria") ? Root : Model, *Result);
  Result->finish();
  return Result;
}

} // namespace

std::unique_ptr<cria_tokenizer>
cria::text::loadTokenizerJson(std::string_view Data) {
  try {
    return loadParts(Data);
  } catch (const TextError &) {
    // A file that is no JSON at all is best reported as that, with the place.
    parseJson(Data);
    throw;
  }
}
