// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Regex.h"
#include "TextError.h"

#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

using namespace cria::text;

namespace {

// A pattern that backtracks more than this on one match is hostile or broken:
// the patterns of real tokenizers need a small multiple of the match's length.
constexpr uint32_t MatchLimit = 5'000'000;
constexpr uint32_t HeapLimitKiB = 64 * 1024;
constexpr size_t MaxPatternBytes = 64 * 1024;

// White_Space, which PCRE2's \s exceeds by U+180E.
constexpr const char *Space =
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"
    "\\x{202f}\\x{205f}\\x{3000}";
constexpr const char *NotSpace =
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}"
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}"
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";
// Oniguruma's, which has no numbers but decimal digits and letters.
constexpr const char *Word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr const char *HexDigit = "0-9A-Fa-f";

class Translator {
public:
  explicit Translator(std::string_view Pattern) : In(Pattern) {}

  std::string run() {
    while (Position < In.size())
      atomOrOperator();
    return std::move(Out);
  }

private:
  [[noreturn]] void unsupported(const char *What) {
    fail(CRIA_UNSUPPORTED, "regular expression '" + std::string(In) +
                               "': " + What + " at byte " +
                               std::to_string(Position) + " is not supported");
  }

  char peek(size_t Ahead = 0) const {
    return Position + Ahead < In.size() ? In[Position + Ahead] : '\0';
  }

  void atomOrOperator() {
    char C = In[Position];
    switch (C) {
    case '\\':
      Atom = Out.size();
      escape(/*InClass=*/false);
      return;
    case '[':
      Atom = Out.size();
      characterClass();
      return;
    case '(':
      group();
      return;
    case ')':
      if (!Groups.empty()) {
        Atom = Groups.back();
        Groups.pop_back();
      }
      Out += In[Position++];
      return;
    case '{':
      interval();
      return;
    case '*':
    case '+':
    case '?':
    case '|':
    case '^':
    case '$':
      Out += In[Position++];
      return;
    default:
      Atom = Out.size();
      Out += In[Position++];
      while ((static_cast<unsigned char>(peek()) & 0xC0) == 0x80)
        Out += In[Position++];
    }
  }

  void group() {
    if (peek(1) == '*')
      unsupported("the verb");
    if (peek(1) == '?') {
      // In Ruby's syntax m is what PCRE2 calls s, and s does not exist.
      for (size_t I = 2; Position + I < In.size(); ++I) {
        char C = peek(I);
        if (C == 'm' || C == 's')
          unsupported("the option m or s");
        if (C != 'i' && C != 'x' && C != '-')
          break;
      }
    }
    Groups.push_back(Out.size());
    Out += In[Position++];
    if (peek() == '?') { // not a quantifier; keep it with its parenthesis
      Out += In[Position++];
      if (peek() == '<' || peek() == '\'') { // a name is no atom
        char Close = peek() == '<' ? '>' : '\'';
        if (peek(1) != '=' && peek(1) != '!')
          while (Position < In.size() && peek() != Close)
            Out += In[Position++];
      }
    }
  }

  /// {n}, {n,}, {n,m}, {,m}: anything else is a literal brace to both.
  void interval() {
    size_t End = Position + 1;
    std::string Numbers[2];
    int Which = 0;
    for (; End < In.size() && In[End] != '}'; ++End) {
      if (In[End] == ',' && Which == 0)
        Which = 1;
      else if (In[End] >= '0' && In[End] <= '9')
        Numbers[Which] += In[End];
      else
        break;
    }
    bool IsInterval = End < In.size() && In[End] == '}' &&
                      (!Numbers[0].empty() || !Numbers[1].empty());
    if (!IsInterval) {
      Atom = Out.size();
      Out += "\\{";
      ++Position;
      return;
    }
    std::string Text = "{" + (Numbers[0].empty() ? "0" : Numbers[0]);
    if (Which)
      Text += "," + Numbers[1];
    Text += "}";
    Position = End + 1;
    Out += Text;
    // To Oniguruma {n,m}+ is a repeated interval, to PCRE2 a possessive one.
    if (peek() == '+') {
      Out.insert(Atom, "(?:");
      Out += ")";
    }
  }

  void escape(bool InClass) {
    char C = peek(1);
    auto Set = [&](const char *Members, bool Negated) {
      Position += 2;
      if (InClass)
        Out += Members;
      else
        Out += std::string(Negated ? "[^" : "[") + Members + "]";
    };
    switch (C) {
    case '\0':
      unsupported("a trailing backslash");
    case 's':
      return Set(Space, false);
    case 'S':
      return InClass ? Set(NotSpace, false) : Set(Space, true);
    case 'w':
      return Set(Word, false);
    case 'W':
      if (InClass)
        unsupported("\\W inside a class");
      return Set(Word, true);
    case 'h':
      return Set(HexDigit, false);
    case 'H':
      if (InClass)
        unsupported("\\H inside a class");
      return Set(HexDigit, true);
    case 'v':
      Position += 2;
      Out += "\\x0b";
      return;
    case 'u':
      if (Position + 6 > In.size())
        unsupported("a short \\u escape");
      Out += "\\x{" + std::string(In.substr(Position + 2, 4)) + "}";
      Position += 6;
      return;
    case 'K':
    case 'g':
    case 'Q':
    case 'E':
    case 'N':
    case 'C':
      unsupported("the escape");
    case 'p':
    case 'P':
    case 'x': {
      // Copy the braces too: they are no interval.
      Out += In.substr(Position, 2);
      Position += 2;
      if (peek() != '{')
        return;
      size_t End = In.find('}', Position);
      if (End == std::string_view::npos)
        unsupported("an unclosed brace");
      Out += In.substr(Position, End + 1 - Position);
      Position = End + 1;
      return;
    }
    default:
      Out += In[Position++];
      Out += In[Position++];
      while ((static_cast<unsigned char>(peek()) & 0xC0) == 0x80)
        Out += In[Position++];
    }
  }

  void characterClass() {
    Out += In[Position++];
    if (peek() == '^')
      Out += In[Position++];
    classMembers();
    Out += ']';
  }

  /// What is between a class's brackets, and the closing one, which is not
  /// written. The members of a class inside are members of the class around
  /// it: only a negated one has no form in PCRE2.
  void classMembers(int Depth = 0) {
    for (bool First = true, Edge = true;; First = false) {
      if (Position >= In.size())
        unsupported("an unclosed class");
      char C = In[Position];
      if (C == ']' && !First) {
        ++Position;
        return;
      }
      // Next to a class's bracket it makes no range, and must not once the
      // bracket is gone.
      bool Literal = C == '-' && (Edge || peek(1) == ']');
      Edge = false;
      if (C == '\\') {
        escape(/*InClass=*/true);
      } else if (C == '[' && peek(1) == ':') {
        size_t End = In.find(":]", Position + 2);
        if (End == std::string_view::npos)
          unsupported("an unclosed POSIX class");
        Out += In.substr(Position, End + 2 - Position);
        Position = End + 2;
      } else if (C == '[') {
        if (peek(1) == '^')
          unsupported("a negated class inside a class");
        if (Depth == MaxClassDepth)
          unsupported("a deeper class inside classes");
        ++Position;
        classMembers(Depth + 1);
        Edge = true;
      } else if (C == '&' && peek(1) == '&') {
        unsupported("the set operation &&");
      } else {
        if (Literal || (C == ']' && Depth))
          Out += '\\';
        Out += In[Position++];
      }
    }
  }

  static constexpr int MaxClassDepth = 16;
  std::string_view In;
  std::string Out;
  size_t Position = 0;
  size_t Atom = 0; // where the last atom starts in Out
  std::vector<size_t> Groups;
};

} // namespace

std::string cria::text::translatePattern(std::string_view Pattern) {
  return Translator(Pattern).run();
}

struct Regex::Impl {
  std::string Pattern;
  pcre2_code *Code = nullptr;
  pcre2_match_context *Context = nullptr;
  ~Impl() {
    pcre2_code_free(Code);
    pcre2_match_context_free(Context);
  }
};

Regex::Regex(std::string_view Pattern) : Data(std::make_unique<Impl>()) {
  Data->Pattern = Pattern;
  if (Pattern.size() > MaxPatternBytes)
    fail(CRIA_UNSUPPORTED, "regular expression of " +
                               std::to_string(Pattern.size()) +
                               " bytes: at most " +
                               std::to_string(MaxPatternBytes) + " are read");
  std::string Translated = translatePattern(Pattern);

  pcre2_compile_context *Options = pcre2_compile_context_create(nullptr);
  if (!Options)
    throw std::bad_alloc();
  pcre2_set_newline(Options, PCRE2_NEWLINE_LF);
  int Code;
  PCRE2_SIZE Offset;
  // ^ and $ match at every line in Ruby's syntax.
  Data->Code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(Translated.data()), Translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &Code,
      &Offset, Options);
  pcre2_compile_context_free(Options);
  if (!Data->Code) {
    PCRE2_UCHAR Message[160] = {};
    pcre2_get_error_message(Code, Message, sizeof(Message));
    fail(CRIA_UNSUPPORTED, "regular expression '" + Data->Pattern +
                               "': " + reinterpret_cast<const char *>(Message));
  }
  // Without the JIT (refused by some kernels) matching is only slower.
  pcre2_jit_compile(Data->Code, PCRE2_JIT_COMPLETE);
  Data->Context = pcre2_match_context_create(nullptr);
  if (!Data->Context)
    throw std::bad_alloc();
  pcre2_set_match_limit(Data->Context, MatchLimit);
  pcre2_set_heap_limit(Data->Context, HeapLimitKiB);
}

Regex::~Regex() = default;
Regex::Regex(Regex &&) noexcept = default;
Regex &Regex::operator=(Regex &&) noexcept = default;

const std::string &Regex::pattern() const { return Data->Pattern; }

Matcher::Matcher(const Regex &Expression, std::string_view Text)
    : Expression(Expression), Text(Text),
      Data(pcre2_match_data_create(1, nullptr)) {
  if (!Data)
    throw std::bad_alloc();
}

Matcher::~Matcher() {
  pcre2_match_data_free(static_cast<pcre2_match_data *>(Data));
}

void Matcher::reset(std::string_view NewText) {
  Text = NewText;
  Position = 0;
  LastEnd = static_cast<size_t>(-1);
}

bool Matcher::next(size_t &Begin, size_t &End) {
  auto *Match = static_cast<pcre2_match_data *>(Data);
  auto *Subject = reinterpret_cast<PCRE2_SPTR>(Text.data());
  while (Position <= Text.size()) {
    int Result =
        pcre2_match(Expression.Data->Code, Subject, Text.size(), Position,
                    PCRE2_NO_UTF_CHECK, Match, Expression.Data->Context);
    if (Result == PCRE2_ERROR_JIT_STACKLIMIT)
      Result = pcre2_match(Expression.Data->Code, Subject, Text.size(),
                           Position, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, Match,
                           Expression.Data->Context);
    if (Result == PCRE2_ERROR_NOMATCH)
      return false;
    if (Result == PCRE2_ERROR_NOMEMORY)
      throw std::bad_alloc();
    const PCRE2_SIZE *Range = pcre2_get_ovector_pointer(Match);
    if (Result < 0 || Range[0] < Position || Range[1] < Range[0] ||
        Range[1] > Text.size())
      fail(CRIA_OUT_OF_RANGE, "regular expression '" +
                                  Expression.Data->Pattern +
                                  "' gave up on this text (PCRE2 error " +
                                  std::to_string(Result) + ")");
    Begin = Range[0];
    End = Range[1];
    if (End > Begin) {
      Position = LastEnd = End;
      return true;
    }
    // Step over the next character, whether or not this match counts.
    bool Counts = End != LastEnd;
    Position = End + 1;
    while (Position < Text.size() &&
           (static_cast<unsigned char>(Text[Position]) & 0xC0) == 0x80)
      ++Position;
    if (Counts) {
      LastEnd = End;
      return true;
    }
  }
  return false;
}
