// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tokenizer.h"
#include "Unicode.h"

#include <algorithm>
#include <cstring>
#include <fstream>

using namespace cria::text;

void cria_tokenizer::addBytes(std::string_view TokenBytes) {
  if (ByteOffsets.empty())
    ByteOffsets.push_back(0);
  Bytes += TokenBytes;
  ByteOffsets.push_back(Bytes.size());
  MaxTokenBytes = std::max(MaxTokenBytes, TokenBytes.size());
}

std::string cria_tokenizer::decodeOne(int32_t Id, bool First) const {
  auto Other = Respelled.find(Id);
  return Decode.decode(Other == Respelled.end()
                           ? Tokens.spelling(Id)
                           : std::string_view(Other->second),
                       First);
}

void cria_tokenizer::finish() {
  Bytes.reserve(Tokens.spellingBytes());
  ByteOffsets.reserve(Tokens.size() + size_t(1));
  for (int32_t Id = 0; Id < Tokens.size(); ++Id) {
    addBytes(Tokens.has(Id) ? decodeOne(Id, false) : "");
    if (Decode.dependsOnFirst() && Tokens.has(Id))
      MaxTokenBytes = std::max(MaxTokenBytes, decodeOne(Id, true).size());
  }
}

void cria_tokenizer::encodeValid(std::string_view Text, bool AtStart,
                                 bool Continues, bool PlainText,
                                 std::vector<int32_t> &Out,
                                 Bpe::Scratch &Memory) const {
  std::string Normal = Normalize.apply(std::string(Text), Continues);
  for (const Segment &Part : NormalizedAdded.split(Normal, PlainText)) {
    if (Part.Id >= 0) {
      Out.push_back(Part.Id);
      continue;
    }
    Words Input;
    Input.Text = Normal.substr(Part.Begin, Part.End - Part.Begin);
    Input.Ends.push_back(Input.Text.size());
    Input.AtStart = AtStart && Part.Begin == 0;
    Input.Continues = Continues && Part.Begin == 0;
    PreTokenize.apply(Input);
    size_t Begin = 0;
    for (size_t End : Input.Ends) {
      Model.encode(std::string_view(Input.Text).substr(Begin, End - Begin), Out,
                   Memory);
      Begin = End;
    }
  }
}

void cria_tokenizer::encodeText(std::string_view Text, bool AtStart,
                                bool PlainText, std::vector<int32_t> &Out,
                                Bpe::Scratch &Memory) const {
  if (Foreign)
    return Foreign->encode(Text, Out);
  bool Continues = false;
  while (!Text.empty()) {
    size_t Valid = validUtf8Prefix(Text);
    if (Valid)
      encodeValid(Text.substr(0, Valid), AtStart, Continues, PlainText, Out,
                  Memory);
    Text.remove_prefix(Valid);
    size_t Invalid = 0;
    uint32_t CodePoint;
    while (Invalid < Text.size() &&
           !decodeUtf8(Text.substr(Invalid), CodePoint))
      ++Invalid;
    if (Invalid) {
      std::string_view Run = Text.substr(0, Invalid);
      if (PreTokenize.isByteLevel())
        Model.encode(ByteAlphabet::get().encode(Run), Out, Memory);
      else
        Model.encodeInvalid(Run, Out);
    }
    Text.remove_prefix(Invalid);
    AtStart = false;
    Continues = true;
  }
}

void cria_tokenizer::encode(std::string_view Text, unsigned Flags,
                            std::vector<int32_t> &Out) const {
  // Symbols are counted in 31 bits, and a byte can become two of them.
  if (Text.size() > (size_t(1) << 29))
    fail(CRIA_OUT_OF_RANGE, "text of " + std::to_string(Text.size()) +
                                " bytes: at most 536870912 are encoded");
  bool PlainText = Flags & CRIA_ENCODE_PLAIN_TEXT;
  if (Flags & CRIA_ENCODE_ADD_SPECIAL)
    Out.insert(Out.end(), Prefix.begin(), Prefix.end());
  Bpe::Scratch Memory;
  for (const Segment &Part : RawAdded.split(Text, PlainText)) {
    if (Part.Id >= 0)
      Out.push_back(Part.Id);
    else
      encodeText(Text.substr(Part.Begin, Part.End - Part.Begin),
                 Part.Begin == 0, PlainText, Out, Memory);
  }
  if (Flags & CRIA_ENCODE_ADD_SPECIAL)
    Out.insert(Out.end(), Suffix.begin(), Suffix.end());
}

namespace {

constexpr std::streamoff MaxFileBytes = std::streamoff(1) << 29;

std::string readFile(const char *Path) {
  std::ifstream File(Path, std::ios::binary | std::ios::ate);
  if (!File)
    fail(CRIA_NOT_FOUND, "cannot open");
  std::streamoff Size = File.tellg();
  if (Size < 0)
    fail(CRIA_IO, "cannot read: not a regular file");
  if (Size > MaxFileBytes)
    fail(CRIA_UNSUPPORTED, "has " + std::to_string(Size) + " bytes; at most " +
                               std::to_string(MaxFileBytes) + " are read");
  std::string Data(static_cast<size_t>(Size), '\0');
  File.seekg(0);
  if (!File.read(Data.data(), Size))
    fail(CRIA_IO, "cannot read");
  return Data;
}

/// Runs a load function with the file's name in front of its messages.
template <typename Function>
cria_status load(const char *Name, cria_tokenizer **Result, cria_error *Error,
                 Function &&Body) {
  if (Result)
    *Result = nullptr;
  return guarded(Error, [&] {
    if (!Result)
      fail(CRIA_INVALID_ARGUMENT, "tokenizer is null");
    std::string File = Name ? Name : "(memory)";
    try {
      *Result = Body().release();
    } catch (const TextError &Failure) {
      fail(Failure.status, File + ": " + Failure.message);
    } catch (const std::bad_alloc &) {
      throw;
    } catch (const std::exception &Failure) {
      fail(CRIA_INVALID_DATA, File + ": " + Failure.what());
    }
  });
}

std::string_view view(const void *Data, size_t Size) {
  if (!Data && Size)
    fail(CRIA_INVALID_ARGUMENT, "data is null");
  return {static_cast<const char *>(Data), Size};
}

/// Appends the complete text that `Bytes` and what is pending make.
void appendText(cria_decoder &State, std::string_view Bytes,
                std::string &Text) {
  std::string All(reinterpret_cast<const char *>(State.pending),
                  std::min<size_t>(State.pending_size, 4));
  All += Bytes;
  State.pending_size = 0;
  std::string_view Rest = All;
  while (!Rest.empty()) {
    uint32_t CodePoint;
    if (size_t Length = decodeUtf8(Rest, CodePoint)) {
      Text += Rest.substr(0, Length);
      Rest.remove_prefix(Length);
      continue;
    }
    bool CanContinue;
    size_t Length = brokenUtf8Length(Rest, CanContinue);
    if (CanContinue) { // reaches the end, with 3 bytes at most
      std::memcpy(State.pending, Rest.data(), Rest.size());
      State.pending_size = static_cast<uint8_t>(Rest.size());
      return;
    }
    Text += "\uFFFD";
    Rest.remove_prefix(Length);
  }
}

void push(const cria_tokenizer &Tokenizer, cria_decoder &State, int32_t Id,
          std::string &Text) {
  if (!Tokenizer.Tokens.has(Id))
    fail(CRIA_INVALID_ARGUMENT,
         "token " + std::to_string(Id) + " is not in the vocabulary of " +
             std::to_string(Tokenizer.Tokens.size()) + " ids");
  if (Tokenizer.Special[Id] && !(State.flags & CRIA_DECODE_SPECIAL))
    return;
  std::string Own;
  std::string_view Bytes(Tokenizer.Bytes.data() + Tokenizer.ByteOffsets[Id],
                         Tokenizer.ByteOffsets[Id + 1] -
                             Tokenizer.ByteOffsets[Id]);
  if (!State.started && Tokenizer.Decode.dependsOnFirst()) {
    Own = Tokenizer.decodeOne(Id, true);
    Bytes = Own;
  }
  State.started = 1;
  while (State.leading_strips && Id != Tokenizer.UnstrippedId &&
         !Bytes.empty() && Bytes[0] == Tokenizer.Decode.stripByte()) {
    Bytes.remove_prefix(1);
    --State.leading_strips;
  }
  if (!Bytes.empty())
    State.leading_strips = 0;
  appendText(State, Bytes, Text);
}

void finishText(cria_decoder &State, std::string &Text) {
  if (State.pending_size)
    Text += "\uFFFD";
  State.pending_size = 0;
}

template <typename Element, typename Container>
void deliver(const Container &From, Element *To, size_t Capacity, size_t *Count,
             const char *What) {
  *Count = From.size();
  if (From.size() > Capacity)
    fail(CRIA_OUT_OF_RANGE,
         std::string(What) + " needs " + std::to_string(From.size()) +
             " elements, the capacity is " + std::to_string(Capacity));
  if (!From.empty())
    std::memcpy(To, From.data(), From.size() * sizeof(Element));
}

} // namespace

extern "C" {

cria_status cria_tokenizer_load(const char *Path, cria_tokenizer **Tokenizer,
                                cria_error *Error) {
  return load(Path, Tokenizer, Error, [&] {
    if (!Path)
      fail(CRIA_INVALID_ARGUMENT, "path is null");
    return loadTokenizerJson(readFile(Path));
  });
}

cria_status cria_tokenizer_load_json(const void *Data, size_t Size,
                                     const char *Name,
                                     cria_tokenizer **Tokenizer,
                                     cria_error *Error) {
  return load(Name, Tokenizer, Error,
              [&] { return loadTokenizerJson(view(Data, Size)); });
}

cria_status cria_tokenizer_load_sentencepiece(
    const char *Path, const cria_sentencepiece_options *Options,
    cria_tokenizer **Tokenizer, cria_error *Error) {
  return load(Path, Tokenizer, Error, [&] {
    if (!Path)
      fail(CRIA_INVALID_ARGUMENT, "path is null");
    return loadSentencePiece(readFile(Path), Options);
  });
}

cria_status cria_tokenizer_load_sentencepiece_memory(
    const void *Data, size_t Size, const char *Name,
    const cria_sentencepiece_options *Options, cria_tokenizer **Tokenizer,
    cria_error *Error) {
  return load(Name, Tokenizer, Error,
              [&] { return loadSentencePiece(view(Data, Size), Options); });
}

void cria_tokenizer_free(cria_tokenizer *Tokenizer) { delete Tokenizer; }

cria_status cria_tokenizer_encode(const cria_tokenizer *Tokenizer,
                                  const char *Text, size_t Size, unsigned Flags,
                                  int32_t *Ids, size_t Capacity, size_t *Count,
                                  cria_error *Error) {
  return guarded(Error, [&] {
    if (!Tokenizer || !Count || (!Text && Size) || (!Ids && Capacity))
      fail(CRIA_INVALID_ARGUMENT, "tokenizer, text, ids or count is null");
    *Count = 0;
    std::vector<int32_t> All;
    Tokenizer->encode(view(Text, Size), Flags, All);
    deliver(All, Ids, Capacity, Count, "the encoded text");
  });
}

int32_t cria_tokenizer_vocab_size(const cria_tokenizer *Tokenizer) {
  return Tokenizer->Tokens.size();
}

int32_t cria_tokenizer_bos_id(const cria_tokenizer *Tokenizer) {
  return Tokenizer->BosId;
}

const int32_t *cria_tokenizer_eos_ids(const cria_tokenizer *Tokenizer,
                                      size_t *Count) {
  *Count = Tokenizer->EosIds.size();
  return Tokenizer->EosIds.data();
}

int cria_tokenizer_is_eos(const cria_tokenizer *Tokenizer, int32_t Id) {
  return std::find(Tokenizer->EosIds.begin(), Tokenizer->EosIds.end(), Id) !=
         Tokenizer->EosIds.end();
}

int cria_tokenizer_is_special(const cria_tokenizer *Tokenizer, int32_t Id) {
  return Tokenizer->Tokens.has(Id) && Tokenizer->Special[Id];
}

const char *cria_tokenizer_token_text(const cria_tokenizer *Tokenizer,
                                      int32_t Id, size_t *Size) {
  *Size = 0;
  if (!Tokenizer->Tokens.has(Id))
    return nullptr;
  std::string_view Spelling = Tokenizer->Tokens.spelling(Id);
  *Size = Spelling.size();
  return Spelling.data();
}

int32_t cria_tokenizer_token_id(const cria_tokenizer *Tokenizer,
                                const char *Text, size_t Size) {
  return Tokenizer->Tokens.find(std::string_view(Text, Size));
}

const uint8_t *cria_tokenizer_token_bytes(const cria_tokenizer *Tokenizer,
                                          int32_t Id, size_t *Size) {
  *Size = 0;
  if (!Tokenizer->Tokens.has(Id))
    return nullptr;
  size_t Begin = Tokenizer->ByteOffsets[Id];
  *Size = Tokenizer->ByteOffsets[Id + 1] - Begin;
  return reinterpret_cast<const uint8_t *>(Tokenizer->Bytes.data()) + Begin;
}

void cria_decoder_init(const cria_tokenizer *Tokenizer, unsigned Flags,
                       cria_decoder *Decoder) {
  std::memset(Decoder, 0, sizeof(*Decoder));
  Decoder->flags = Flags;
  Decoder->leading_strips = Tokenizer->Decode.leadingStrips();
}

size_t cria_decoder_max_bytes(const cria_tokenizer *Tokenizer) {
  // Each byte may be broken, and U+FFFD has three.
  return 3 * (Tokenizer->MaxTokenBytes + sizeof(cria_decoder::pending));
}

cria_status cria_decoder_push(const cria_tokenizer *Tokenizer,
                              cria_decoder *Decoder, int32_t Id, char *Text,
                              size_t Capacity, size_t *Size,
                              cria_error *Error) {
  return guarded(Error, [&] {
    if (!Tokenizer || !Decoder || !Size || (!Text && Capacity))
      fail(CRIA_INVALID_ARGUMENT, "tokenizer, decoder, text or size is null");
    *Size = 0;
    cria_decoder Next = *Decoder;
    std::string New;
    push(*Tokenizer, Next, Id, New);
    deliver(New, Text, Capacity, Size, "the token's text");
    *Decoder = Next;
  });
}

cria_status cria_decoder_finish(cria_decoder *Decoder, char *Text,
                                size_t Capacity, size_t *Size,
                                cria_error *Error) {
  return guarded(Error, [&] {
    if (!Decoder || !Size || (!Text && Capacity))
      fail(CRIA_INVALID_ARGUMENT, "decoder, text or size is null");
    *Size = 0;
    cria_decoder Next = *Decoder;
    std::string New;
    finishText(Next, New);
    deliver(New, Text, Capacity, Size, "the last text");
    *Decoder = Next;
  });
}

cria_status cria_tokenizer_decode(const cria_tokenizer *Tokenizer,
                                  const int32_t *Ids, size_t Count,
                                  unsigned Flags, char *Text, size_t Capacity,
                                  size_t *Size, cria_error *Error) {
  return guarded(Error, [&] {
    if (!Tokenizer || !Size || (!Ids && Count) || (!Text && Capacity))
      fail(CRIA_INVALID_ARGUMENT, "tokenizer, ids, text or size is null");
    *Size = 0;
    cria_decoder State;
    cria_decoder_init(Tokenizer, Flags, &State);
    std::string All;
    for (size_t I = 0; I < Count; ++I)
      push(*Tokenizer, State, Ids[I], All);
    finishText(State, All);
    deliver(All, Text, Capacity, Size, "the decoded text");
  });
}

} // extern "C"
