// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One figure, measured several times.
#ifndef CRIA_TOOLS_SERIES_H
#define CRIA_TOOLS_SERIES_H

#include <algorithm>
#include <vector>

namespace cria::tools {

/// Everything but push_back wants at least one sample.
struct Series {
  std::vector<double> Samples;

  double median() const {
    std::vector<double> Sorted = Samples;
    std::sort(Sorted.begin(), Sorted.end());
    size_t Half = Sorted.size() / 2;
    return Sorted.size() % 2 ? Sorted[Half]
                             : (Sorted[Half - 1] + Sorted[Half]) / 2;
  }
  double least() const {
    return *std::min_element(Samples.begin(), Samples.end());
  }
  double most() const {
    return *std::max_element(Samples.begin(), Samples.end());
  }
  double spread() const { return (most() - least()) / 2; }
};

} // namespace cria::tools

#endif // CRIA_TOOLS_SERIES_H
