// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

using namespace cria::text;

namespace {

struct Decomposition {
  uint32_t Composed, First, Second;
};
struct ClassRange {
  uint32_t Begin, End;
  uint8_t Class;
};

constexpr Decomposition Decompositions[] = {
#include "NfcDecompositions.inc"
};
constexpr ClassRange Classes[] = {
#include "NfcClasses.inc"
};

constexpr uint32_t NoComposition = uint32_t(1) << 31;

// Hangul syllables, Unicode 15, section 3.12.
constexpr uint32_t SBase = 0xAC00, LBase = 0x1100, VBase = 0x1161,
                   TBase = 0x11A7, LCount = 19, VCount = 21, TCount = 28,
                   SCount = LCount * VCount * TCount;

uint8_t combiningClass(uint32_t CodePoint) {
  if (CodePoint < Classes[0].Begin)
    return 0;
  const ClassRange *Range = std::lower_bound(
      std::begin(Classes), std::end(Classes), CodePoint,
      [](const ClassRange &R, uint32_t Value) { return R.End < Value; });
  return Range != std::end(Classes) && Range->Begin <= CodePoint ? Range->Class
                                                                 : 0;
}

void decompose(uint32_t CodePoint, std::vector<uint32_t> &Out) {
  if (CodePoint - SBase < SCount) {
    uint32_t Index = CodePoint - SBase;
    Out.push_back(LBase + Index / (VCount * TCount));
    Out.push_back(VBase + Index % (VCount * TCount) / TCount);
    if (Index % TCount)
      Out.push_back(TBase + Index % TCount);
    return;
  }
  const Decomposition *Found =
      std::lower_bound(std::begin(Decompositions), std::end(Decompositions),
                       CodePoint, [](const Decomposition &D, uint32_t Value) {
                         return D.Composed < Value;
                       });
  if (Found == std::end(Decompositions) || Found->Composed != CodePoint) {
    Out.push_back(CodePoint);
    return;
  }
  // The table is Unicode's: at most three levels deep.
  decompose(Found->First & ~NoComposition, Out);
  if (Found->Second)
    decompose(Found->Second, Out);
}

/// The primary composite of a pair, or 0.
uint32_t compose(uint32_t First, uint32_t Second) {
  if (First - LBase < LCount && Second - VBase < VCount)
    return SBase + ((First - LBase) * VCount + (Second - VBase)) * TCount;
  if (First - SBase < SCount && (First - SBase) % TCount == 0 &&
      Second - TBase - 1 < TCount - 1)
    return First + (Second - TBase);
  static const std::vector<Decomposition> Pairs = [] {
    std::vector<Decomposition> Sorted;
    for (const Decomposition &D : Decompositions)
      if (!(D.First & NoComposition))
        Sorted.push_back(D);
    std::sort(Sorted.begin(), Sorted.end(),
              [](const Decomposition &A, const Decomposition &B) {
                return A.First != B.First ? A.First < B.First
                                          : A.Second < B.Second;
              });
    return Sorted;
  }();
  auto Found = std::lower_bound(
      Pairs.begin(), Pairs.end(), std::pair(First, Second),
      [](const Decomposition &D, const std::pair<uint32_t, uint32_t> &Key) {
        return D.First != Key.first ? D.First < Key.first
                                    : D.Second < Key.second;
      });
  return Found != Pairs.end() && Found->First == First &&
                 Found->Second == Second
             ? Found->Composed
             : 0;
}

bool isContinuation(unsigned char Byte) { return (Byte & 0xC0) == 0x80; }

/// The range of the second byte of a sequence that starts with `Lead`, and
/// the sequence's length; 0 where no sequence starts so.
size_t sequenceLength(unsigned char Lead, unsigned char &Low,
                      unsigned char &High) {
  Low = 0x80;
  High = 0xBF;
  if (Lead < 0x80)
    return 1;
  if (Lead < 0xC2)
    return 0;
  if (Lead < 0xE0)
    return 2;
  if (Lead < 0xF0) {
    if (Lead == 0xE0)
      Low = 0xA0;
    if (Lead == 0xED)
      High = 0x9F;
    return 3;
  }
  if (Lead > 0xF4)
    return 0;
  if (Lead == 0xF0)
    Low = 0x90;
  if (Lead == 0xF4)
    High = 0x8F;
  return 4;
}

} // namespace

size_t cria::text::decodeUtf8(std::string_view Text, uint32_t &CodePoint) {
  if (Text.empty())
    return 0;
  unsigned char Lead = Text[0], Low, High;
  size_t Length = sequenceLength(Lead, Low, High);
  if (Length == 1) {
    CodePoint = Lead;
    return 1;
  }
  if (Length == 0 || Text.size() < Length)
    return 0;
  unsigned char Second = Text[1];
  if (Second < Low || Second > High)
    return 0;
  uint32_t Value = Lead & (0x7F >> Length);
  for (size_t I = 1; I < Length; ++I) {
    if (!isContinuation(Text[I]))
      return 0;
    Value = Value << 6 | (static_cast<unsigned char>(Text[I]) & 0x3F);
  }
  CodePoint = Value;
  return Length;
}

void cria::text::appendUtf8(std::string &Text, uint32_t CodePoint) {
  if (CodePoint < 0x80) {
    Text += static_cast<char>(CodePoint);
    return;
  }
  if (CodePoint < 0x800) {
    Text += static_cast<char>(0xC0 | CodePoint >> 6);
  } else {
    if (CodePoint < 0x10000) {
      Text += static_cast<char>(0xE0 | CodePoint >> 12);
    } else {
      Text += static_cast<char>(0xF0 | CodePoint >> 18);
      Text += static_cast<char>(0x80 | (CodePoint >> 12 & 0x3F));
    }
    Text += static_cast<char>(0x80 | (CodePoint >> 6 & 0x3F));
  }
  Text += static_cast<char>(0x80 | (CodePoint & 0x3F));
}

size_t cria::text::brokenUtf8Length(std::string_view Text, bool &CanContinue) {
  unsigned char Low, High;
  CanContinue = false;
  size_t Length = sequenceLength(Text[0], Low, High);
  if (Length < 2)
    return 1;
  size_t I = 1;
  for (; I < Length && I < Text.size(); ++I) {
    unsigned char Byte = Text[I];
    if (Byte < Low || Byte > High)
      return I;
    Low = 0x80;
    High = 0xBF;
  }
  CanContinue = I < Length;
  return I;
}

size_t cria::text::validUtf8Prefix(std::string_view Text) {
  size_t Position = 0;
  uint32_t CodePoint;
  while (Position < Text.size()) {
    size_t Length = decodeUtf8(Text.substr(Position), CodePoint);
    if (!Length)
      break;
    Position += Length;
  }
  return Position;
}

bool cria::text::isWhiteSpace(uint32_t C) {
  return (C >= 0x09 && C <= 0x0D) || C == 0x20 || C == 0x85 || C == 0xA0 ||
         C == 0x1680 || (C >= 0x2000 && C <= 0x200A) || C == 0x2028 ||
         C == 0x2029 || C == 0x202F || C == 0x205F || C == 0x3000;
}

std::string cria::text::normalizeNfc(std::string_view Text) {
  // Everything below U+0300, whose lead byte is 0xCC, is in form C already.
  if (std::all_of(Text.begin(), Text.end(), [](char Byte) {
        return static_cast<unsigned char>(Byte) < 0xCC;
      }))
    return std::string(Text);

  std::vector<uint32_t> Points;
  Points.reserve(Text.size());
  for (size_t Position = 0; Position < Text.size();) {
    uint32_t CodePoint;
    size_t Length = decodeUtf8(Text.substr(Position), CodePoint);
    if (!Length) {
      CodePoint = 0xFFFD;
      Length = 1;
    }
    decompose(CodePoint, Points);
    Position += Length;
  }

  // Canonical order: stable by class within each run of non-starters.
  std::vector<uint8_t> Class(Points.size());
  for (size_t I = 0; I < Points.size(); ++I)
    Class[I] = combiningClass(Points[I]);
  std::vector<std::pair<uint8_t, size_t>> Run;
  std::vector<uint32_t> Ordered;
  for (size_t I = 0; I < Points.size();) {
    if (!Class[I]) {
      ++I;
      continue;
    }
    Run.clear();
    Ordered.clear();
    for (size_t End = I; End < Points.size() && Class[End]; ++End)
      Run.emplace_back(Class[End], End);
    std::sort(Run.begin(), Run.end());
    for (const auto &[RunClass, From] : Run)
      Ordered.push_back(Points[From]);
    for (size_t J = 0; J < Run.size(); ++J, ++I) {
      Class[I] = Run[J].first;
      Points[I] = Ordered[J];
    }
  }

  // Compose (Unicode 15, D117) in place: a character joins the last starter
  // unless one of its class or above, or another starter, is in between.
  size_t Count = 0, Starter = SIZE_MAX;
  int LastClass = -1;
  for (size_t I = 0; I < Points.size(); ++I) {
    uint32_t Point = Points[I];
    uint8_t PointClass = Class[I];
    if (Starter != SIZE_MAX && LastClass < PointClass) {
      if (uint32_t Composed = compose(Points[Starter], Point)) {
        Points[Starter] = Composed;
        continue;
      }
    }
    if (!PointClass) {
      Starter = Count;
      LastClass = -1;
    } else {
      LastClass = PointClass;
    }
    Points[Count++] = Point;
  }

  std::string Out;
  Out.reserve(Text.size());
  for (size_t I = 0; I < Count; ++I)
    appendUtf8(Out, Points[I]);
  return Out;
}
