// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TOOLS_TEMPFOLDER_H
#define CRIA_TOOLS_TEMPFOLDER_H

#include "tools/Common.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdlib.h>

namespace cria::tools {

/// A folder of this process, removed with all that is in it in the end.
class TempFolder {
public:
  TempFolder() {
    std::string Name = std::filesystem::temp_directory_path() / "cria-XXXXXX";
    if (!mkdtemp(Name.data()))
      throw Failure{format("%s: cannot make a folder: %s", Name.c_str(),
                           std::strerror(errno))};
    Path = Name;
  }
  ~TempFolder() {
    std::error_code Ignored;
    std::filesystem::remove_all(Path, Ignored);
  }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;
  std::filesystem::path Path;
};

} // namespace cria::tools

#endif // CRIA_TOOLS_TEMPFOLDER_H
