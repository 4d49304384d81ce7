// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria tokenize: the ids that the model would be fed.
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Common.h"

namespace cria::tools {

namespace {

struct Options {
  ModelChoice Model;
  std::string Text;
};

void tokenize(const Options &Chosen) {
  std::string Dir = resolveModel(Chosen.Model);
  TokenizerPtr Tokenizer = openTokenizer(Dir, "tokenize");
  std::string Line;
  for (int32_t Id : encodePrompt(Tokenizer.get(), Chosen.Text))
    Line += (Line.empty() ? "" : ",") + std::to_string(Id);
  print(Line + "\n");
}

} // namespace

Action addTokenize(Arguments &Declared) {
  auto Chosen = std::make_shared<Options>();
  addModelOptions(Declared, Chosen->Model);
  Declared.text("-p,--prompt", "TEXT", Chosen->Text, "The text",
                Arguments::Required);
  Declared.footer(
      "Example:\n"
      "  cria tokenize smollm2 -p \"Hello, world\"\n"
      "Prints the ids that the model would be fed, separated by commas, with "
      "those that\nits tokenizer adds.");
  return [Chosen] { tokenize(*Chosen); };
}

} // namespace cria::tools
