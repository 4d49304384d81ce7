// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes a float32 matrix as NumPy's .npy, version 1.0, row by row: to a file
// beside the target, renamed over it when complete.
#ifndef CRIA_TOOLS_NPY_H
#define CRIA_TOOLS_NPY_H

#include <cstdint>
#include <string>

namespace cria::tools {

class NpyWriter {
public:
  /// Throws a Failure, like all of them.
  NpyWriter(const std::string &Path, int64_t Rows, int64_t Columns);
  /// Removes what was not committed.
  ~NpyWriter();
  NpyWriter(const NpyWriter &) = delete;
  NpyWriter &operator=(const NpyWriter &) = delete;

  void write(const float *Values, int64_t Count);
  void commit();

private:
  void put(const void *Data, uint64_t Size);
  [[noreturn]] void fail(const char *What);

  std::string Path;
  std::string Temporary; // empty: written in place, as for /dev/stdout
  int File = -1;
};

} // namespace cria::tools

#endif // CRIA_TOOLS_NPY_H
