// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tokenizer.model from a stranger: read it, convert it, and load what comes
// out, which must be a tokenizer.json that the runtime takes.

#include "cria/text.h"
#include "text/GgufTokenizer.h"

#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size) {
  std::string_view Input(reinterpret_cast<const char *>(Data), Size);
  cria::GgufTokenizerMetadata Metadata;
  std::string Json, Message;
  if (!cria::readSentencePiece(Input, Metadata, Message) ||
      !cria::ggufToTokenizerJson(Metadata, Json, Message))
    return 0;
  cria_tokenizer *Tokenizer;
  cria_error Error;
  if (cria_tokenizer_load_json(Json.data(), Json.size(), "fuzz", &Tokenizer,
                               &Error) == CRIA_OK)
    cria_tokenizer_free(Tokenizer);
  else if (Error.status == CRIA_INVALID_DATA)
    __builtin_trap();
  return 0;
}
