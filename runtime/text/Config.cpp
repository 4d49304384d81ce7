// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Config.h"

using namespace cria::text;

std::string Config::keyPath(const char *Key) const {
  return Path.empty() ? Key : Path + "." + Key;
}

void Config::malformed(const char *Key, const char *Expected) const {
  const Json *Found = find(Key);
  std::string Got = "nothing";
  if (Found) {
    Got = Found->dump(-1, ' ', true, Json::error_handler_t::replace);
    if (Got.size() > 80)
      Got = Got.substr(0, 77) + "...";
  }
  fail(CRIA_INVALID_DATA,
       keyPath(Key) + " is " + Got + ", expected " + Expected);
}

void Config::unsupported(const std::string &What, const char *Supported) const {
  fail(CRIA_UNSUPPORTED,
       Path + ": " + What + " is not supported; supported: " + Supported);
}

const Json *Config::find(const char *Key) const {
  if (!Value.is_object())
    fail(CRIA_INVALID_DATA,
         (Path.empty() ? "the file" : Path) + " is not a JSON object");
  auto Member = Value.find(Key);
  return Member == Value.end() || Member->is_null() ? nullptr : &*Member;
}

std::string Config::string(const char *Key) const {
  const Json *Member = find(Key);
  if (!Member || !Member->is_string())
    malformed(Key, "a string");
  return Member->get<std::string>();
}

std::string Config::string(const char *Key, std::string_view Default) const {
  return find(Key) ? string(Key) : std::string(Default);
}

bool Config::boolean(const char *Key, bool Default) const {
  const Json *Member = find(Key);
  if (!Member)
    return Default;
  if (!Member->is_boolean())
    malformed(Key, "true or false");
  return Member->get<bool>();
}

int64_t Config::integer(const char *Key, int64_t Low, int64_t High) const {
  const Json *Member = find(Key);
  bool Fits = Member && Member->is_number_integer() &&
              !(Member->is_number_unsigned() &&
                Member->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  if (Fits) {
    int64_t Number = Member->get<int64_t>();
    if (Number >= Low && Number <= High)
      return Number;
  }
  std::string Expected =
      "an integer from " + std::to_string(Low) + " to " + std::to_string(High);
  malformed(Key, Expected.c_str());
}

std::vector<Config> Config::list(const char *Key) const {
  const Json *Member = find(Key);
  if (!Member || !Member->is_array())
    malformed(Key, "a list");
  std::vector<Config> Items;
  Items.reserve(Member->size());
  for (size_t I = 0; I < Member->size(); ++I)
    Items.emplace_back((*Member)[I],
                       keyPath(Key) + "[" + std::to_string(I) + "]");
  return Items;
}

Pattern::Pattern(const Config &Parent, const char *Key) {
  const Json *Member = Parent.find(Key);
  if (Member && Member->is_string()) {
    Literal = Member->get<std::string>();
    return;
  }
  if (!Member || !Member->is_object() || Member->size() != 1)
    Parent.malformed(Key, "{\"String\": ...} or {\"Regex\": ...}");
  auto Only = Member->begin();
  if (!Only->is_string() || (Only.key() != "String" && Only.key() != "Regex"))
    Parent.malformed(Key, "{\"String\": ...} or {\"Regex\": ...}");
  if (Only.key() == "String")
    Literal = Only->get<std::string>();
  else
    *this = regex(Only->get_ref<const std::string &>());
}

Pattern Pattern::regex(std::string_view Expression) {
  Pattern Result;
  Result.Expression = std::make_shared<const Regex>(Expression);
  return Result;
}

void Pattern::matches(std::string_view Text, std::vector<Range> &Out,
                      std::unique_ptr<Matcher> &Reuse) const {
  Out.clear();
  if (Expression) {
    if (Reuse)
      Reuse->reset(Text);
    else
      Reuse = std::make_unique<Matcher>(*Expression, Text);
    Range Found;
    while (Reuse->next(Found.Begin, Found.End))
      Out.push_back(Found);
    return;
  }
  if (Literal.empty())
    return;
  for (size_t At = Text.find(Literal); At != std::string_view::npos;
       At = Text.find(Literal, At + Literal.size()))
    Out.push_back({At, At + Literal.size()});
}

std::string Pattern::replaceAll(std::string_view Text,
                                std::string_view Replacement,
                                size_t MaxBytes) const {
  std::vector<Range> Found;
  std::unique_ptr<Matcher> Walk;
  matches(Text, Found, Walk);
  std::string Out;
  size_t Last = 0;
  for (const Range &Match : Found) {
    Out += Text.substr(Last, Match.Begin - Last);
    Out += Replacement;
    Last = Match.End;
    if (Out.size() > MaxBytes)
      fail(CRIA_OUT_OF_RANGE, "replacing makes more than " +
                                  std::to_string(MaxBytes) + " bytes of " +
                                  std::to_string(Text.size()));
  }
  Out += Text.substr(Last);
  return Out;
}
