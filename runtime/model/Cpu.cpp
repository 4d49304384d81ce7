// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/Cpu.h"

#include "model/Report.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

using namespace cria::runtime;

namespace {

struct FeatureName {
  uint64_t Bit;
  const char *Name;
};

constexpr FeatureName FeatureNames[] = {
    {CRIA_CPU_AVX2, "AVX2 with FMA, F16C and BMI2 (x86-64-v3)"},
    {CRIA_CPU_AVX512, "AVX-512 F, BW, CD, DQ and VL (x86-64-v4)"},
    {CRIA_CPU_AVX512VNNI, "AVX512-VNNI"},
    {CRIA_CPU_AVX512BF16, "AVX512-BF16"},
    {CRIA_CPU_AVX512FP16, "AVX512-FP16"},
    {CRIA_CPU_AMX_INT8, "AMX-INT8"},
    {CRIA_CPU_AMX_BF16, "AMX-BF16"},
    {CRIA_CPU_GFNI, "GFNI"},
    {CRIA_CPU_AVXVNNI, "AVX-VNNI"},
};

#if defined(__x86_64__)

constexpr uint64_t bit(unsigned Index) { return uint64_t{1} << Index; }

// State components of XCR0 (Intel SDM volume 1, 13.1).
constexpr uint64_t AvxState = bit(1) | bit(2);
constexpr uint64_t Avx512State = AvxState | bit(5) | bit(6) | bit(7);
constexpr uint64_t AmxState = bit(17) | bit(18);

uint64_t enabledStates(unsigned Leaf1Ecx) {
  constexpr unsigned OsXsave = 1u << 27;
  if (!(Leaf1Ecx & OsXsave))
    return 0;
  unsigned Low, High;
  __asm__ volatile("xgetbv" : "=a"(Low), "=d"(High) : "c"(0));
  return uint64_t{High} << 32 | Low;
}

CpuFeatures detect() {
  CpuFeatures Host;
  unsigned A = 0, B = 0, C = 0, D = 0;
  if (!__get_cpuid(1, &A, &B, &C, &D))
    return Host;
  unsigned Leaf1C = C;
  uint64_t States = enabledStates(Leaf1C);
  unsigned Leaf7B = 0, Leaf7C = 0, Leaf7D = 0, Leaf71A = 0;
  if (__get_cpuid_count(7, 0, &A, &B, &C, &D)) {
    unsigned Subleaves = A;
    Leaf7B = B, Leaf7C = C, Leaf7D = D;
    if (Subleaves >= 1 && __get_cpuid_count(7, 1, &A, &B, &C, &D))
      Leaf71A = A;
  }
  unsigned ExtendedC = 0;
  if (__get_cpuid(0x80000001, &A, &B, &C, &D))
    ExtendedC = C;

  auto Has = [](unsigned Register, std::initializer_list<unsigned> Bits) {
    for (unsigned Index : Bits)
      if (!(Register >> Index & 1))
        return false;
    return true;
  };
  auto Add = [&](uint64_t Feature, bool Present, uint64_t Needed) {
    if (!Present)
      return;
    Host.Present |= Feature;
    if ((States & Needed) == Needed)
      Host.Enabled |= Feature;
  };
  // FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT.
  bool V3 = Has(Leaf1C, {12, 22, 28, 29}) && Has(Leaf7B, {3, 5, 8}) &&
            Has(ExtendedC, {5});
  // F, DQ, CD, BW, VL.
  bool V4 = V3 && Has(Leaf7B, {16, 17, 28, 30, 31});
  Add(CRIA_CPU_AVX2, V3, AvxState);
  Add(CRIA_CPU_AVX512, V4, Avx512State);
  Add(CRIA_CPU_AVX512VNNI, V4 && Has(Leaf7C, {11}), Avx512State);
  Add(CRIA_CPU_AVX512BF16, V4 && Has(Leaf71A, {5}), Avx512State);
  Add(CRIA_CPU_AVX512FP16, V4 && Has(Leaf7D, {23}), Avx512State);
  Add(CRIA_CPU_AMX_INT8, Has(Leaf7D, {24, 25}), AmxState);
  Add(CRIA_CPU_AMX_BF16, Has(Leaf7D, {24, 22}), AmxState);
  Add(CRIA_CPU_GFNI, Has(Leaf7C, {8}), 0);
  Add(CRIA_CPU_AVXVNNI, V3 && Has(Leaf71A, {4}), AvxState);
  return Host;
}

/// Linux gives out the tile registers, 8 KB a thread, only on request.
bool requestTiles() {
  constexpr long RequestXcompPermission = 0x1023, XtileData = 18;
  return syscall(SYS_arch_prctl, RequestXcompPermission, XtileData) == 0;
}

struct Brand {
  char Text[49] = {};
  Brand() {
    unsigned Registers[12], A = 0, B = 0, C = 0, D = 0;
    if (!__get_cpuid(0x80000000, &A, &B, &C, &D) || A < 0x80000004)
      return;
    for (unsigned I = 0; I < 3; ++I)
      __get_cpuid(0x80000002 + I, &Registers[4 * I], &Registers[4 * I + 1],
                  &Registers[4 * I + 2], &Registers[4 * I + 3]);
    std::memcpy(Text, Registers, 48);
    size_t Skip = std::strspn(Text, " ");
    std::memmove(Text, Text + Skip, sizeof(Text) - Skip);
    for (size_t End = std::strlen(Text); End > 0 && Text[End - 1] == ' ';)
      Text[--End] = '\0';
  }
};

#else

CpuFeatures detect() { return CpuFeatures(); }
bool requestTiles() { return false; }
struct Brand {
  char Text[1] = {};
};

#endif

/// Appends the names of the features in `Bits`, separated by commas.
void listFeatures(uint64_t Bits, char *Text, size_t Capacity) {
  size_t Size = 0;
  Text[0] = '\0';
  auto Append = [&](const char *Name) {
    int Added = std::snprintf(Text + Size, Capacity - Size, "%s%s",
                              Size ? ", " : "", Name);
    if (Added > 0)
      Size = std::min(Capacity - 1, Size + static_cast<size_t>(Added));
  };
  for (const FeatureName &Feature : FeatureNames)
    if (Bits & Feature.Bit) {
      Append(Feature.Name);
      Bits &= ~Feature.Bit;
    }
  if (Bits) {
    char Unknown[64];
    std::snprintf(Unknown, sizeof(Unknown),
                  "feature bits 0x%llx unknown to this runtime",
                  static_cast<unsigned long long>(Bits));
    Append(Unknown);
  }
}

} // namespace

const CpuFeatures &cria::runtime::hostFeatures() noexcept {
  static const CpuFeatures Host = detect();
  return Host;
}

cria_status cria::runtime::checkFeatures(const cria_model &Model,
                                         const CpuFeatures &Host,
                                         cria_error *Error) noexcept {
  uint64_t Missing = Model.features & ~Host.Enabled;
  if (!Missing)
    return CRIA_OK;
  char Names[320];
  uint64_t Disabled = Missing & Host.Present;
  if (Disabled == Missing) {
    listFeatures(Disabled, Names, sizeof(Names));
    return report(Error, CRIA_WRONG_CPU,
                  "model \"%s\" is compiled for target \"%s\", which needs %s: "
                  "the processor has it, the operating system has not enabled "
                  "it; compile with --target native on this machine",
                  Model.name, Model.target, Names);
  }
  listFeatures(Missing, Names, sizeof(Names));
  const char *Name = cria_cpu_name();
  return report(Error, CRIA_WRONG_CPU,
                "model \"%s\" is compiled for target \"%s\", which needs %s: "
                "this processor (%s) lacks it; compile with --target native on "
                "this machine",
                Model.name, Model.target, Names, *Name ? Name : "unnamed");
}

cria_status cria::runtime::checkCpu(const cria_model &Model,
                                    cria_error *Error) noexcept {
  if (cria_status Status = checkFeatures(Model, hostFeatures(), Error))
    return Status;
  constexpr uint64_t Amx = CRIA_CPU_AMX_INT8 | CRIA_CPU_AMX_BF16;
  if ((Model.features & Amx) && !requestTiles())
    return report(
        Error, CRIA_WRONG_CPU,
        "model \"%s\" is compiled for target \"%s\", which needs AMX: "
        "the kernel refuses its registers (Linux 5.16 or later gives "
        "them); compile with --target x86-64-v4",
        Model.name, Model.target);
  return CRIA_OK;
}

uint64_t cria_cpu_features(void) { return hostFeatures().Enabled; }

const char *cria_cpu_name(void) {
  static const Brand Name;
  return Name.Text;
}
