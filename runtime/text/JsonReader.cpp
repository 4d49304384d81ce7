// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "JsonReader.h"
#include "TextError.h"
#include "Unicode.h"

using namespace cria::text;

char JsonReader::peek() {
  while (At != End && (*At == ' ' || *At == '\n' || *At == '\t' || *At == '\r'))
    ++At;
  return At == End ? '\0' : *At;
}

bool JsonReader::accept(char Character) {
  if (peek() != Character || At == End)
    return false;
  ++At;
  return true;
}

bool JsonReader::hexDigits(unsigned &Value) {
  if (End - At < 4)
    return false;
  Value = 0;
  for (const char *Stop = At + 4; At != Stop; ++At) {
    unsigned char C = *At;
    unsigned Digit = C >= '0' && C <= '9'   ? C - '0'
                     : C >= 'a' && C <= 'f' ? C - 'a' + 10
                     : C >= 'A' && C <= 'F' ? C - 'A' + 10
                                            : 16;
    if (Digit > 15)
      return false;
    Value = Value << 4 | Digit;
  }
  return true;
}

/// What follows a backslash.
bool JsonReader::unescape(std::string &Out) {
  if (At == End)
    return false;
  static constexpr char Names[] = "\"\\/bfnrt", Values[] = "\"\\/\b\f\n\r\t";
  char Name = *At++;
  if (Name != 'u') {
    size_t Index = std::string_view(Names).find(Name);
    if (Index == std::string_view::npos)
      return false;
    Out += Values[Index];
    return true;
  }
  unsigned Value, Low;
  if (!hexDigits(Value) || (Value >= 0xDC00 && Value < 0xE000))
    return false;
  if (Value >= 0xD800 && Value < 0xDC00) {
    if (End - At < 2 || At[0] != '\\' || At[1] != 'u')
      return false;
    At += 2;
    if (!hexDigits(Low) || Low < 0xDC00 || Low >= 0xE000)
      return false;
    Value = 0x10000 + ((Value - 0xD800) << 10) + (Low - 0xDC00);
  }
  appendUtf8(Out, Value);
  return true;
}

bool JsonReader::string(std::string_view &Text, std::string &Unescaped) {
  if (!accept('"'))
    return false;
  const char *Start = At;
  unsigned char All = 0;
  bool Escaped = false;
  for (;;) {
    if (At == End)
      return false;
    unsigned char C = *At;
    if (C == '"')
      break;
    if (C < 0x20)
      return false;
    All |= C;
    if (C != '\\') {
      ++At;
      continue;
    }
    if (!Escaped)
      Unescaped.clear();
    Unescaped.append(Start, At++);
    if (!unescape(Unescaped))
      return false;
    Start = At;
    Escaped = true;
  }
  Text = std::string_view(Start, At - Start);
  if (Escaped)
    Text = Unescaped.append(Start, At);
  ++At;
  return All < 0x80 || validUtf8Prefix(Text) == Text.size();
}

/// From behind the opening quote to behind the closing one, or to the end.
void JsonReader::skipString() {
  while (At != End) {
    char C = *At++;
    if (C == '"')
      return;
    if (C == '\\' && At != End)
      ++At;
  }
}

std::string_view JsonReader::skip() {
  char First = peek();
  const char *Start = At;
  if (First == '"') {
    ++At;
    skipString();
  } else if (First == '{' || First == '[') {
    size_t Depth = 0;
    do {
      char C = *At++;
      if (C == '"')
        skipString();
      else if (C == '{' || C == '[')
        ++Depth;
      else if (C == '}' || C == ']')
        --Depth;
    } while (Depth && At != End);
  } else {
    while (At != End &&
           std::string_view(",]} \n\t\r").find(*At) == std::string_view::npos)
      ++At;
  }
  return {Start, static_cast<size_t>(At - Start)};
}

namespace {

/// Calls `Visit` with each key of the object that comes next, until the text
/// is no JSON any more. `Visit` must read or skip the value.
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

} // namespace

TokenizerText cria::text::splitTokenizerJson(std::string_view File) {
  TokenizerText Result;
  JsonReader Reader(File);
  size_t Copied = 0;
  bool SawModel = false, SawVocab = false, SawMerges = false;
  auto once = [](bool &Seen, const char *Key) {
    if (Seen)
      fail(CRIA_INVALID_DATA, std::string(Key) + " appears twice");
    Seen = true;
  };
  auto cut = [&](std::string_view &Part, const char *Empty) {
    Part = Reader.skip();
    size_t Start = Part.data() - File.data();
    Result.Rest.append(File, Copied, Start - Copied).append(Empty);
    Copied = Start + Part.size();
  };
  forEachMember(Reader, [&](std::string_view Key) {
    if (Key != "model") {
      Reader.skip();
      return;
    }
    once(SawModel, "model");
    if (Reader.peek() != '{') {
      Reader.skip();
      return;
    }
    forEachMember(Reader, [&](std::string_view Member) {
      char First = Reader.peek();
      if (Member == "vocab")
        once(SawVocab, "model.vocab");
      if (Member == "merges")
        once(SawMerges, "model.merges");
      if (Member == "vocab" && First == '{')
        cut(Result.Vocab, "{}");
      else if (Member == "merges" && First == '[')
        cut(Result.Merges, "[]");
      else
        Reader.skip();
    });
  });
  Result.Rest.append(File, Copied);
  return Result;
}
