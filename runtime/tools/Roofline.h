// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria bench --roofline: every op of a profiled model beside what this
// machine allows (Williams, Waterman, Patterson: Roofline, CACM 52, 2009).
//
// An op's floor is the largest of three times: its weights and KV cache at the
// rate of a read loop over as much memory, its activations at the rate of a
// read loop in a core's own cache, its operations at the processor's peak.
#ifndef CRIA_TOOLS_ROOFLINE_H
#define CRIA_TOOLS_ROOFLINE_H

#include "cria/cria.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cria::tools {

struct RooflineOptions {
  int64_t Prompt, Count; // tokens; 0: leave that phase out
  int64_t Depth, Batch, Repetitions;
  std::vector<int64_t> Threads;
  std::string Clone; // empty: the best for this processor
  bool AsJson;
  std::string HtmlPath; // empty: none
};

/// Measures and prints. The artifact has a profile. Throws a Failure.
void roofline(const cria_artifact *Artifact, const RooflineOptions &Options);

/// Rates per second, of all threads together.
struct Ceilings {
  double ReadBefore, ReadAfter; // around the measurement
  double Read;                  // the higher of the two
  double ReadAlone;             // by one thread
  double Cache, Int8, F32;
};

enum class Limit { Memory, Cache, Int8, F32 };
const char *limitName(Limit Which);

/// An op, summed over the layers of one step.
struct RooflineOp {
  std::string Name, Kind;
  double Calls = 0;
  double MemoryBytes = 0, ActivationBytes = 0, Operations = 0;
  bool Int8 = false;
  double Seconds = 0, MostSeconds = 0;
  double Floor = 0;
  Limit Bound = Limit::Memory;

  bool isWait() const { return Kind == "barrier"; }
  /// Percent of the limit that was reached.
  double percent() const { return Seconds > 0 ? 100 * Floor / Seconds : 0; }
  /// The bytes of the slower level, memory or cache.
  double boundBytes() const {
    return Bound == Limit::Cache ? ActivationBytes : MemoryBytes;
  }
};

/// One step is a decoded token (of each sequence), or a prompt.
struct RooflinePhase {
  std::string Name;            // "decode" or "prefill"
  std::string Title;           // with its sizes
  int64_t Tokens;              // of a step, all sequences
  double Seconds;              // of a step
  double Floor;                // sum over the ops
  double Wait;                 // at barriers
  double Rest;                 // starting and joining the threads
  std::vector<RooflineOp> Ops; // in program order, with the barriers
};

struct RooflineRun {
  int64_t Threads;
  Ceilings Roofs;
  std::vector<RooflinePhase> Phases;
};

struct RooflineReport {
  std::string Model, Target, Cpu, Version;
  uint64_t WeightBytes, ReadBytes;
  std::string ReadName, Int8Name, F32Name; // of the loops behind the ceilings
  int64_t Depth, Batch, Repetitions;
  std::vector<RooflineRun> Runs;
};

/// A page that stands alone: well-formed XML, styles and plots inline.
std::string rooflinePage(const RooflineReport &Report);

} // namespace cria::tools

#endif // CRIA_TOOLS_ROOFLINE_H
