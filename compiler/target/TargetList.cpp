// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/target/TargetList.h"

#include "runtime/include/cria/abi.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Triple.h"

using namespace cria;

namespace {

/// What decides between two clones that a CPU can run, the weightiest last.
constexpr uint64_t kByWeight[] = {
    CRIA_CPU_GFNI,       CRIA_CPU_SSE42,      CRIA_CPU_AVX2,
    CRIA_CPU_AVXVNNI,    CRIA_CPU_AVX512,     CRIA_CPU_AVX512FP16,
    CRIA_CPU_AVX512BF16, CRIA_CPU_AVX512VNNI, CRIA_CPU_AMX_INT8,
    CRIA_CPU_AMX_BF16,   CRIA_CPU_DOTPROD,    CRIA_CPU_I8MM};

/// More features give more, so that the order extends inclusion.
uint64_t capability(const Target &target) {
  uint64_t sum = 0;
  for (auto [place, bit] : llvm::enumerate(kByWeight))
    if (target.cpuFeatures & bit)
      sum |= uint64_t{1} << place;
  return sum;
}

llvm::StringRef architecture(const Target &target) {
  return llvm::Triple::getArchTypeName(llvm::Triple(target.triple).getArch());
}

/// A virtual machine may hide what the CPU of that name has: the name of this
/// machine's target is then made of its features.
llvm::Error nameByFeatures(Target &native, bool isFast) {
  llvm::Expected<Target> whole = Target::get(native.name);
  if (!whole)
    return whole.takeError();
  if (isFast)
    whole->useFast();
  if (whole->cpuFeatures == native.cpuFeatures)
    return llvm::Error::success();
  native.name = native.cpu == "generic" ? "aarch64" : native.cpu;
  for (char c : native.features)
    if (c != ',')
      native.name.push_back(c);
  return llvm::Error::success();
}

} // namespace

llvm::Expected<TargetList> TargetList::get(llvm::StringRef names, bool isFast) {
  llvm::SmallVector<llvm::StringRef> parts;
  names.split(parts, ',');
  TargetList list;
  for (llvm::StringRef part : parts) {
    llvm::StringRef name = part.trim();
    llvm::Expected<Target> target = Target::get(name);
    if (!target)
      return target.takeError();
    if (isFast)
      target->useFast();
    if (name == "native")
      if (llvm::Error error = nameByFeatures(*target, isFast))
        return error;
    if (!list.targets.empty() &&
        architecture(list.targets.front()) != architecture(*target))
      return llvm::createStringError(
          "%s is for %s and %s for %s; an artifact takes clones of one "
          "architecture",
          list.targets.front().name.c_str(),
          architecture(list.targets.front()).str().c_str(),
          target->name.c_str(), architecture(*target).str().c_str());
    auto same = llvm::find_if(list.targets, [&](const Target &other) {
      return other.cpuFeatures == target->cpuFeatures;
    });
    if (same == list.targets.end())
      list.targets.push_back(std::move(*target));
    else
      list.remarks.push_back("no clone for " + name.str() +
                             ": it needs the same CPU features as " +
                             same->name + ", whose clone runs in its place");
  }
  llvm::sort(list.targets, [](const Target &a, const Target &b) {
    return capability(a) > capability(b);
  });
  return list;
}

std::string TargetList::text() const {
  std::string text;
  llvm::ListSeparator comma;
  for (const Target &target : targets)
    text += llvm::StringRef(comma).str() + target.name;
  return text;
}
