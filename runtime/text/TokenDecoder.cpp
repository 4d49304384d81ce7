// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "TokenDecoder.h"
#include "PreTokenizer.h"

using namespace cria::text;

TokenDecoder::TokenDecoder() : FirstDiffers(true) {
  Step Join;
  Join.Kind = Step::Join;
  Steps.push_back(std::move(Join));
}

TokenDecoder::TokenDecoder(const Config &Component) { add(Component, 0); }

void TokenDecoder::add(const Config &Component, int Depth) {
  std::string Type = Component.type();
  Step New;
  if (Steps.size() == MaxSteps)
    Component.unsupported("one more decoder", "64");
  if (Type == "Sequence") {
    if (Depth == MaxNesting)
      Component.unsupported("a deeper Sequence", "16 levels");
    for (const Config &Item : Component.list("decoders"))
      add(Item, Depth + 1);
    return;
  }
  if (Type == "Strip") {
    std::string Content = Component.string("content");
    int64_t Start = Component.integer("start", 0, 1024);
    int64_t Stop = Component.integer("stop", 0, 1024);
    if (Fused) {
      if (Content.size() != 1 || Stop != 0 || Strips)
        Component.unsupported("this Strip after Fuse",
                              "one, of a single ASCII character, with stop 0");
      setLeadingStrips(Content[0], static_cast<uint32_t>(Start));
      return;
    }
    New.Kind = Step::Strip;
    New.Content = std::move(Content);
    New.Start = static_cast<uint32_t>(Start);
    New.Stop = static_cast<uint32_t>(Stop);
    if (New.Content.empty())
      Component.malformed("content", "one character");
    Steps.push_back(std::move(New));
    return;
  }
  if (Fused && Type != "Fuse")
    Component.unsupported("decoder '" + Type + "' after Fuse or ByteLevel",
                          "Strip, Fuse");
  if (Type == "Fuse") {
    Fused = true;
    return;
  }
  if (Type == "ByteLevel") {
    New.Kind = Step::ByteLevel;
    Fused = true;
  } else if (Type == "ByteFallback") {
    New.Kind = Step::ByteFallback;
  } else if (Type == "Replace") {
    New.Kind = Step::Replace;
    New.What = Pattern(Component, "pattern");
    New.Content = Component.string("content");
  } else if (Type == "Metaspace") {
    New.Kind = Step::Metaspace;
    New.What = Pattern(Component.string("replacement", "\u2581"));
    std::string Scheme = Component.string(
        "prepend_scheme",
        Component.boolean("add_prefix_space", true) ? "always" : "never");
    if (Scheme != "always" && Scheme != "first" && Scheme != "never")
      Component.unsupported("prepend_scheme '" + Scheme + "'",
                            "always, first, never");
    New.DropFirst = Scheme != "never";
    FirstDiffers |= New.DropFirst;
  } else {
    Component.unsupported("decoder '" + Type + "'",
                          "ByteLevel, Replace, ByteFallback, Fuse, Strip, "
                          "Metaspace, Sequence");
  }
  Steps.push_back(std::move(New));
}

static int hexDigit(char C) {
  if (C >= '0' && C <= '9')
    return C - '0';
  if (C >= 'A' && C <= 'F')
    return C - 'A' + 10;
  if (C >= 'a' && C <= 'f')
    return C - 'a' + 10;
  return -1;
}

std::string TokenDecoder::decode(std::string_view Spelling, bool First) const {
  std::string Text(Spelling);
  size_t MaxBytes = maxGrowth(Text.size());
  for (const Step &Current : Steps) {
    switch (Current.Kind) {
    case Step::ByteLevel: {
      // A token outside the alphabet stands for its own text.
      std::string Bytes;
      if (ByteAlphabet::get().decode(Text, Bytes))
        Text = std::move(Bytes);
      break;
    }
    case Step::Replace:
      Text = Current.What.replaceAll(Text, Current.Content, MaxBytes);
      break;
    case Step::ByteFallback:
      if (Text.size() == 6 && Text.compare(0, 3, "<0x") == 0 &&
          Text[5] == '>' && hexDigit(Text[3]) >= 0 && hexDigit(Text[4]) >= 0)
        return std::string(
            1, static_cast<char>(hexDigit(Text[3]) * 16 + hexDigit(Text[4])));
      break;
    case Step::Strip: {
      size_t Length = Current.Content.size(), Begin = 0, End = Text.size();
      for (uint32_t I = 0; I < Current.Start && End - Begin >= Length &&
                           Text.compare(Begin, Length, Current.Content) == 0;
           ++I)
        Begin += Length;
      for (uint32_t I = 0;
           I < Current.Stop && End - Begin >= Length &&
           Text.compare(End - Length, Length, Current.Content) == 0;
           ++I)
        End -= Length;
      Text = Text.substr(Begin, End - Begin);
      break;
    }
    case Step::Metaspace:
      Text = Current.What.replaceAll(
          Text, First && Current.DropFirst ? "" : " ", MaxBytes);
      break;
    case Step::Join:
      if (!First)
        Text.insert(0, 1, ' ');
      break;
    }
  }
  return Text;
}
