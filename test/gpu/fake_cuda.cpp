// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A libcuda.so.1 without a GPU. Its memory is the host's, with every copy
// checked against what was allocated, and its kernels are those of
// FAKE_CUDA_KERNELS, a library that the tests make from the same IR that the
// PTX is made from: `forward(args, thread, threads)`, which calls the functions
// below. Each thread of the GPU is a fiber, and goes on until it waits for
// others, in the order that FAKE_CUDA_ORDER says: forward, reverse, or a number
// that seeds a random one. Memory that one thread reads without waiting for the
// one that writes it then differs between orders. What an asynchronous copy
// writes is no number from its begin until the thread that began it waits, or
// somebody for the mbarrier that it was to arrive at. Products of four warps
// are no numbers until they are waited for, and computed then, of what the
// block's memory has then; what has no async fence behind it is none for them.
//
//   FAKE_CUDA_KERNELS   the library; without it a launch does nothing
//   FAKE_CUDA_ORDER     see above (forward)
//   FAKE_CUDA_COMPUTE   compute capability (90)
//   FAKE_CUDA_MEMORY    bytes of memory (4 GB)
//   FAKE_CUDA_FAIL      FUNCTION=CODE[@N]: its Nth call (1) fails
//   FAKE_CUDA_LOG       a file that gets a line a call
//   FAKE_CUDA_COUNT     GPUs (1)

#include "fake_gpu.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <string>

namespace {

constexpr unsigned kGroup = 16, kMultiprocessors = 3;
constexpr unsigned kStaticBytes = 48 * 1024, kMostSharedBytes = 227 * 1024;

} // namespace

const char *fake::setting(const char *Name, const char *Default) {
  const char *Value = std::getenv(Name);
  return Value ? Value : Default;
}

void fake::stop(const char *Why) {
  std::fprintf(stderr, "fake_cuda: %s\n", Why);
  std::_Exit(70);
}

using namespace fake;

//===----------------------------------------------------------------------===//
// The driver
//===----------------------------------------------------------------------===//

namespace {

using Result = int;
enum {
  Ok = 0,
  Invalid = 1,
  NoMemory = 2,
  NoDevice = 100,
  BadPtx = 218,
  OldPtx = 222,
  NotFound = 500,
  Fault = 700
};

std::map<uint64_t, size_t> &allocations() {
  static auto *Map = new std::map<uint64_t, size_t>;
  return *Map;
}
size_t UsedBytes = 0;
int PushedContexts = 0, OpenObjects = 0;
unsigned SharedBytes = 0; // that a block may be launched with
std::string LoadedCode;

size_t memoryBytes() {
  return std::strtoull(setting("FAKE_CUDA_MEMORY", "4000000000"), nullptr, 10);
}

/// Notes the call; the code that it is to return, or 0.
Result call(const char *Name) {
  if (const char *Log = std::getenv("FAKE_CUDA_LOG"))
    if (FILE *File = std::fopen(Log, "a")) {
      std::fprintf(File, "%s\n", Name);
      std::fclose(File);
    }
  static auto *Calls = new std::map<std::string, int>;
  int Number = ++(*Calls)[Name];
  std::string Fail = setting("FAKE_CUDA_FAIL", "");
  size_t Equal = Fail.find('=');
  if (Equal == std::string::npos || Fail.substr(0, Equal) != Name)
    return Ok;
  size_t At = Fail.find('@');
  int Which = At == std::string::npos ? 1 : std::atoi(Fail.c_str() + At + 1);
  return Number == Which ? std::atoi(Fail.c_str() + Equal + 1) : Ok;
}

Result callIn(const char *Name) {
  Result Code = call(Name);
  return Code ? Code : PushedContexts ? Ok : 201; // no context
}

} // namespace

bool fake::inside(uint64_t At, size_t Bytes) {
  auto After = allocations().upper_bound(At);
  if (After == allocations().begin())
    return false;
  auto Block = std::prev(After);
  return At + Bytes <= Block->first + Block->second;
}

#define CALL(Name)                                                             \
  if (Result Code = call(Name))                                                \
  return Code
#define CALL_IN(Name)                                                          \
  if (Result Code = callIn(Name))                                              \
  return Code

extern "C" {

Result cuInit(unsigned) {
  CALL("cuInit");
  return std::atoi(setting("FAKE_CUDA_COUNT", "1")) ? Ok : NoDevice;
}
Result cuDriverGetVersion(int *Version) {
  CALL("cuDriverGetVersion");
  *Version = 12040;
  return Ok;
}
Result cuDeviceGetCount(int *Count) {
  CALL("cuDeviceGetCount");
  *Count = std::atoi(setting("FAKE_CUDA_COUNT", "1"));
  return Ok;
}
Result cuDeviceGet(int *Device, int Ordinal) {
  CALL("cuDeviceGet");
  *Device = Ordinal;
  return Ok;
}
Result cuDeviceGetName(char *Name, int Size, int) {
  CALL("cuDeviceGetName");
  std::snprintf(Name, Size, "Fake GPU");
  return Ok;
}
Result cuDeviceGetAttribute(int *Value, int Attribute, int) {
  CALL("cuDeviceGetAttribute");
  int Compute = std::atoi(setting("FAKE_CUDA_COMPUTE", "90"));
  switch (Attribute) {
  case 16:
    *Value = kMultiprocessors;
    return Ok;
  case 75:
    *Value = Compute / 10;
    return Ok;
  case 76:
    *Value = Compute % 10;
    return Ok;
  case 95:
    *Value = 1;
    return Ok;
  }
  return Invalid;
}
Result cuDevicePrimaryCtxRetain(void **Context, int) {
  CALL("cuDevicePrimaryCtxRetain");
  ++OpenObjects;
  *Context = &OpenObjects;
  return Ok;
}
Result cuDevicePrimaryCtxRelease_v2(int) {
  CALL("cuDevicePrimaryCtxRelease_v2");
  // Last of a session: what it made is gone.
  if (--OpenObjects || !allocations().empty())
    stop("memory, streams or modules are left when the context goes");
  return Ok;
}
Result cuCtxPushCurrent_v2(void *) {
  CALL("cuCtxPushCurrent_v2");
  ++PushedContexts;
  return Ok;
}
Result cuCtxPopCurrent_v2(void **) {
  CALL("cuCtxPopCurrent_v2");
  --PushedContexts;
  return Ok;
}
Result cuMemGetInfo_v2(size_t *Free, size_t *Total) {
  CALL_IN("cuMemGetInfo_v2");
  *Total = memoryBytes();
  *Free = *Total - UsedBytes;
  return Ok;
}
Result cuModuleLoadDataEx(void **Module, const void *Image, unsigned Count,
                          int *Options, void **Values) {
  CALL_IN("cuModuleLoadDataEx");
  std::string Text = static_cast<const char *>(Image);
  size_t Entry = Text.find(".entry ");
  if (Text.find(".version ") == std::string::npos ||
      Entry == std::string::npos) {
    for (unsigned I = 0; I < Count; ++I)
      if (Options[I] == 5)
        std::strcpy(static_cast<char *>(Values[I]), "no .version or no .entry");
    return BadPtx;
  }
  LoadedCode = Text;
  ++OpenObjects;
  *Module = &LoadedCode;
  return Ok;
}
Result cuModuleUnload(void *) {
  CALL_IN("cuModuleUnload");
  --OpenObjects;
  return Ok;
}
Result cuModuleGetFunction(void **Function, void *, const char *Name) {
  CALL_IN("cuModuleGetFunction");
  *Function = &LoadedCode;
  std::string Entry = std::string(".entry ") + Name + "(";
  return LoadedCode.find(Entry) != std::string::npos ? Ok : NotFound;
}
Result cuFuncSetAttribute(void *, int Attribute, int Value) {
  CALL_IN("cuFuncSetAttribute");
  if (Attribute != 8 || Value < 0 ||
      static_cast<unsigned>(Value) > kMostSharedBytes)
    return Invalid;
  SharedBytes = static_cast<unsigned>(Value);
  return Ok;
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *Blocks, void *, int,
                                                   size_t) {
  CALL_IN("cuOccupancyMaxActiveBlocksPerMultiprocessor");
  *Blocks = 1;
  return Ok;
}
Result cuMemAlloc_v2(uint64_t *Address, size_t Bytes) {
  CALL_IN("cuMemAlloc_v2");
  if (!Bytes)
    return Invalid;
  if (UsedBytes + Bytes > memoryBytes())
    return NoMemory;
  void *Memory = std::aligned_alloc(256, (Bytes + 255) / 256 * 256);
  if (!Memory)
    return NoMemory;
  std::memset(Memory, 0xff, Bytes); // numbers of no use to anybody
  *Address = reinterpret_cast<uint64_t>(Memory);
  allocations()[*Address] = Bytes;
  UsedBytes += Bytes;
  return Ok;
}
Result cuMemFree_v2(uint64_t Address) {
  CALL_IN("cuMemFree_v2");
  auto Found = allocations().find(Address);
  if (Found == allocations().end())
    return Invalid;
  UsedBytes -= Found->second;
  allocations().erase(Found);
  std::free(reinterpret_cast<void *>(Address));
  return Ok;
}
Result cuMemAllocHost_v2(void **Memory, size_t Bytes) {
  CALL_IN("cuMemAllocHost_v2");
  ++OpenObjects;
  *Memory = std::malloc(Bytes);
  return *Memory ? Ok : NoMemory;
}
Result cuMemFreeHost(void *Memory) {
  CALL_IN("cuMemFreeHost");
  --OpenObjects;
  std::free(Memory);
  return Ok;
}
Result cuMemcpyHtoDAsync_v2(uint64_t To, const void *From, size_t Bytes,
                            void *) {
  CALL_IN("cuMemcpyHtoDAsync_v2");
  if (!inside(To, Bytes))
    return Invalid;
  std::memcpy(reinterpret_cast<void *>(To), From, Bytes);
  return Ok;
}
Result cuMemcpyDtoHAsync_v2(void *To, uint64_t From, size_t Bytes, void *) {
  CALL_IN("cuMemcpyDtoHAsync_v2");
  if (!inside(From, Bytes))
    return Invalid;
  std::memcpy(To, reinterpret_cast<void *>(From), Bytes);
  return Ok;
}
Result cuMemcpyDtoDAsync_v2(uint64_t To, uint64_t From, size_t Bytes, void *) {
  CALL_IN("cuMemcpyDtoDAsync_v2");
  if (!inside(To, Bytes) || !inside(From, Bytes))
    return Invalid;
  std::memmove(reinterpret_cast<void *>(To), reinterpret_cast<void *>(From),
               Bytes);
  return Ok;
}
Result cuMemsetD8Async(uint64_t To, unsigned char Value, size_t Bytes, void *) {
  CALL_IN("cuMemsetD8Async");
  if (!inside(To, Bytes))
    return Invalid;
  std::memset(reinterpret_cast<void *>(To), Value, Bytes);
  return Ok;
}
Result cuStreamCreate(void **Stream, unsigned) {
  CALL_IN("cuStreamCreate");
  ++OpenObjects;
  *Stream = &UsedBytes;
  return Ok;
}
Result cuStreamDestroy_v2(void *) {
  CALL_IN("cuStreamDestroy_v2");
  --OpenObjects;
  return Ok;
}
Result cuStreamSynchronize(void *) {
  CALL_IN("cuStreamSynchronize");
  return Ok;
}
Result cuLaunchCooperativeKernel(void *, unsigned GridX, unsigned, unsigned,
                                 unsigned BlockX, unsigned, unsigned,
                                 unsigned Shared, void *, void **Parameters) {
  CALL_IN("cuLaunchCooperativeKernel");
  if (GridX > kMultiprocessors || BlockX % kGroup)
    return 720; // CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
  bool IsDynamic = LoadedCode.find(".extern .shared") != std::string::npos;
  if (Shared > SharedBytes || IsDynamic != (Shared > 0))
    return Invalid;
  const char *Path = std::getenv("FAKE_CUDA_KERNELS");
  if (!Path)
    return Ok;
  // So that the kernels find this library's functions.
  Dl_info Self;
  if (!dladdr(reinterpret_cast<void *>(&cuInit), &Self) ||
      !dlopen(Self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL))
    stop(dlerror());
  void *Library = dlopen(Path, RTLD_NOW | RTLD_LOCAL);
  void *Found = Library ? dlsym(Library, "model_forward") : nullptr;
  if (!Found)
    stop(dlerror());
  Forward Code;
  std::memcpy(&Code, &Found, sizeof(Code));
  runKernel(Code, Parameters[0], GridX, BlockX,
            static_cast<int32_t>((IsDynamic ? Shared : kStaticBytes) / 4));
  return Ok;
}
Result cuGetErrorName(Result Code, const char **Name) {
  *Name = Code == OldPtx     ? "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"
          : Code == NoMemory ? "CUDA_ERROR_OUT_OF_MEMORY"
          : Code == BadPtx   ? "CUDA_ERROR_INVALID_PTX"
          : Code == Fault    ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                             : "CUDA_ERROR_OTHER";
  return Ok;
}
Result cuGetErrorString(Result Code, const char **Text) {
  *Text = Code == OldPtx     ? "the provided PTX was compiled with an "
                               "unsupported toolchain."
          : Code == NoMemory ? "out of memory"
          : Code == Fault    ? "an illegal memory access was encountered"
                             : "another error";
  return Ok;
}

} // extern "C"
