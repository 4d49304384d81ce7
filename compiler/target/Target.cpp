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

#include <optional>
#include <vector>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

using namespace cria;

namespace {

constexpr llvm::StringLiteral kX86Triple = "x86_64-unknown-linux-gnu";
constexpr llvm::StringLiteral kArmTriple = "aarch64-unknown-linux-gnu";

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
    {"x86-64", "+64bit,+sse2", 0, "sse2", 128},
    {"x86-64-v2", "+cx16,+popcnt,+sahf,+sse4.2,+ssse3", CRIA_CPU_SSE42, "sse2",
     128},
    {"x86-64-v3", "+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe",
     CRIA_CPU_SSE42 | CRIA_CPU_AVX2, "avx2", 256},
    {"x86-64-v4", "+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl",
     CRIA_CPU_SSE42 | CRIA_CPU_AVX2 | CRIA_CPU_AVX512, "avx2", 512},
};

/// Features beyond the levels. Those that would change results are left to
/// Target::useFast: AVX512-BF16 and AMX-BF16 flush denormals, AVX512-FP16
/// rounds to 11 bits. AMX-INT8 is exact, and comes with AVX512-VNNI wherever it
/// is: its tiles take prefill, 16 tokens at a time. The runtime gets the
/// permission for their registers wherever a clone has the bit.
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
    {"+amx-tile,+amx-int8", CRIA_CPU_AMX_INT8, 3, ""},
};

/// What AArch64's baseline, Armv8.0-A with NEON, may lack; the last that a CPU
/// has decides the isa. Left out, because their results would differ: BF16
/// (rounds and flushes as it likes) and arithmetic in f16.
constexpr llvm::StringLiteral kArmBase = "+neon,+fp-armv8";
struct ArmFeature {
  llvm::StringLiteral name;
  uint64_t bit;
  llvm::StringLiteral isa;
};
constexpr ArmFeature kArmFeatures[] = {
    {"dotprod", CRIA_CPU_DOTPROD, "dotprod"},
    {"i8mm", CRIA_CPU_I8MM, "i8mm"},
};

/// One of LLVM's backends, and what a CPU must have for cria's code.
class Backend {
public:
  static llvm::Expected<Backend> get(llvm::StringRef triple) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    Backend backend;
    backend.triple = llvm::Triple(triple);
    std::string error;
    backend.target = llvm::TargetRegistry::lookupTarget(backend.triple, error);
    if (!backend.target)
      return llvm::createStringError("this LLVM cannot make code for " +
                                     triple + ": " + error);
    return backend;
  }

  std::unique_ptr<llvm::MCSubtargetInfo>
  subtarget(llvm::StringRef cpu, llvm::StringRef features = "") const {
    return std::unique_ptr<llvm::MCSubtargetInfo>(
        target->createMCSubtargetInfo(triple, cpu, features));
  }

  /// `cpu` exists and has the baseline: 64 bits, or NEON.
  bool accepts(llvm::StringRef cpu) const {
    return subtarget("")->isCPUStringValid(cpu) &&
           subtarget(cpu)->checkFeatures(
               triple.isAArch64() ? kArmBase : kLevels[0].features);
  }

  std::string listCpus() const {
    std::unique_ptr<llvm::MCSubtargetInfo> base = subtarget("");
    std::vector<llvm::StringRef> cpus;
    for (const llvm::SubtargetSubTypeKV &cpu :
         base->getAllProcessorDescriptions())
      if (llvm::StringRef key = cpu.Key;
          !key.starts_with("x86-64") && key != "generic" && accepts(key))
        cpus.push_back(key);
    return llvm::join(cpus, ", ");
  }

  llvm::Triple triple;
  const llvm::Target *target = nullptr;
};

llvm::Error unknownTarget(const Backend &x86, const Backend &arm,
                          llvm::StringRef name) {
  return llvm::createStringError(
      "unknown target \"%s\"; accepted are native, x86-64, x86-64-v2, "
      "x86-64-v3, x86-64-v4, aarch64, aarch64+dotprod, aarch64+dotprod+i8mm, "
      "or a CPU: %s; with AArch64: %s",
      name.str().c_str(), x86.listCpus().c_str(), arm.listCpus().c_str());
}

/// Whether Linux lets a process use AMX's tile registers, for which it has to
/// ask: a sandbox may say no where the CPU says yes.
bool mayUseTiles() {
#if defined(__x86_64__) && defined(__linux__)
  // ARCH_REQ_XCOMP_PERM of XFEATURE_XTILEDATA (Linux, arch/x86/xstate.rst).
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return false;
#endif
}

std::string hostFeatures() {
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures()) {
    llvm::StringRef name = feature.first();
    bool present =
        feature.second && (!name.starts_with("amx-") || mayUseTiles());
    features.push_back((present ? "+" : "-") + name.str());
  }
  llvm::sort(features);
  return llvm::join(features, ",");
}

/// `hostFeatures` are empty but for the CPU of this machine.
Target makeX86(const Backend &backend, llvm::StringRef cpu,
               llvm::StringRef hostFeatures) {
  std::unique_ptr<llvm::MCSubtargetInfo> info =
      backend.subtarget(cpu, hostFeatures);
  size_t level = 0;
  while (level + 1 < std::size(kLevels) &&
         info->checkFeatures(kLevels[level + 1].features))
    ++level;

  Target target;
  target.name = cpu.str();
  target.triple = kX86Triple.str();
  target.cpu = kLevels[level].cpu.str();
  target.tuneCpu = cpu.str();
  target.cpuFeatures = kLevels[level].bits;
  target.isa = kLevels[level].isa.str();
  target.hasF16Conversion = target.hasFma = kLevels[level].bits & CRIA_CPU_AVX2;
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
  target.dot2I16Isa = target.isa;
  // Where bytes have no 512-bit product, words do.
  if (target.vectorBits == 512 && target.isa != "avx512vnni")
    target.dot2I16Isa = "avx512bw";
  // vpmaddubsw saturates, so that bytes take two of it, and each a vpmaddwd.
  target.hasWordProducts = target.isa == "sse2" || target.isa == "avx2";
  // A vector of 16 lanes is one of AVX-512's 32 registers, two of AVX2's 16,
  // four of SSE's. VectorizeLinear.cpp has the count for a linear. Attention
  // carries sums only: 24 of 32 leave 8 for operands, 12 of 16 (6 of twice two)
  // leave 4.
  if (target.vectorBits == 512) {
    target.attentionAccumulators = 24;
    target.linearTokens = 12;
    target.linearPanels = target.linearFloatPanels = 2;
    if (target.isa == "avx512vnni")
      target.linearBlockTokens = 6;
  }
  // Two row vectors' codes of a block are 32 registers of 256 bits: they are
  // unpacked to the stack, once for 64 tokens instead of for every 4, and each
  // broadcast of four activations serves both. SmolLM2's prompts take 0.88 of
  // the time in q4, 0.93 in q8, on AVX-VNNI 0.9 to 0.97. Two tokens at once
  // need all 16 registers for sums and dots, and are no faster. (AVX-512
  // without VNNI would take halves of the codes for each token: 1.4 of the time
  // of 12 tokens' sums in registers, which is 0.95 of that of 4.) Floats: 6
  // tokens are 12 chains of FMAs, which take 4 cycles at 2 a cycle: 0.95 of the
  // time of 4; of two row vectors 3 tokens would fit, in 1.3 of the time.
  if (target.vectorBits == 256) {
    target.linearPanels = 2;
    target.linearBlockTokens = 1;
  }
  // One token's f32 sums and dots are half of SSE2's 16 registers; two tokens'
  // code is half as long again and no faster that one could measure, because
  // FMAs are calls, which no register survives.
  if (target.isa == "sse2") {
    target.linearTokens = 1;
    target.attentionAccumulators = 2;
  }
  if (target.cpuFeatures & CRIA_CPU_AMX_INT8)
    target.tileIsa = "amx";
  // What a linear needs around its products of pairs comes with VNNI.
  if (target.isa == "avx512vnni") {
    if (info->checkFeatures("+avx512fp16"))
      target.fastFeatures |= CRIA_CPU_AVX512FP16;
    if (info->checkFeatures("+avx512bf16"))
      target.fastFeatures |= CRIA_CPU_AVX512BF16;
    if (!target.tileIsa.empty() && info->checkFeatures("+amx-bf16"))
      target.fastFeatures |= CRIA_CPU_AMX_BF16;
  }
  return target;
}

/// `features` as LLVM writes them: "+dotprod".
Target makeArm(const Backend &backend, llvm::StringRef name,
               llvm::StringRef cpu, llvm::StringRef features) {
  std::unique_ptr<llvm::MCSubtargetInfo> info =
      backend.subtarget(cpu, features);
  Target target;
  target.name = name.str();
  target.triple = kArmTriple.str();
  target.cpu = "generic";
  target.tuneCpu = cpu.str();
  target.isa = target.dot2I16Isa = "neon";
  target.hasF16Conversion = target.hasFma = true;
  target.vectorBits = 128;
  llvm::ListSeparator comma(",");
  for (const ArmFeature &feature : kArmFeatures) {
    std::string flag = "+" + feature.name.str();
    if (!info->checkFeatures(flag))
      continue;
    target.cpuFeatures |= feature.bit;
    target.features += llvm::StringRef(comma).str() + flag;
    target.isa = feature.isa.str();
  }
  // A vector of 16 lanes is four of 32 registers. A token of a linear takes two
  // such vectors (f32 sums, integer dots): two tokens leave 16 registers for
  // nibbles and scales of a block, and hardly spill. LLVM's model of Neoverse
  // N1 has 4-bit products of four tokens, which spill, at 1.0 to 1.5 times the
  // cycles a token; of one, at 1.15 to 1.3 times. Attention: 6 sums take 24
  // registers and leave 8, for a vector of K or V and a broadcast.
  target.linearTokens = 2;
  target.attentionAccumulators = 6;
  return target;
}

/// The features of "aarch64+dotprod", as LLVM writes them, or nothing if
/// `name` is not of this form.
std::optional<std::string> armFeatures(llvm::StringRef name) {
  if (!name.consume_front("aarch64"))
    return std::nullopt;
  llvm::SmallVector<llvm::StringRef> words;
  name.split(words, '+');
  if (!words.front().empty())
    return std::nullopt;
  std::vector<std::string> features;
  for (llvm::StringRef word : llvm::drop_begin(words)) {
    if (llvm::none_of(kArmFeatures, [&](const ArmFeature &feature) {
          return feature.name == word;
        }))
      return std::nullopt;
    features.push_back("+" + word.str());
  }
  return llvm::join(features, ",");
}

} // namespace

llvm::Expected<Target> Target::get(llvm::StringRef name) {
  llvm::Expected<Backend> x86 = Backend::get(kX86Triple);
  if (!x86)
    return x86.takeError();
  llvm::Expected<Backend> arm = Backend::get(kArmTriple);
  if (!arm)
    return arm.takeError();

  if (name == "native") {
    llvm::Triple host(llvm::sys::getProcessTriple());
    llvm::StringRef cpu = llvm::sys::getHostCPUName();
    // A host that LLVM has no name for is described by its features alone.
    if (host.isX86())
      return makeX86(*x86, x86->accepts(cpu) ? cpu : "x86-64", hostFeatures());
    if (!host.isAArch64())
      return llvm::createStringError(
          "target \"native\": this machine is %s, code can be made for x86-64 "
          "and AArch64",
          host.str().c_str());
    bool known = arm->accepts(cpu) && cpu != "generic";
    return makeArm(*arm, known ? cpu : "aarch64", known ? cpu : "generic",
                   hostFeatures());
  }
  if (x86->accepts(name))
    return makeX86(*x86, name, "");
  if (std::optional<std::string> features = armFeatures(name))
    return makeArm(*arm, name, "generic", *features);
  if (arm->accepts(name))
    return makeArm(*arm, name, name, "");
  return unknownTarget(*x86, *arm, name);
}

/// Adds `bit`, which LLVM calls `name`.
static void addFeature(Target &target, uint64_t bit, llvm::StringRef name) {
  if (target.cpuFeatures & bit)
    return;
  target.cpuFeatures |= bit;
  target.features += (target.features.empty() ? "" : ",") + name.str();
}

void Target::forceBf16(llvm::StringRef isa) {
  if (isa == "avx512bf16")
    addFeature(*this, CRIA_CPU_AVX512BF16, "+avx512bf16");
  if (tileIsa == "amx")
    addFeature(*this, CRIA_CPU_AMX_BF16, "+amx-bf16");
  dot2Isa = isa;
  hasPairTiles = !tileIsa.empty();
}

void Target::useFast() {
  if (fastFeatures & CRIA_CPU_AVX512FP16) {
    hasHalves = true;
    addFeature(*this, CRIA_CPU_AVX512FP16, "+avx512fp16");
  }
  // A `vdpbf16ps` is four FLOPs a lane, an FMA two. Zen 4 and 5 issue as many
  // of either. Intel's cores were measured (Emerald Rapids, in registers) at
  // 86 GFLOPS of it and 172 of FMA: there it only takes what tiles leave over,
  // the last tokens of a prompt, whose rows are bf16 already.
  bool hasTiles = fastFeatures & CRIA_CPU_AMX_BF16;
  bool isAmd = llvm::StringRef(tuneCpu).starts_with("znver");
  if (!(fastFeatures & CRIA_CPU_AVX512BF16) || (!hasTiles && !isAmd))
    return;
  dot2Isa = "avx512bf16";
  addFeature(*this, CRIA_CPU_AVX512BF16, "+avx512bf16");
  hasPairTiles = hasTiles;
  if (hasTiles)
    addFeature(*this, CRIA_CPU_AMX_BF16, "+amx-bf16");
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
Target::createMachine() const {
  llvm::Expected<Backend> backend = Backend::get(triple);
  if (!backend)
    return backend.takeError();
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(
      backend->target->createTargetMachine(
          backend->triple, cpu, features, options, llvm::Reloc::PIC_,
          llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
}
