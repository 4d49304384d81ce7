// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Finds the first pass after which a model is no longer what it was.
//
// The module after each pass runs by the reference (ReferenceLowering.h), that
// is, without any of the passes that follow, and its logits are compared with
// those of an earlier one. So the first distance that is too large belongs to
// the pass in front of it.

#ifndef CRIA_COMPILER_VERIFY_VERIFIER_H
#define CRIA_COMPILER_VERIFY_VERIFIER_H

#include "compiler/import/Import.h"
#include "compiler/verify/PackedWeights.h"
#include "compiler/verify/PassTrace.h"
#include "compiler/verify/Trial.h"

#include <map>
#include <optional>

namespace cria {

/// How far two neighbours may be apart.
struct Tolerance {
  double error = 0, kl = 0;
  /// The arithmetic that the pass changes on purpose; null where it only
  /// reorders f32.
  const char *reason = nullptr;

  bool accepts(const Distance &distance) const {
    return distance.error <= error && distance.kl <= kl;
  }
};

/// One line of the report: `steps[after]` against `steps[before]`.
struct Comparison {
  size_t before = 0, after = 0;
  /// The machine code of the last step, through the llvm and emit stages.
  bool isNative = false;
  Tolerance tolerance;
  Distance distance;
  bool agrees() const { return tolerance.accepts(distance); }
};

class Verifier {
public:
  struct Options {
    PipelineOptions line;
    Target target;
    /// Only this stage.
    std::optional<Stage> stage;
    /// Of passes that reorder f32 only.
    double tolerance = 0.002;
    /// Of the machine code; the reference has one.
    int64_t threads = 1;
    AfterPass afterPass;
    /// Told what is being done; may be empty.
    std::function<void(llvm::StringRef what)> progress;
  };

  /// `packed`: the weights of a compiled folder, whose module is as after the
  /// dialect stage; null for a model that was imported.
  Verifier(ImportedModel model, std::unique_ptr<SafetensorsFile> packed,
           Trial trial, Options options, std::string scratchFolder);

  llvm::Error run();

  const std::vector<Step> &steps() const { return allSteps; }
  const std::vector<Comparison> &comparisons() const { return compared; }
  /// Where the first comparison diverged, down to a pass; steps[after] is of
  /// that pass. Empty where all agree.
  const std::optional<Comparison> &culprit() const { return found; }
  /// The first layer that the culprit changes; empty where it is outside of
  /// them.
  std::optional<int64_t> layer() const { return foundLayer; }
  /// The model's own, for a step's module.
  llvm::Expected<const SafetensorsFile *> weightsOf(mlir::ModuleOp module);

private:
  std::vector<Comparison> plan() const;
  Tolerance toleranceOf(size_t step) const;
  llvm::Expected<const Logits *> logits(size_t step);
  llvm::Expected<Logits> nativeLogits();
  llvm::Error bisect(const Comparison &coarse);
  llvm::Error findLayer();
  llvm::Expected<Distance> distanceOfLayers(int64_t count);
  llvm::Error replaceCodeCaches(mlir::ModuleOp module);
  void report(llvm::StringRef what);

  ImportedModel model;
  std::unique_ptr<SafetensorsFile> packed;
  Trial trial;
  Options options;
  std::string scratch;
  std::vector<Step> allSteps;
  /// Where rows are quantised by the code itself; one past the last if never.
  size_t quantisedFrom = 0;
  /// Where rows become bf16, and where attention takes f16 or integers.
  size_t pairsFrom = 0, halvesFrom = 0;
  std::vector<Comparison> compared;
  std::optional<Comparison> found;
  std::optional<int64_t> foundLayer;
  std::map<size_t, Logits> known;
  PackedWeights weights;
  /// The pass that stores the first codes into a cache; one past the last if
  /// there is none.
  size_t codesFrom = 0;
};

} // namespace cria

#endif // CRIA_COMPILER_VERIFY_VERIFIER_H
