// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/target/GpuTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"

using namespace cria;

static constexpr GpuTarget kTargets[] = {
    {"sm_80", 80, false, "+ptx70"}, {"sm_86", 86, false, "+ptx71"},
    {"sm_89", 89, false, "+ptx78"}, {"sm_90", 90, false, "+ptx80"},
    {"sm_90a", 90, true, "+ptx80"}, {"sm_100", 100, false, "+ptx86"},
};

const GpuTarget *GpuTarget::find(llvm::StringRef name) {
  const GpuTarget *found = llvm::find_if(
      kTargets, [&](const GpuTarget &target) { return target.name == name; });
  return found == std::end(kTargets) ? nullptr : found;
}

llvm::ArrayRef<GpuTarget> GpuTarget::list() { return kTargets; }

llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
GpuTarget::createMachine() const {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return llvm::createStringError("this LLVM cannot make code for GPUs: " +
                                   error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, name, features, options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}
