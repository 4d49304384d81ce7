// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What every reader of a user's file needs: read-only mapping, page release,
// bounded JSON, error texts and a content hash.
//
// Files are hostile until parsed. Nothing here crashes, recurses without bound
// or allocates more than a small multiple of the file's size. All functions
// are reentrant; none keeps state.
//
// A mapped file that another process truncates while it is in use raises
// SIGBUS, as with any mmap: model files must not be shortened in place.
#ifndef CRIA_COMPILER_IMPORT_INPUTFILE_H
#define CRIA_COMPILER_IMPORT_INPUTFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace cria {

/// "FILE: MESSAGE" as an llvm::Error.
llvm::Error fileError(llvm::StringRef file, const llvm::Twine &message);

/// Text from a file made fit for a message: in single quotes, control and
/// non-ASCII bytes as \xNN, cut after `limit` bytes with "...".
std::string quoted(llvm::StringRef text, size_t limit = 80);

/// A floating-point number as a message shows it ("%.9g").
std::string numberText(double value);

/// Maps a regular file read-only (a small one is read to the heap). The
/// caller owns the buffer; its identifier is `path`.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>>
mapFile(llvm::StringRef path);

/// Lets the system drop the resident pages that lie wholly inside `bytes`,
/// a part of `buffer`. They are read again from the file when next touched,
/// so views stay valid. Does nothing where `buffer` is no file mapping.
void releasePages(const llvm::MemoryBuffer *buffer,
                  llvm::ArrayRef<uint8_t> bytes);

/// Parses JSON that nests at most 64 deep (llvm::json recurses without a
/// limit of its own).
llvm::Expected<llvm::json::Value> parseJson(llvm::StringRef file,
                                            llvm::StringRef text);

/// The value as an integer when it is one, is exact, and its magnitude is at
/// most 2^53 (what every JSON reader agrees on).
std::optional<int64_t> jsonInteger(const llvm::json::Value &value);

/// A short rendering of a JSON value for a message.
std::string jsonText(const llvm::json::Value &value);

/// "[4, 128]", for a message.
std::string shapeText(llvm::ArrayRef<int64_t> shape);

/// XXH3-128 over the chunk hashes of the buffers, as 32 hex digits. It is a
/// cache key, not a signature. Reads everything; pages are released behind it.
std::string hashBuffers(llvm::ArrayRef<const llvm::MemoryBuffer *> buffers);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_INPUTFILE_H
