// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/ElfCheck.h"

#include "model/Report.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace cria::runtime;

namespace {

#if defined(__x86_64__)
constexpr unsigned Machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned Machine = EM_AARCH64;
#else
constexpr unsigned Machine = EM_NONE;
#endif

cria_status check(int File, const char *Path, cria_error *Error) {
  struct stat Info;
  if (fstat(File, &Info) != 0 || !S_ISREG(Info.st_mode))
    return report(Error, CRIA_IO, "%s: not a regular file", Path);
  uint64_t Size = static_cast<uint64_t>(Info.st_size);
  Elf64_Ehdr Header;
  if (pread(File, &Header, sizeof(Header), 0) !=
          static_cast<ssize_t>(sizeof(Header)) ||
      std::memcmp(Header.e_ident, ELFMAG, SELFMAG) != 0 ||
      Header.e_ident[EI_CLASS] != ELFCLASS64 || Header.e_type != ET_DYN)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: not a 64-bit ELF shared object", Path);
  if (Header.e_machine != Machine)
    return report(Error, CRIA_WRONG_CPU,
                  "%s: compiled for another kind of processor (ELF machine %u; "
                  "this program runs on %u); compile with --target native",
                  Path, unsigned{Header.e_machine}, Machine);
  if (Header.e_phentsize != sizeof(Elf64_Phdr))
    return report(Error, CRIA_INVALID_DATA,
                  "%s: program headers of %u bytes; %zu are expected", Path,
                  unsigned{Header.e_phentsize}, sizeof(Elf64_Phdr));
  for (unsigned I = 0; I < Header.e_phnum; ++I) {
    Elf64_Phdr Segment;
    uint64_t At, End;
    if (__builtin_add_overflow(Header.e_phoff, I * sizeof(Segment), &At) ||
        At > static_cast<uint64_t>(INT64_MAX) ||
        pread(File, &Segment, sizeof(Segment), static_cast<off_t>(At)) !=
            static_cast<ssize_t>(sizeof(Segment)))
      return report(
          Error, CRIA_INVALID_DATA,
          "%s: program header %u is past the end of the file's %" PRIu64
          " bytes",
          Path, I, Size);
    if (__builtin_add_overflow(Segment.p_offset, Segment.p_filesz, &End) ||
        End > Size)
      return report(Error, CRIA_INVALID_DATA,
                    "%s: segment %u ends past the file's %" PRIu64
                    " bytes; the file is truncated",
                    Path, I, Size);
  }
  return CRIA_OK;
}

} // namespace

cria_status cria::runtime::checkSharedObject(const char *Path,
                                             cria_error *Error) noexcept {
  int File = open(Path, O_RDONLY | O_CLOEXEC);
  if (File < 0)
    return report(Error, errno == ENOENT ? CRIA_NOT_FOUND : CRIA_IO,
                  "%s: cannot open the model's code: %s", Path,
                  std::strerror(errno));
  cria_status Status = check(File, Path, Error);
  close(File);
  return Status;
}
