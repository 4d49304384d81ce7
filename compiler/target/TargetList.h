// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The targets of one artifact, a clone of the code for each.
//
//   auto list = cria::TargetList::get("native,x86-64-v3");
//   if (!list) return list.takeError(); // lists the accepted names

#ifndef CRIA_COMPILER_TARGET_TARGETLIST_H
#define CRIA_COMPILER_TARGET_TARGETLIST_H

#include "compiler/target/Target.h"

#include <vector>

namespace cria {

struct TargetList {
  /// All of one architecture, no two of equal `cpuFeatures` or name. The most
  /// capable comes first: what needs all that another one needs, and more, is
  /// before it, so that the first that a CPU can run is the best for it.
  std::vector<Target> targets;
  /// A line on each name that was left out, as its code would be another's.
  std::vector<std::string> remarks;

  /// Names as of Target::get, separated by commas; `isFast`: what
  /// Target::useFast adds counts.
  static llvm::Expected<TargetList> get(llvm::StringRef names,
                                        bool isFast = false);

  /// "x86-64-v4, x86-64-v3".
  std::string text() const;
};

} // namespace cria

#endif // CRIA_COMPILER_TARGET_TARGETLIST_H
