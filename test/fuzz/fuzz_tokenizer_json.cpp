// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tokenizer.json from a stranger: load it, encode a short text, decode the
// ids. The input is the file; what follows its first NUL byte, if any, is the
// text.

#include "cria/text.h"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size) {
  std::string_view Input(reinterpret_cast<const char *>(Data), Size);
  std::string_view Text = "Hello, w\u00f6rld  12 \u2581a\n\xff<s>ab e\u0301";
  size_t Nul = Input.find('\0');
  if (Nul != std::string_view::npos) {
    Text = Input.substr(Nul + 1, 256);
    Input = Input.substr(0, Nul);
  }

  cria_tokenizer *Tokenizer;
  cria_error Error;
  if (cria_tokenizer_load_json(Input.data(), Input.size(), "fuzz", &Tokenizer,
                               &Error) != CRIA_OK)
    return 0;
  for (unsigned Flags :
       {0u, CRIA_ENCODE_ADD_SPECIAL | CRIA_ENCODE_PLAIN_TEXT}) {
    size_t Count = 0;
    std::vector<int32_t> Ids(1024);
    cria_status Status =
        cria_tokenizer_encode(Tokenizer, Text.data(), Text.size(), Flags,
                              Ids.data(), Ids.size(), &Count, &Error);
    if (Status != CRIA_OK)
      continue;
    std::vector<char> Piece(cria_decoder_max_bytes(Tokenizer));
    cria_decoder Decoder;
    cria_decoder_init(Tokenizer, CRIA_DECODE_SPECIAL, &Decoder);
    for (size_t I = 0; I < Count; ++I) {
      size_t Written = 0;
      // What encoding made must decode, in the space that was promised.
      if (cria_decoder_push(Tokenizer, &Decoder, Ids[I], Piece.data(),
                            Piece.size(), &Written, &Error) != CRIA_OK)
        __builtin_trap();
    }
  }
  cria_tokenizer_free(Tokenizer);
  return 0;
}
