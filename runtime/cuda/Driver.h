// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The CUDA driver, opened at run time: no toolkit and no header of NVIDIA's is
// needed to build. The functions are those of the CUDA Driver API reference,
// under the names that libcuda.so.1 exports.
#ifndef CRIA_CUDA_DRIVER_H
#define CRIA_CUDA_DRIVER_H

#include "cria/status.h"

#include <cstddef>
#include <cstdint>

namespace cria::runtime::cuda {

using Result = int; // CUresult
using Device = int;
using Address = uint64_t; // CUdeviceptr
using Context = struct ContextTag *;
using Module = struct ModuleTag *;
using Function = struct FunctionTag *;
using Stream = struct StreamTag *;

/// Of CUresult.
enum : Result { Success = 0, OutOfMemory = 2, NoDevice = 100 };
/// Of CUdevice_attribute.
enum Attribute : int {
  MultiprocessorCount = 16,
  ComputeCapabilityMajor = 75,
  ComputeCapabilityMinor = 76,
  CooperativeLaunch = 95
};
/// Of CUfunction_attribute.
enum FunctionAttribute : int { MaxDynamicSharedBytes = 8 };
/// Of CUjit_option.
enum JitOption : int { ErrorLogBuffer = 5, ErrorLogBufferBytes = 6 };

/// The library's functions. An object keeps the library open; each session has
/// its own.
class Driver {
public:
  Driver() = default;
  ~Driver();
  Driver(const Driver &) = delete;
  Driver &operator=(const Driver &) = delete;

  /// Opens libcuda.so.1 and initialises it. An error says whether there is no
  /// driver, one that lacks a function, or one that found no GPU.
  cria_status open(cria_error *Error);

  /// CRIA_OK, or an error that says what the driver was to do.
  __attribute__((format(printf, 4, 5))) cria_status check(Result Code,
                                                          cria_error *Error,
                                                          const char *Format,
                                                          ...) const;

#define CRIA_CUDA_FUNCTIONS(X)                                                 \
  X(Init, "cuInit", (unsigned Flags))                                          \
  X(DriverGetVersion, "cuDriverGetVersion", (int *Version))                    \
  X(DeviceGetCount, "cuDeviceGetCount", (int *Count))                          \
  X(DeviceGet, "cuDeviceGet", (Device * Made, int Ordinal))                    \
  X(DeviceGetName, "cuDeviceGetName", (char *Name, int Size, Device Of))       \
  X(DeviceGetAttribute, "cuDeviceGetAttribute",                                \
    (int *Value, int Attribute, Device Of))                                    \
  X(PrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (Context * Made, Device Of)) \
  X(PrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (Device Of))            \
  X(CtxPushCurrent, "cuCtxPushCurrent_v2", (Context Pushed))                   \
  X(CtxPopCurrent, "cuCtxPopCurrent_v2", (Context * Popped))                   \
  X(MemGetInfo, "cuMemGetInfo_v2", (size_t *Free, size_t *Total))              \
  X(ModuleLoadDataEx, "cuModuleLoadDataEx",                                    \
    (Module * Made, const void *Image, unsigned Count, int *Options,           \
     void **Values))                                                           \
  X(ModuleUnload, "cuModuleUnload", (Module Unloaded))                         \
  X(ModuleGetFunction, "cuModuleGetFunction",                                  \
    (Function * Made, Module From, const char *Name))                          \
  X(FuncSetAttribute, "cuFuncSetAttribute",                                    \
    (Function Of, int Attribute, int Value))                                   \
  X(OccupancyMaxActiveBlocks, "cuOccupancyMaxActiveBlocksPerMultiprocessor",   \
    (int *Blocks, Function Of, int Threads, size_t SharedBytes))               \
  X(MemAlloc, "cuMemAlloc_v2", (Address * Made, size_t Bytes))                 \
  X(MemFree, "cuMemFree_v2", (Address Freed))                                  \
  X(MemAllocHost, "cuMemAllocHost_v2", (void **Made, size_t Bytes))            \
  X(MemFreeHost, "cuMemFreeHost", (void *Freed))                               \
  X(MemcpyHtoD, "cuMemcpyHtoDAsync_v2",                                        \
    (Address To, const void *From, size_t Bytes, Stream On))                   \
  X(MemcpyDtoH, "cuMemcpyDtoHAsync_v2",                                        \
    (void *To, Address From, size_t Bytes, Stream On))                         \
  X(MemcpyDtoD, "cuMemcpyDtoDAsync_v2",                                        \
    (Address To, Address From, size_t Bytes, Stream On))                       \
  X(MemsetD8, "cuMemsetD8Async",                                               \
    (Address To, unsigned char Value, size_t Bytes, Stream On))                \
  X(StreamCreate, "cuStreamCreate", (Stream * Made, unsigned Flags))           \
  X(StreamDestroy, "cuStreamDestroy_v2", (Stream Destroyed))                   \
  X(StreamSynchronize, "cuStreamSynchronize", (Stream Of))                     \
  X(LaunchCooperative, "cuLaunchCooperativeKernel",                            \
    (Function Of, unsigned GridX, unsigned GridY, unsigned GridZ,              \
     unsigned BlockX, unsigned BlockY, unsigned BlockZ, unsigned SharedBytes,  \
     Stream On, void **Parameters))                                            \
  X(GetErrorName, "cuGetErrorName", (Result Code, const char **Name))          \
  X(GetErrorString, "cuGetErrorString", (Result Code, const char **Text))

#define CRIA_CUDA_DECLARE(Name, Symbol, Parameters)                            \
  Result(*Name) Parameters = nullptr;
  CRIA_CUDA_FUNCTIONS(CRIA_CUDA_DECLARE)
#undef CRIA_CUDA_DECLARE

private:
  void *Library = nullptr;
};

} // namespace cria::runtime::cuda

#endif // CRIA_CUDA_DRIVER_H
