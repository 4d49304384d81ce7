// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "cuda/Driver.h"

#include "model/Report.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace cria::runtime;
using namespace cria::runtime::cuda;

static constexpr char LibraryName[] = "libcuda.so.1";

Driver::~Driver() {
  if (Library)
    dlclose(Library);
}

cria_status Driver::open(cria_error *Error) {
  Library = dlopen(LibraryName, RTLD_NOW | RTLD_LOCAL);
  if (!Library) {
    const char *Cause = dlerror();
    return report(Error, CRIA_NOT_FOUND,
                  "device cuda: no NVIDIA driver: %s cannot be opened: %s",
                  LibraryName, Cause ? Cause : "unknown cause");
  }
  auto Find = [&](auto &Place, const char *Symbol) {
    void *Found = dlsym(Library, Symbol);
    std::memcpy(&Place, &Found, sizeof(Found));
    return Found != nullptr;
  };
#define CRIA_CUDA_FIND(Name, Symbol, Parameters)                               \
  if (!Find(Name, Symbol))                                                     \
    return report(Error, CRIA_UNSUPPORTED,                                     \
                  "device cuda: the NVIDIA driver is too old: %s has no "      \
                  "function %s; one for CUDA 11.0 or later is needed",         \
                  LibraryName, Symbol);
  CRIA_CUDA_FUNCTIONS(CRIA_CUDA_FIND)
#undef CRIA_CUDA_FIND
  Result Code = Init(0);
  if (Code == NoDevice)
    return report(Error, CRIA_NOT_FOUND,
                  "device cuda: the NVIDIA driver finds no GPU");
  return check(Code, Error, "start");
}

cria_status Driver::check(Result Code, cria_error *Error, const char *Format,
                          ...) const {
  if (Code == Success)
    return CRIA_OK;
  char What[256];
  va_list Arguments;
  va_start(Arguments, Format);
  std::vsnprintf(What, sizeof(What), Format, Arguments);
  va_end(Arguments);
  const char *Name = nullptr, *Text = nullptr;
  GetErrorName(Code, &Name);
  GetErrorString(Code, &Text);
  return report(Error, Code == OutOfMemory ? CRIA_OUT_OF_MEMORY : CRIA_IO,
                "device cuda: the driver cannot %s: %s (%d%s%s)", What,
                Text ? Text : "unknown error", Code, Name ? ", " : "",
                Name ? Name : "");
}
