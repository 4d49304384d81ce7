// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/emit/Header.h"

#include "runtime/include/cria/abi.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace cria;

/// Text from a model file, made fit for a C comment.
static std::string commentText(llvm::StringRef text) {
  std::string safe;
  for (char c : text) {
    if (!llvm::isPrint(c))
      c = '?';
    if (c == '/' && !safe.empty() && safe.back() == '*')
      safe.push_back(' ');
    safe.push_back(c);
  }
  return safe;
}

std::string cria::makeHeader(const ModelInfo &info,
                             llvm::StringRef symbolPrefix,
                             llvm::StringRef targets) {
  std::string upper = symbolPrefix.upper();
  std::string text;
  llvm::raw_string_ostream out(text);
  out << "/* Made by cria compile: " << commentText(info.name) << " ("
      << commentText(info.architecture) << ") for " << commentText(targets)
      << ". */\n"
      << "#ifndef " << upper << "CRIA_MODEL_H\n"
      << "#define " << upper << "CRIA_MODEL_H\n\n"
      << "#include \"cria/abi.h\"\n\n"
      << "#if CRIA_ABI_VERSION != " << CRIA_ABI_VERSION << "\n"
      << "#error \"this model has cria ABI version " << CRIA_ABI_VERSION
      << ", cria/abi.h has another: compile the model again\"\n"
      << "#endif\n\n"
      << "/* Shapes. */\n";
  auto define = [&](llvm::StringRef name, uint64_t value) {
    out << "#define " << upper << name << " " << value << "\n";
  };
  auto defineLong = [&](llvm::StringRef name, uint64_t value) {
    out << "#define " << upper << name << " UINT64_C(" << value << ")\n";
  };
  define("VOCAB", info.vocab);
  define("WIDTH", info.width);
  define("LAYERS", info.layers);
  define("HEADS", info.heads);
  define("KV_HEADS", info.kvHeads);
  define("HEAD_DIM", info.headDim);
  define("FFN", info.ffn);
  out << "\n/* Capacities: positions of a sequence, tokens of a call. */\n";
  define("CONTEXT", info.context);
  define("MAX_BATCH", info.maxBatch);
  out << "\n/* Memory. A call with t threads needs an arena of\n"
         " * ARENA_BYTES + t * THREAD_ARENA_BYTES; s tokens in the cache need\n"
         " * KV_BYTES_PER_TOKEN each, in pages of CRIA_PAGE_TOKENS. */\n";
  defineLong("WEIGHTS_BYTES", info.weightsBytes);
  defineLong("KV_BYTES_PER_TOKEN", info.kvBytesPerToken);
  defineLong("ARENA_BYTES", info.arenaBytes);
  defineLong("THREAD_ARENA_BYTES", info.threadArenaBytes);
  out << "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
      << "/* The model's constant description. */\n"
      << "const cria_model *" << symbolPrefix << "get(void);\n\n"
      << "#ifdef __cplusplus\n}\n#endif\n"
      << "#endif /* " << upper << "CRIA_MODEL_H */\n";
  return text;
}
