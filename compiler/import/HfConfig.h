// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads the config.json of a Hugging Face folder whose model is of one of the
// families in families/.
//
// A key is either understood and checked, known not to change the model, or an
// error: nothing that could change the mathematics is dropped in silence. The
// result is complete, with the defaults of transformers filled in.
#ifndef CRIA_COMPILER_IMPORT_HFCONFIG_H
#define CRIA_COMPILER_IMPORT_HFCONFIG_H

#include "compiler/import/DecoderDescription.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace cria {

/// Parses the text of a config.json; `path` stands for it in messages. The
/// description has no name.
llvm::Expected<DecoderDescription> parseHfConfig(llvm::StringRef path,
                                                 llvm::StringRef text);

/// Reads a config.json, or the one inside a folder.
llvm::Expected<DecoderDescription> loadHfConfig(llvm::StringRef path);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_HFCONFIG_H
