// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A vocabulary by rank from a stranger, tiktoken's lines or a tekken.json: read
// it, convert it, and load what comes out.

#include "cria/text.h"
#include "text/GgufTokenizer.h"

#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *Data, size_t Size) {
  std::string_view Input(reinterpret_cast<const char *>(Data), Size);
  cria::GgufTokenizerMetadata Metadata;
  std::string Json, Message;
  bool IsTekken = !Input.empty() && Input.front() == '{';
  if (!(IsTekken ? cria::readTekken : cria::readTiktoken)(Input, Metadata,
                                                          Message))
    return 0;
  if (!IsTekken)
    cria::addLlama3Specials(Metadata, Metadata.tokens.size() + Size % 300);
  if (!cria::ggufToTokenizerJson(Metadata, Json, Message))
    return 0;
  cria_tokenizer *Tokenizer;
  cria_error Error;
  if (cria_tokenizer_load_json(Json.data(), Json.size(), "fuzz", &Tokenizer,
                               &Error) == CRIA_OK)
    cria_tokenizer_free(Tokenizer);
  else if (Error.status == CRIA_INVALID_DATA && !IsTekken)
    __builtin_trap(); // a tekken.json may have a pattern that is none
  return 0;
}
