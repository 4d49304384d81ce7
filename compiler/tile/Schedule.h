// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How one kernel op is cut, where `cria tune` may choose. A schedule is the
// discardable attribute `cria.schedule` of the op, a dictionary of the knobs
// that differ from what the passes would take:
//
//   cria.fused_linear ... {cria.schedule = {"block-tokens" = 6 : i64}}
//
// The knob `provider` is a word: whose kernels the op gets, where these cover
// it (cria-bind-halide).
//
//   cria.fused_linear ... {cria.schedule = {provider = "halide"}}
//
// Speed only: no value of a knob changes a bit of a result.
//
// `cria tune` writes a record, which `cria compile --tune` reads:
//
//   {"cria_tune": 1, "target": "x86-64-v4+avx512vnni+gfni", "ops": [
//     {"op": "layers.gate+layers.up", "version": "prefill",
//      "shape": "2 x <1536x576, q4, block = 32, min, n16k4>",
//      "winner": {"block-tokens": 6}}]}
//
// with the measurements beside it, which are not read here.

#ifndef CRIA_COMPILER_TILE_SCHEDULE_H
#define CRIA_COMPILER_TILE_SCHEDULE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace cria {

constexpr llvm::StringLiteral kScheduleAttr = "cria.schedule";
/// The format of the record.
constexpr int64_t kTuningFormat = 1;

struct Knob {
  llvm::StringLiteral name;
  int64_t least, most, multiple;
};

/// rows: output rows of a linear's tile, the unit that threads are dealt
/// (cria-tile). The others are options of cria-vectorize-linear and
/// cria-vectorize-attention.
constexpr Knob kKnobs[] = {
    {"rows", 16, 4096, 16},      {"tokens", 1, 64, 1},
    {"panels", 1, 2, 1},         {"block-tokens", 0, 64, 1},
    {"prefetch", 0, 1 << 20, 1}, {"stream", 0, 1 << 20, 1},
    {"accumulators", 1, 64, 1},
};

/// The knob that is a word, and its values: the first is the default. The
/// others are Halide's, with a schedule by hand or by one of its
/// autoschedulers.
constexpr llvm::StringLiteral kProviderKnob = "provider";
constexpr llvm::StringLiteral kCriaProvider = "cria";
constexpr llvm::StringLiteral kProviders[] = {
    kCriaProvider, "halide", "halide-adams2019", "halide-mullapudi2016"};

/// The error says what is accepted.
llvm::Error checkKnob(llvm::StringRef name, int64_t value);
llvm::Error checkProvider(llvm::StringRef value);

struct KnobValue {
  llvm::StringRef name;
  int64_t &value;
};

/// Puts what the op's schedule says into `values`, and leaves the others as
/// they are. A malformed schedule is an error on the op.
mlir::LogicalResult takeSchedule(mlir::Operation *op,
                                 llvm::ArrayRef<KnobValue> values);

/// The provider of the op's schedule, one of kProviders.
mlir::FailureOr<llvm::StringRef> takeProvider(mlir::Operation *op);

/// What a record knows an op by: the parameters that it reads, joined by "+",
/// or the name of its kind of attention; and its shape. Empty for what has no
/// schedule. The same before and after tiling, on tensors and on memrefs.
std::string scheduleName(mlir::Operation *op);
std::string scheduleShape(mlir::Operation *op);

struct TunedOp {
  std::string op, version, shape;
  std::vector<std::pair<std::string, int64_t>> winner;
  std::string provider = kCriaProvider.str();
};

struct TuningRecord {
  std::string target;
  std::vector<TunedOp> ops;

  /// Whether an op's winner is of another provider than cria.
  bool needsHalide() const;

  /// Errors name the file, the key and what would be accepted.
  static llvm::Expected<TuningRecord> read(llvm::StringRef path);
};

} // namespace cria

#endif // CRIA_COMPILER_TILE_SCHEDULE_H
