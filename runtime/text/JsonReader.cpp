// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "JsonReader.h"
#include "Unicode.h"

using namespace cria::text;

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
  for (; At != End && *At != '"'; ++At) {
    unsigned char C = *At;
    All |= C;
    if (C >= 0x20 && C != '\\')
      continue;
    if (C < 0x20)
      return false;
    if (!Escaped)
      Unescaped.clear();
    Unescaped.append(Start, At++);
    if (!unescape(Unescaped))
      return false;
    Escaped = true;
    Start = At--;
  }
  if (At == End)
    return false;
  Text = std::string_view(Start, At - Start);
  if (Escaped)
    Text = Unescaped.append(Start, At);
  ++At;
  return All < 0x80 || validUtf8Prefix(Text) == Text.size();
}

bool JsonReader::whole(int32_t &Number) {
  peek();
  const char *Next = At;
  int64_t Value = 0;
  while (Next != End && *Next >= '0' && *Next <= '9' && Value <= INT32_MAX)
    Value = 10 * Value + (*Next++ - '0');
  if (Next == At || Value > INT32_MAX || (*At == '0' && Next - At > 1))
    return false;
  // A fraction or an exponent goes on.
  if (Next != End && (*Next == '.' || *Next == 'e' || *Next == 'E'))
    return false;
  At = Next;
  Number = static_cast<int32_t>(Value);
  return true;
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
