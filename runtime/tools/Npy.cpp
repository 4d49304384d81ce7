// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Npy.h"

#include "tools/Common.h"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cria::tools {

NpyWriter::NpyWriter(const std::string &Path, int64_t Rows, int64_t Columns)
    : Path(Path) {
  struct stat Info;
  if (stat(Path.c_str(), &Info) != 0 || S_ISREG(Info.st_mode)) {
    Temporary = Path + format(".%d.tmp", static_cast<int>(getpid()));
    File =
        open(Temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  } else {
    File = open(Path.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (File < 0)
    fail("cannot create");
  std::string Header = format("{'descr': '<f4', 'fortran_order': False, "
                              "'shape': (%" PRId64 ", %" PRId64 "), }",
                              Rows, Columns);
  // Magic, version and length are 10 bytes; the data starts at a multiple of
  // 64.
  Header.append(63 - (Header.size() + 10) % 64, ' ');
  Header += '\n';
  std::string Start("\x93NUMPY\x01\x00", 8);
  Start += static_cast<char>(Header.size() & 0xFF);
  Start += static_cast<char>(Header.size() >> 8);
  Start += Header;
  try {
    put(Start.data(), Start.size());
  } catch (...) {
    close(File);
    if (!Temporary.empty())
      unlink(Temporary.c_str());
    throw;
  }
}

NpyWriter::~NpyWriter() {
  if (File < 0)
    return;
  close(File);
  if (!Temporary.empty())
    unlink(Temporary.c_str());
}

void NpyWriter::fail(const char *What) {
  throw Failure{format("%s: %s: %s", Path.c_str(), What, std::strerror(errno))};
}

void NpyWriter::put(const void *Data, uint64_t Size) {
  const char *At = static_cast<const char *>(Data);
  while (Size > 0) {
    ssize_t Written = ::write(File, At, Size);
    if (Written < 0 && errno == EINTR)
      continue;
    if (Written < 0)
      fail("cannot write");
    At += Written;
    Size -= Written;
  }
}

void NpyWriter::write(const float *Values, int64_t Count) {
  put(Values, static_cast<uint64_t>(Count) * sizeof(float));
}

void NpyWriter::commit() {
  int Done = File;
  File = -1;
  if (close(Done) != 0 || (!Temporary.empty() &&
                           std::rename(Temporary.c_str(), Path.c_str()) != 0)) {
    int Cause = errno;
    if (!Temporary.empty())
      unlink(Temporary.c_str());
    errno = Cause;
    fail("cannot write");
  }
}

} // namespace cria::tools
