// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The protocol buffer wire format, for the fields of a SentencePiece ModelProto
// that the library does not give away.
#ifndef CRIA_TEXT_PROTOREADER_H
#define CRIA_TEXT_PROTOREADER_H

#include "TextError.h"

#include <cstdint>
#include <string_view>

namespace cria::text {

/// The fields of a message, one after the other.
class ProtoReader {
public:
  explicit ProtoReader(std::string_view Data) : Data(Data) {}

  /// Moves to the next field. False at the end.
  bool next() {
    if (Data.empty())
      return false;
    uint64_t Key = varint();
    Field = Key >> 3;
    switch (Key & 7) {
    case 0:
      Number = varint();
      break;
    case 1:
      take(8);
      break;
    case 2:
      Bytes = take(varint());
      break;
    case 5:
      Bytes = take(4);
      break;
    default:
      malformed();
    }
    return true;
  }

  uint64_t Field = 0, Number = 0; // the latter of a varint
  std::string_view Bytes;         // of a string, a message or 4 bytes

private:
  [[noreturn]] void malformed() {
    fail(CRIA_INVALID_DATA, "not a SentencePiece model: the protocol buffer "
                            "is malformed or cut short");
  }
  uint64_t varint() {
    uint64_t Value = 0;
    for (int Shift = 0; Shift < 64; Shift += 7) {
      unsigned char Byte = take(1)[0];
      Value |= static_cast<uint64_t>(Byte & 0x7F) << Shift;
      if (!(Byte & 0x80))
        return Value;
    }
    malformed();
  }
  std::string_view take(uint64_t Count) {
    if (Count > Data.size())
      malformed();
    std::string_view Taken = Data.substr(0, Count);
    Data.remove_prefix(Count);
    return Taken;
  }

  std::string_view Data;
};

} // namespace cria::text

#endif // CRIA_TEXT_PROTOREADER_H
