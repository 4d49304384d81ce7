// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "PreTokenizer.h"
#include "Unicode.h"

#include <algorithm>

using namespace cria::text;

const ByteAlphabet &ByteAlphabet::get() {
  static const ByteAlphabet Alphabet = [] {
    ByteAlphabet A;
    A.Bytes.fill(-1);
    // Printable Latin-1 stands for itself; the rest follows U+0100 in order.
    uint32_t Next = 0x100;
    for (int Byte = 0; Byte < 256; ++Byte) {
      bool Printable = (Byte >= 0x21 && Byte <= 0x7E) ||
                       (Byte >= 0xA1 && Byte <= 0xAC) || Byte >= 0xAE;
      uint32_t CodePoint = Printable ? Byte : Next++;
      appendUtf8(A.Characters[Byte], CodePoint);
      A.Bytes[CodePoint] = static_cast<int16_t>(Byte);
    }
    return A;
  }();
  return Alphabet;
}

std::string ByteAlphabet::encode(std::string_view Text) const {
  std::string Out;
  Out.reserve(Text.size() + Text.size() / 2);
  for (unsigned char Byte : Text)
    Out += Characters[Byte];
  return Out;
}

bool ByteAlphabet::decode(std::string_view Text, std::string &Out) const {
  Out.clear();
  for (size_t Position = 0; Position < Text.size();) {
    uint32_t CodePoint;
    size_t Length = decodeUtf8(Text.substr(Position), CodePoint);
    if (!Length || CodePoint >= Bytes.size() || Bytes[CodePoint] < 0)
      return false;
    Out += static_cast<char>(Bytes[CodePoint]);
    Position += Length;
  }
  return true;
}

/// ASCII's, and what Unicode 8 calls punctuation: Hugging Face's table is of
/// that age, so later characters are none, and two that no longer are still
/// are.
static constexpr const char *Punctuation =
    "[!-/:-@\\[-`{-~\\x{166d}\\x{111c9}]|(?!["
    "\\x{61d}\\x{9fd}\\x{a76}\\x{c77}\\x{c84}\\x{1b7d}-\\x{1b7e}"
    "\\x{2e43}-\\x{2e4f}\\x{2e52}-\\x{2e5d}\\x{10ead}\\x{10f55}-\\x{10f59}"
    "\\x{10f86}-\\x{10f89}\\x{1144b}-\\x{1144f}\\x{1145a}-\\x{1145b}"
    "\\x{1145d}\\x{11660}-\\x{1166c}\\x{116b9}\\x{1183b}"
    "\\x{11944}-\\x{11946}\\x{119e2}\\x{11a3f}-\\x{11a46}"
    "\\x{11a9a}-\\x{11a9c}\\x{11a9e}-\\x{11aa2}\\x{11c41}-\\x{11c45}"
    "\\x{11c70}-\\x{11c71}\\x{11ef7}-\\x{11ef8}\\x{11fff}"
    "\\x{12ff1}-\\x{12ff2}\\x{16e97}-\\x{16e9a}\\x{16fe2}"
    "\\x{1e95e}-\\x{1e95f}"
    "])\\p{P}";

PreTokenizer::Behavior PreTokenizer::behavior(const Config &Component,
                                              const char *Key) {
  std::string Name = Component.string(Key, "Isolated");
  if (Name == "Removed")
    return Behavior::Removed;
  if (Name == "Isolated")
    return Behavior::Isolated;
  if (Name == "MergedWithPrevious")
    return Behavior::MergedWithPrevious;
  if (Name == "MergedWithNext")
    return Behavior::MergedWithNext;
  if (Name == "Contiguous")
    return Behavior::Contiguous;
  Component.unsupported("behavior '" + Name + "'",
                        "Removed, Isolated, MergedWithPrevious, "
                        "MergedWithNext, Contiguous");
}

void PreTokenizer::addSplit(Pattern What, Behavior How, bool Invert) {
  Step New;
  New.Kind = Step::Split;
  New.How = How;
  New.Invert = Invert;
  New.What = std::move(What);
  Steps.push_back(std::move(New));
}

void PreTokenizer::add(const Config &Component, int Depth) {
  std::string Type = Component.type();
  if (Steps.size() >= MaxSteps)
    Component.unsupported("one more pre-tokenizer", "64");
  if (Type == "Sequence") {
    if (Depth == MaxNesting)
      Component.unsupported("a deeper Sequence", "16 levels");
    for (const Config &Item : Component.list("pretokenizers"))
      add(Item, Depth + 1);
  } else if (Type == "Split") {
    addSplit(Pattern(Component, "pattern"), behavior(Component, "behavior"),
             Component.boolean("invert", false));
  } else if (Type == "Digits") {
    bool Individual = Component.boolean("individual_digits", false);
    addSplit(Pattern::regex("\\p{N}"),
             Individual ? Behavior::Isolated : Behavior::Contiguous);
  } else if (Type == "Punctuation") {
    addSplit(Pattern::regex(Punctuation), behavior(Component, "behavior"));
  } else if (Type == "ByteLevel") {
    if (ByteLevel)
      Component.unsupported("a second ByteLevel", "one");
    if (Component.boolean("add_prefix_space", true)) {
      Step Space;
      Space.Kind = Step::PrefixSpace;
      Steps.push_back(std::move(Space));
    }
    if (Component.boolean("use_regex", true))
      addSplit(Pattern::regex("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+"
                              "| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"),
               Behavior::Isolated);
    Step Bytes;
    Bytes.Kind = Step::ToBytes;
    Steps.push_back(std::move(Bytes));
    ByteLevel = true;
  } else if (Type == "Metaspace") {
    Step New;
    New.Kind = Step::Metaspace;
    New.Replacement = Component.string("replacement", "\u2581");
    uint32_t CodePoint;
    if (New.Replacement.empty() ||
        decodeUtf8(New.Replacement, CodePoint) != New.Replacement.size())
      Component.malformed("replacement", "one character");
    // Files from before 2023 have add_prefix_space instead.
    std::string Scheme = Component.string(
        "prepend_scheme",
        Component.boolean("add_prefix_space", true) ? "always" : "never");
    if (Scheme == "always")
      New.When = Prefix::Always;
    else if (Scheme == "first")
      New.When = Prefix::First;
    else if (Scheme != "never")
      Component.unsupported("prepend_scheme '" + Scheme + "'",
                            "always, first, never");
    std::string Replacement = New.Replacement;
    Steps.push_back(std::move(New));
    if (Component.boolean("split", true))
      addSplit(Pattern(Replacement), Behavior::MergedWithNext);
  } else {
    Component.unsupported(
        "pre-tokenizer '" + Type + "'",
        "Split, Digits, Punctuation, ByteLevel, Metaspace, Sequence");
  }
}

namespace {

struct Cut {
  size_t Begin, End;
  bool Match;
};

/// Joins cuts by the rules of Hugging Face's SplitDelimiterBehavior.
void mergeWithPrevious(std::vector<Cut> &Cuts) {
  size_t Count = 0;
  bool AfterMatch = false;
  for (const Cut &Current : Cuts) {
    if (Current.Match && !AfterMatch && Count)
      Cuts[Count - 1].End = Current.End;
    else
      Cuts[Count++] = Current;
    AfterMatch = Current.Match;
  }
  Cuts.resize(Count);
}

void mergeWithNext(std::vector<Cut> &Cuts) {
  std::reverse(Cuts.begin(), Cuts.end());
  size_t Count = 0;
  bool AfterMatch = false;
  for (const Cut &Current : Cuts) {
    if (Current.Match && !AfterMatch && Count)
      Cuts[Count - 1].Begin = Current.Begin;
    else
      Cuts[Count++] = Current;
    AfterMatch = Current.Match;
  }
  Cuts.resize(Count);
  std::reverse(Cuts.begin(), Cuts.end());
}

void mergeContiguous(std::vector<Cut> &Cuts) {
  size_t Count = 0;
  bool AfterMatch = false;
  for (const Cut &Current : Cuts) {
    if (Current.Match == AfterMatch && Count)
      Cuts[Count - 1].End = Current.End;
    else
      Cuts[Count++] = Current;
    AfterMatch = Current.Match;
  }
  Cuts.resize(Count);
}

} // namespace

void PreTokenizer::split(const Step &Current, Words &Input) {
  std::vector<size_t> Ends;
  Ends.reserve(Input.Ends.size());
  std::vector<Pattern::Range> Found;
  std::unique_ptr<Matcher> Walk;
  std::vector<Cut> Cuts;
  std::string Kept; // used by Removed alone
  size_t Begin = 0;
  for (size_t End : Input.Ends) {
    std::string_view Word(Input.Text.data() + Begin, End - Begin);
    Current.What.matches(Word, Found, Walk);
    Cuts.clear();
    size_t Last = 0;
    for (const Pattern::Range &Match : Found) {
      if (Last != Match.Begin)
        Cuts.push_back({Last, Match.Begin, Current.Invert});
      Cuts.push_back({Match.Begin, Match.End, !Current.Invert});
      Last = Match.End;
    }
    if (Last != Word.size())
      Cuts.push_back({Last, Word.size(), Current.Invert});

    switch (Current.How) {
    case Behavior::Removed:
    case Behavior::Isolated:
      break;
    case Behavior::MergedWithPrevious:
      mergeWithPrevious(Cuts);
      break;
    case Behavior::MergedWithNext:
      mergeWithNext(Cuts);
      break;
    case Behavior::Contiguous:
      mergeContiguous(Cuts);
      break;
    }
    for (const Cut &Part : Cuts) {
      if (Part.Begin == Part.End)
        continue;
      if (Current.How != Behavior::Removed) {
        Ends.push_back(Begin + Part.End);
      } else if (!Part.Match) {
        Kept += Word.substr(Part.Begin, Part.End - Part.Begin);
        Ends.push_back(Kept.size());
      }
    }
    Begin = End;
  }
  Input.Ends = std::move(Ends);
  if (Current.How == Behavior::Removed)
    Input.Text = std::move(Kept);
}

void PreTokenizer::apply(Words &Input) const {
  for (const Step &Current : Steps) {
    if (Current.Kind == Step::Split) {
      split(Current, Input);
      continue;
    }
    std::string Text;
    size_t Begin = 0;
    for (size_t &End : Input.Ends) {
      std::string_view Word(Input.Text.data() + Begin, End - Begin);
      bool First = Begin == 0;
      Begin = End;
      switch (Current.Kind) {
      case Step::Split:
        break;
      case Step::ToBytes:
        Text += ByteAlphabet::get().encode(Word);
        break;
      case Step::PrefixSpace:
        if (!Word.empty() && Word[0] != ' ' && !(First && Input.Continues))
          Text += ' ';
        Text += Word;
        break;
      case Step::Metaspace: {
        std::string Replaced = Pattern(" ").replaceAll(
            Word, Current.Replacement, maxGrowth(Word.size()));
        bool Wanted = Current.When == Prefix::Always ||
                      (Current.When == Prefix::First && First && Input.AtStart);
        if (Wanted && !(First && Input.Continues) && !Replaced.empty() &&
            Replaced.compare(0, Current.Replacement.size(),
                             Current.Replacement) != 0)
          Text += Current.Replacement;
        Text += Replaced;
        break;
      }
      }
      End = Text.size();
    }
    Input.Text = std::move(Text);
  }
}
