// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEXT_TOKENDECODER_H
#define CRIA_TEXT_TOKENDECODER_H

#include "Config.h"

namespace cria::text {

/// What turns a token's spelling into the bytes it stands for: ByteLevel,
/// Replace, ByteFallback, Fuse, Strip, Metaspace, and sequences of them. It
/// works token by token, as a stream needs; what could not be done so (Strip
/// at the end of the text, Replace across tokens) is refused.
class TokenDecoder {
public:
  /// Without a component tokens are joined by spaces, as Hugging Face does.
  TokenDecoder();
  explicit TokenDecoder(const Config &Component);

  std::string decode(std::string_view Spelling, bool First) const;

  /// Whether decode() ever looks at `First`.
  bool dependsOnFirst() const { return FirstDiffers; }

  /// How many copies of stripByte() to drop from the start of the text.
  uint32_t leadingStrips() const { return Strips; }
  char stripByte() const { return StripByte; }

  /// For tokens whose bytes are known without decode().
  void treatAllAlike() { FirstDiffers = false; }

  void setLeadingStrips(char Byte, uint32_t Count) {
    StripByte = Byte;
    Strips = Count;
  }

private:
  struct Step {
    enum Kind { ByteLevel, Replace, ByteFallback, Strip, Metaspace, Join } Kind;
    std::string Content;
    Pattern What;
    uint32_t Start = 0, Stop = 0;
    bool DropFirst = false;
  };
  void add(const Config &Component, int Depth);

  std::vector<Step> Steps;
  bool Fused = false, FirstDiffers = false;
  uint32_t Strips = 0;
  char StripByte = ' ';
};

} // namespace cria::text

#endif // CRIA_TEXT_TOKENDECODER_H
