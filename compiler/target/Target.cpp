// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/target/Target.h"

#include "runtime/include/cria/abi.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <vector>

using namespace cria;

namespace {

constexpr llvm::StringLiteral kTriple = "x86_64-unknown-linux-gnu";

/// The levels of the x86-64 psABI, 3.1.1, and what each adds. AVX-512 is left
/// to its level, as a CPU with a part of it gains little over AVX2.
struct Level {
  llvm::StringLiteral cpu;
  llvm::StringLiteral features;
  uint64_t bits;
  llvm::StringLiteral isa;
  unsigned vectorBits;
};
constexpr Level kLevels[] = {
    {"x86-64", "+64bit,+sse2", 0, "generic", 128},
    {"x86-64-v2", "+cx16,+popcnt,+sahf,+sse4.2,+ssse3", CRIA_CPU_SSE42,
     "generic", 128},
    {"x86-64-v3", "+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe",
     CRIA_CPU_SSE42 | CRIA_CPU_AVX2, "avx2", 256},
    {"x86-64-v4", "+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl",
     CRIA_CPU_SSE42 | CRIA_CPU_AVX2 | CRIA_CPU_AVX512, "avx2", 512},
};

/// Features beyond the levels. Those that would change results are left out:
/// AVX512-BF16 flushes denormals when it converts, and AMX has no kernel. A row
/// for AMX is all that its kernels need here: the runtime gets the permission
/// for its registers wherever a clone has the bit.
struct Feature {
  llvm::StringLiteral name;
  uint64_t bit;
  size_t level;            // least index into kLevels
  llvm::StringLiteral isa; // if the level's is not the best
};
constexpr Feature kFeatures[] = {
    {"+avxvnni", CRIA_CPU_AVXVNNI, 2, "avxvnni"},
    {"+avx512vnni", CRIA_CPU_AVX512VNNI, 3, "avx512vnni"},
    {"+gfni", CRIA_CPU_GFNI, 3, ""},
};

const llvm::Target *lookUpTarget(std::string &error) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  return llvm::TargetRegistry::lookupTarget(llvm::Triple(kTriple), error);
}

std::unique_ptr<llvm::MCSubtargetInfo> subtarget(const llvm::Target &target,
                                                 llvm::StringRef cpu,
                                                 llvm::StringRef features) {
  return std::unique_ptr<llvm::MCSubtargetInfo>(
      target.createMCSubtargetInfo(llvm::Triple(kTriple), cpu, features));
}

bool is64Bit(const llvm::Target &target, llvm::StringRef cpu) {
  return subtarget(target, cpu, "")->checkFeatures(kLevels[0].features);
}

llvm::Error unknownTarget(const llvm::Target &target, llvm::StringRef name) {
  std::vector<llvm::StringRef> cpus;
  std::unique_ptr<llvm::MCSubtargetInfo> base = subtarget(target, "x86-64", "");
  for (const llvm::SubtargetSubTypeKV &cpu :
       base->getAllProcessorDescriptions()) {
    llvm::StringRef key = cpu.Key;
    if (!key.starts_with("x86-64") && is64Bit(target, key))
      cpus.push_back(key);
  }
  return llvm::createStringError(
      "unknown target \"%s\"; accepted are native, x86-64, x86-64-v2, "
      "x86-64-v3, x86-64-v4, or a CPU: %s",
      name.str().c_str(), llvm::join(cpus, ", ").c_str());
}

std::string hostFeatures() {
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    features.push_back((feature.second ? "+" : "-") + feature.first().str());
  llvm::sort(features);
  return llvm::join(features, ",");
}

} // namespace

llvm::Expected<Target> Target::get(llvm::StringRef name) {
  std::string error;
  const llvm::Target *backend = lookUpTarget(error);
  if (!backend)
    return llvm::createStringError("this LLVM cannot make x86-64 code: " +
                                   error);

  bool native = name == "native";
  if (native && !llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    return llvm::createStringError(
        "target \"native\": this machine is %s, code can be made for x86-64",
        llvm::sys::getProcessTriple().c_str());
  llvm::StringRef cpu = native ? llvm::sys::getHostCPUName() : name;
  // A host that LLVM has no name for is described by its features alone.
  if (native && !subtarget(*backend, "x86-64", "")->isCPUStringValid(cpu))
    cpu = "x86-64";
  if (!subtarget(*backend, "x86-64", "")->isCPUStringValid(cpu) ||
      !is64Bit(*backend, cpu))
    return unknownTarget(*backend, name);

  std::unique_ptr<llvm::MCSubtargetInfo> info =
      subtarget(*backend, cpu, native ? hostFeatures() : "");
  size_t level = 0;
  while (level + 1 < std::size(kLevels) &&
         info->checkFeatures(kLevels[level + 1].features))
    ++level;

  Target target;
  target.name = cpu.str();
  target.triple = kTriple.str();
  target.cpu = kLevels[level].cpu.str();
  target.tuneCpu = cpu.str();
  target.cpuFeatures = kLevels[level].bits;
  target.isa = kLevels[level].isa.str();
  target.hasF16Conversion = kLevels[level].bits & CRIA_CPU_AVX2;
  target.vectorBits = kLevels[level].vectorBits;
  llvm::ListSeparator comma(",");
  for (const Feature &feature : kFeatures) {
    if (level < feature.level || !info->checkFeatures(feature.name))
      continue;
    // The 512-bit one does all that the 256-bit one does.
    if (feature.bit == CRIA_CPU_AVXVNNI && level == 3 &&
        info->checkFeatures("+avx512vnni"))
      continue;
    target.cpuFeatures |= feature.bit;
    target.features += llvm::StringRef(comma).str() + feature.name.str();
    if (!feature.isa.empty())
      target.isa = feature.isa.str();
  }
  return target;
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
Target::createMachine() const {
  std::string error;
  const llvm::Target *backend = lookUpTarget(error);
  if (!backend)
    return llvm::createStringError(error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(backend->createTargetMachine(
      llvm::Triple(triple), cpu, features, options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
}
