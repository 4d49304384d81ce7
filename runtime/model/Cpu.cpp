// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/Cpu.h"

#include "model/Report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

using namespace cria::runtime;

namespace {

struct FeatureName {
  uint64_t Bit;
  const char *Name;
  const char *Details; // for errors; null: the name says it all
};

constexpr FeatureName FeatureNames[] = {
    {CRIA_CPU_SSE42, "SSE4.2", "SSE4.2 with SSSE3 and POPCNT (x86-64-v2)"},
    {CRIA_CPU_AVX2, "AVX2", "AVX2 with FMA, F16C and BMI2 (x86-64-v3)"},
    {CRIA_CPU_AVX512, "AVX-512", "AVX-512 F, BW, CD, DQ and VL (x86-64-v4)"},
    {CRIA_CPU_AVX512VNNI, "AVX512-VNNI", nullptr},
    {CRIA_CPU_AVX512BF16, "AVX512-BF16", nullptr},
    {CRIA_CPU_AVX512FP16, "AVX512-FP16", nullptr},
    {CRIA_CPU_AMX_INT8, "AMX-INT8", "AMX-INT8 (with Linux 5.16 or later)"},
    {CRIA_CPU_AMX_BF16, "AMX-BF16", "AMX-BF16 (with Linux 5.16 or later)"},
    {CRIA_CPU_GFNI, "GFNI", nullptr},
    {CRIA_CPU_AVXVNNI, "AVX-VNNI", nullptr},
    {CRIA_CPU_DOTPROD, "DotProd", "the dot products of FEAT_DotProd (asimddp)"},
    {CRIA_CPU_I8MM, "I8MM", "the mixed-sign dot products of FEAT_I8MM (i8mm)"},
};

constexpr uint64_t TileFeatures = CRIA_CPU_AMX_INT8 | CRIA_CPU_AMX_BF16;

constexpr uint64_t bit(unsigned Index) { return uint64_t{1} << Index; }

// State components of XCR0 (Intel SDM volume 1, 13.1).
constexpr uint64_t AvxState = bit(1) | bit(2);
constexpr uint64_t Avx512State = AvxState | bit(5) | bit(6) | bit(7);
constexpr uint64_t TileState = bit(17) | bit(18);

#if defined(__x86_64__)

uint64_t enabledStates(unsigned Leaf1C) {
  constexpr unsigned OsXsave = 1u << 27;
  if (!(Leaf1C & OsXsave))
    return 0;
  unsigned Low, High;
  __asm__ volatile("xgetbv" : "=a"(Low), "=d"(High) : "c"(0));
  return uint64_t{High} << 32 | Low;
}

CpuFeatures detect() {
  Cpuid Registers;
  unsigned A = 0, B = 0, C = 0, D = 0;
  if (!__get_cpuid(1, &A, &B, &C, &D))
    return CpuFeatures();
  Registers.Leaf1C = C;
  Registers.Xcr0 = enabledStates(C);
  if (__get_cpuid_count(7, 0, &A, &B, &C, &D)) {
    unsigned Subleaves = A;
    Registers.Leaf7B = B, Registers.Leaf7C = C, Registers.Leaf7D = D;
    if (Subleaves >= 1 && __get_cpuid_count(7, 1, &A, &B, &C, &D))
      Registers.Leaf71A = A;
  }
  if (__get_cpuid(0x80000001, &A, &B, &C, &D))
    Registers.ExtendedC = C;
  return decodeCpuid(Registers);
}

bool requestTiles() {
  // ARCH_REQ_XCOMP_PERM of XFEATURE_XTILEDATA (Linux, arch/x86/xstate.rst).
  constexpr long RequestPermission = 0x1023, TileData = 18;
  return syscall(SYS_arch_prctl, RequestPermission, TileData) == 0;
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

#elif defined(__aarch64__) && defined(__linux__)

// Linux, Documentation/arch/arm64/elf_hwcaps.rst; by number, because the
// headers of an old C library lack the newer names.
constexpr unsigned long HwcapCpuid = 1ul << 11, HwcapAsimdDp = 1ul << 20,
                        Hwcap2I8mm = 1ul << 13;

CpuFeatures detect() {
  CpuFeatures Host;
  if (getauxval(AT_HWCAP) & HwcapAsimdDp)
    Host.Present |= CRIA_CPU_DOTPROD;
  if (getauxval(AT_HWCAP2) & Hwcap2I8mm)
    Host.Present |= CRIA_CPU_I8MM;
  // NEON has no state of its own for an operating system to enable.
  Host.Enabled = Host.Present;
  return Host;
}

bool requestTiles() { return false; }

/// The processor's numbers, as /proc/cpuinfo has them: it tells no name.
struct Brand {
  char Text[48] = {};
  Brand() {
    if (!(getauxval(AT_HWCAP) & HwcapCpuid))
      return;
    uint64_t Midr; // Arm ARM, MIDR_EL1; the kernel answers for it
    __asm__("mrs %0, MIDR_EL1" : "=r"(Midr));
    std::snprintf(Text, sizeof(Text), "AArch64 implementer 0x%02x part 0x%03x",
                  static_cast<unsigned>(Midr >> 24 & 0xff),
                  static_cast<unsigned>(Midr >> 4 & 0xfff));
  }
};

#else

CpuFeatures detect() { return CpuFeatures(); }
bool requestTiles() { return false; }
struct Brand {
  char Text[1] = {};
};

#endif

/// Text of bounded size; what does not fit is cut off.
template <size_t Capacity> class Text {
public:
  __attribute__((format(printf, 2, 3))) void add(const char *Format, ...) {
    va_list Arguments;
    va_start(Arguments, Format);
    int Added =
        std::vsnprintf(Bytes + Size, Capacity - Size, Format, Arguments);
    va_end(Arguments);
    if (Added > 0)
      Size = std::min(Capacity - 1, Size + static_cast<size_t>(Added));
  }
  /// "" the first time, then what stands between two.
  const char *separator(const char *Between) const {
    return Size ? Between : "";
  }
  bool empty() const { return !Size; }
  const char *get() const { return Bytes; }

private:
  char Bytes[Capacity] = {};
  size_t Size = 0;
};

/// The names of the features in `Bits`, separated by commas.
Text<400> featureList(uint64_t Bits) {
  Text<400> List;
  for (const FeatureName &Feature : FeatureNames)
    if (Bits & Feature.Bit) {
      List.add("%s%s", List.separator(", "),
               Feature.Details ? Feature.Details : Feature.Name);
      Bits &= ~Feature.Bit;
    }
  if (Bits)
    List.add("%sfeature bits 0x%llx unknown to this runtime",
             List.separator(", "), static_cast<unsigned long long>(Bits));
  return List;
}

bool canRun(const cria_clone &Clone, const CpuFeatures &Host) {
  return !(Clone.features & ~Host.Enabled);
}

/// "which needs ...: this processor lacks it".
Text<600> whyNot(const cria_clone &Clone, const CpuFeatures &Host) {
  uint64_t Missing = Clone.features & ~Host.Enabled;
  Text<600> Reason;
  if (!(Missing & ~Host.Present)) {
    Reason.add("needs %s: the processor has it, the operating system has not "
               "enabled it",
               featureList(Missing).get());
  } else {
    const char *Name = cria_cpu_name();
    Reason.add("needs %s: this processor (%s) lacks it",
               featureList(Missing & ~Host.Present).get(),
               *Name ? Name : "unnamed");
  }
  return Reason;
}

cria_status noClone(const cria_model &Model, const CpuFeatures &Host,
                    cria_error *Error) {
  if (Model.n_clones == 1)
    return report(Error, CRIA_WRONG_CPU,
                  "model \"%s\" is compiled for target \"%s\", which %s; "
                  "compile with --target native on this machine",
                  Model.name, Model.clones[0].target,
                  whyNot(Model.clones[0], Host).get());
  Text<720> Reasons;
  for (int64_t I = 0; I < Model.n_clones; ++I) {
    const cria_clone &Clone = Model.clones[I];
    Reasons.add("%s%s lacks %s", Reasons.separator("; "), Clone.target,
                featureList(Clone.features & ~Host.Enabled).get());
  }
  const char *Name = cria_cpu_name();
  return report(Error, CRIA_WRONG_CPU,
                "model \"%s\" has no clone for this processor (%s): %s; "
                "compile with --target native on this machine",
                Model.name, *Name ? Name : "unnamed", Reasons.get());
}

} // namespace

CpuFeatures cria::runtime::decodeCpuid(const Cpuid &Registers) noexcept {
  CpuFeatures Host;
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
    if ((Registers.Xcr0 & Needed) == Needed)
      Host.Enabled |= Feature;
  };
  unsigned B = Registers.Leaf7B, C = Registers.Leaf7C, D = Registers.Leaf7D;
  // SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT; LAHF.
  bool V2 = Has(Registers.Leaf1C, {0, 9, 13, 19, 20, 23}) &&
            Has(Registers.ExtendedC, {0});
  // FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT.
  bool V3 = V2 && Has(Registers.Leaf1C, {12, 22, 28, 29}) &&
            Has(B, {3, 5, 8}) && Has(Registers.ExtendedC, {5});
  // F, DQ, CD, BW, VL.
  bool V4 = V3 && Has(B, {16, 17, 28, 30, 31});
  Add(CRIA_CPU_SSE42, V2, 0);
  Add(CRIA_CPU_AVX2, V3, AvxState);
  Add(CRIA_CPU_AVX512, V4, Avx512State);
  Add(CRIA_CPU_AVX512VNNI, V4 && Has(C, {11}), Avx512State);
  Add(CRIA_CPU_AVX512BF16, V4 && Has(Registers.Leaf71A, {5}), Avx512State);
  Add(CRIA_CPU_AVX512FP16, V4 && Has(D, {23}), Avx512State);
  Add(CRIA_CPU_AMX_INT8, Has(D, {24, 25}), TileState);
  Add(CRIA_CPU_AMX_BF16, Has(D, {24, 22}), TileState);
  Add(CRIA_CPU_GFNI, Has(C, {8}), 0);
  Add(CRIA_CPU_AVXVNNI, V3 && Has(Registers.Leaf71A, {4}), AvxState);
  return Host;
}

CpuFeatures cria::runtime::withTiles(CpuFeatures Host, bool Granted) noexcept {
  if (!Granted)
    Host.Enabled &= ~TileFeatures;
  return Host;
}

CpuFeatures cria::runtime::hostFeatures(uint64_t Wanted) noexcept {
  static const CpuFeatures Host = detect();
  if (!(Wanted & Host.Enabled & TileFeatures))
    return withTiles(Host, false);
  static const bool Granted = requestTiles();
  return withTiles(Host, Granted);
}

cria_status cria::runtime::chooseClone(const cria_model &Model,
                                       const char *Name,
                                       const CpuFeatures &Host,
                                       const cria_clone *&Chosen,
                                       cria_error *Error) noexcept {
  Chosen = nullptr;
  Text<400> All, Able;
  for (int64_t I = 0; I < Model.n_clones; ++I) {
    const cria_clone &Clone = Model.clones[I];
    if (Name ? !std::strcmp(Name, Clone.target) : canRun(Clone, Host)) {
      Chosen = &Clone;
      break;
    }
  }
  if (Chosen && canRun(*Chosen, Host))
    return CRIA_OK;
  if (!Name)
    return noClone(Model, Host, Error);
  for (int64_t I = 0; I < Model.n_clones; ++I) {
    const cria_clone &Clone = Model.clones[I];
    All.add("%s%s", All.separator(", "), Clone.target);
    if (canRun(Clone, Host))
      Able.add("%s%s", Able.separator(", "), Clone.target);
  }
  if (!Chosen)
    return report(Error, CRIA_INVALID_ARGUMENT,
                  "clone \"%s\": model \"%s\" has no clone of this name; it "
                  "has %s",
                  Name, Model.name, All.get());
  Text<600> Reason = whyNot(*Chosen, Host);
  Chosen = nullptr;
  return report(Error, CRIA_WRONG_CPU,
                "clone \"%s\" of model \"%s\" %s; clones that can run here: %s",
                Name, Model.name, Reason.get(),
                Able.empty() ? "none" : Able.get());
}

cria_status cria::runtime::chooseClone(const cria_model &Model,
                                       const char *Name,
                                       const cria_clone *&Chosen,
                                       cria_error *Error) noexcept {
  uint64_t Wanted = 0;
  for (int64_t I = 0; I < Model.n_clones; ++I)
    Wanted |= Model.clones[I].features;
  return chooseClone(Model, Name, hostFeatures(Wanted), Chosen, Error);
}

uint64_t cria_cpu_features(void) { return hostFeatures(~uint64_t{0}).Enabled; }

const char *cria_cpu_feature_name(uint64_t feature) {
  for (const FeatureName &Feature : FeatureNames)
    if (Feature.Bit == feature)
      return Feature.Name;
  return nullptr;
}

const char *cria_cpu_name(void) {
  static const Brand Name;
  return Name.Text;
}
