// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/tile/TuningSpace.h"

#include "compiler/halide/BindHalide.h"
#include "compiler/target/Tiles.h"
#include "compiler/tile/Schedule.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include <map>
#include <set>

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kLanes = CriaDialect::kLanes;

using Values = std::map<std::string, int64_t>;

/// Time of an op with a choice of knobs, in units of its own.
class Model {
public:
  Model(FusedLinearOp op, bool decode, const TuningMachine &machine)
      : decode(decode), threads(machine.threads) {
    Value weight = op.getWeights().front();
    while (auto slice = weight.getDefiningOp<WeightSliceOp>())
      weight = slice.getSource();
    type = cast<WeightType>(weight.getType());
    weights = op.getWeights().size();
    // A vector of 16 lanes takes several registers where they are narrower.
    registersPerVector = 512 / std::max(128u, machine.vectorBits);
    registers = (machine.vectorBits >= 512 ? 32 : 16) / registersPerVector;
  }

  double time(const Values &knobs) const {
    double kernel = 1;
    if (!decode)
      kernel =
          knobs.at("block-tokens") > 0 ? blockKernel(knobs) : tileKernel(knobs);
    return kernel * threadShare(knobs.at("rows"));
  }

  int64_t rows() const { return type.getN(); }

private:
  /// What the slowest thread does, over an even share; and what starting tiles
  /// costs, 30 cycles each (Tiles.h).
  double threadShare(int64_t rows) const {
    int64_t tiles = llvm::divideCeil(type.getN(), rows);
    double slowest =
        static_cast<double>(llvm::divideCeil(tiles, threads) * threads * rows);
    // At decode a vector of codes comes from memory, about 8 cycles a line.
    double work = static_cast<double>(rows) / kLanes *
                  static_cast<double>(type.getK()) / 4 *
                  (decode ? 8 : static_cast<double>(kTokenBlock));
    return slowest / static_cast<double>(type.getN()) * (1 + 30 / work);
  }

  /// A GLU's two weights, or two groups of 16 rows, if a tile has as many.
  int64_t panelsOf(const Values &knobs) const {
    int64_t groups = std::min(knobs.at("panels"), knobs.at("rows") / kLanes);
    return std::min<int64_t>(groups * weights, 2);
  }

  double spills(int64_t needed) const {
    int64_t excess = std::max<int64_t>(0, needed - registers);
    return 1 + 0.1 * static_cast<double>(excess);
  }

  /// Cycles for a token, a panel and a block whose codes stay in registers: 8
  /// products and 3 operations of the scale on two ports, the loads of
  /// broadcast activations and of the sum on two others, and no fewer than
  /// the latency (5) of the products of all chains allows.
  double blockKernel(const Values &knobs) const {
    int64_t tokens = knobs.at("block-tokens"), panels = panelsOf(knobs);
    double chains = static_cast<double>(tokens * panels);
    double products = (8 + 3) / 2.0;
    double loads = (8.0 / static_cast<double>(panels) + 2) / 2 + 0.5;
    double latency = 8 * 5 / chains;
    int64_t needed = 8 * panels + tokens * panels + 3;
    return std::max({products, loads, latency}) * spills(needed);
  }

  /// The same where tokens' sums stay in registers and codes are loaded again
  /// for each tile of tokens.
  double tileKernel(const Values &knobs) const {
    auto tokens = static_cast<double>(knobs.at("tokens"));
    if (!type.isQuantized()) {
      int64_t panels = panelsOf(knobs);
      double chains = tokens * static_cast<double>(panels);
      double loads = (static_cast<double>(panels) + tokens) / chains / 2;
      double latency = 4 / chains;
      int64_t needed = knobs.at("tokens") * panels + panels + 2;
      return std::max({0.5, loads, latency}) * spills(needed);
    }
    double unpack = (type.getElement() == ElementKind::q8 ? 8 : 20) / tokens;
    double products = (8 + 3 + unpack) / 2;
    double latency = 8 * 5 / tokens;
    return std::max(products, latency) * spills(2 * knobs.at("tokens") + 6);
  }

  WeightType type;
  int64_t weights;
  bool decode;
  int64_t threads;
  int64_t registersPerVector, registers;
};

llvm::json::Value toJson(const Values &values) {
  llvm::json::Object object;
  for (const auto &[name, value] : values)
    object[name] = value;
  return object;
}

/// Values of each knob that the op's kernel looks at; the first is the default.
std::map<std::string, std::vector<int64_t>>
linearKnobs(FusedLinearOp op, bool decode, const Values &defaults) {
  std::map<std::string, std::vector<int64_t>> knobs = {
      {"rows", {16, 32, 64, 128, 256}},
      {"prefetch", {0, 1024, 2048, 4096, 8192, 16384}}};
  if (decode) {
    knobs["stream"] = {0, 8192, 16384, 65536};
    return knobs;
  }
  bool blocks = defaults.at("block-tokens") > 0;
  // A GLU's two weights are panels anyway.
  if ((blocks || !op.getWeightType().isQuantized()) &&
      op.getWeights().size() == 1)
    knobs["panels"] = {1, 2};
  // Two dots a token leave registers for no more.
  if (blocks && op.getWeightType().getElement() == ElementKind::q6)
    knobs["block-tokens"] = {1, 2};
  else if (blocks)
    knobs["block-tokens"] = {1, 2, 3, 4, 5, 6, 8, 12, 16};
  else
    knobs["tokens"] = {2, 3, 4, 5, 6, 8, 10, 12, 14, 16};
  return knobs;
}

/// Halide's kernels have a cut of their own. Its autoschedulers find no
/// products of four codes: there are as many multiplications as codes.
llvm::json::Array describeProviders(FusedLinearOp op, bool decode,
                                    const Values &defaults, const Model &model,
                                    const PipelineOptions &options) {
  HalideCut prefill = {options.halideTokens, options.halidePanels,
                       options.halideBlockTokens, options.linearPrefetch};
  std::vector<std::pair<llvm::StringRef, double>> predicted;
  for (llvm::StringRef provider : kProviders) {
    double time = model.time(defaults);
    if (provider != kCriaProvider) {
      if (!linearRefusal(op, provider).empty())
        continue;
      HalideCut cut = usualCut(provider, decode, prefill);
      bool quantized = op.getWeightType().isQuantized();
      Values changed = defaults;
      changed["tokens"] = cut.tokens;
      changed["panels"] = cut.panels;
      changed["block-tokens"] = quantized ? cut.blockTokens : 0;
      time = model.time(changed);
      if (provider != "halide" && quantized)
        time *= 4;
    }
    predicted.emplace_back(provider, time);
  }
  double best = llvm::min_element(predicted, llvm::less_second())->second;
  llvm::json::Array list;
  for (auto [provider, time] : predicted)
    list.push_back(
        llvm::json::Object{{"value", provider}, {"predicted", time / best}});
  return list;
}

llvm::json::Object describe(FusedLinearOp op, bool decode,
                            const PipelineOptions &options,
                            const TuningMachine &machine) {
  bool quantized = op.getWeightType().isQuantized();
  Values defaults = {
      {"prefetch", options.linearPrefetch},
      {"stream", quantized ? options.linearStream : 0},
      {"tokens", options.linearTokens},
      {"panels", quantized ? options.linearPanels : options.linearFloatPanels},
      {"block-tokens", quantized ? options.linearBlockTokens : 0}};
  Model model(op, decode, machine);
  // The walk sees one tile of the op, or, where the last one is ragged, none
  // of a known size.
  defaults["rows"] = ShapedType::isDynamic(op.getN())
                         ? linearTileRows(model.rows(), !decode || !quantized)
                         : op.getN();
  llvm::json::Object entries;
  for (auto &[name, values] : linearKnobs(op, decode, defaults)) {
    std::vector<std::pair<int64_t, double>> predicted;
    for (int64_t value : values) {
      Values changed = defaults;
      changed[name] = value;
      predicted.emplace_back(value, model.time(changed));
    }
    double best = llvm::min_element(predicted, llvm::less_second())->second;
    llvm::json::Array list;
    for (auto [value, time] : predicted)
      list.push_back(
          llvm::json::Object{{"value", value}, {"predicted", time / best}});
    entries[name] = std::move(list);
  }
  Values shown;
  for (const auto &[name, list] : entries)
    shown[name.str()] = defaults.at(name.str());
  llvm::json::Object entry{{"default", toJson(shown)}};
  if (machine.halide) {
    (*entry.getObject("default"))[kProviderKnob] = kCriaProvider;
    entries[kProviderKnob] =
        describeProviders(op, decode, defaults, model, options);
  }
  entry["knobs"] = std::move(entries);
  return entry;
}

/// Chains of FMAs: too few wait for each other, too many spill.
llvm::json::Object describeAttention(const PipelineOptions &options,
                                     const TuningMachine &machine) {
  int64_t usual = options.attentionAccumulators;
  bool wide = machine.vectorBits >= 512;
  llvm::json::Array list;
  for (int64_t value : wide ? std::vector<int64_t>{12, 16, 20, 24, 28}
                            : std::vector<int64_t>{2, 4, 6, 8}) {
    double excess =
        static_cast<double>(std::max<int64_t>(0, value - (wide ? 26 : 6)));
    list.push_back(
        llvm::json::Object{{"value", value}, {"predicted", 1 + 0.1 * excess}});
  }
  return llvm::json::Object{
      {"default", llvm::json::Object{{"accumulators", usual}}},
      {"knobs", llvm::json::Object{{"accumulators", std::move(list)}}}};
}

/// Why Halide has no kernel for an op other than a linear, or "".
std::string providerRefusal(Operation *op, StringRef provider) {
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case([&](FusedAttentionOp each) {
        return attentionRefusal(each, provider);
      })
      .Case([&](AttentionPartialsOp each) {
        return attentionRefusal(each, provider);
      })
      .Case([&](AttentionMergeOp each) {
        return attentionRefusal(each, provider);
      })
      .Case([&](RowsOp each) { return rowsRefusal(each, provider); })
      .Case([&](HeadRowsOp each) { return headRowsRefusal(each, provider); })
      .Default([](Operation *) { return "no generator"; });
}

/// The same arithmetic in the same order, and nothing that tells them apart
/// before they run.
void addProviders(Operation *op, llvm::json::Object &entry) {
  llvm::json::Array list;
  for (llvm::StringRef provider : kProviders)
    if (provider == kCriaProvider || providerRefusal(op, provider).empty())
      list.push_back(
          llvm::json::Object{{"value", provider}, {"predicted", 1.0}});
  if (list.size() == 1)
    return;
  (*entry.getObject("default"))[kProviderKnob] = kCriaProvider;
  (*entry.getObject("knobs"))[kProviderKnob] = std::move(list);
}

} // namespace

llvm::json::Value cria::tuningSpace(ModuleOp module,
                                    const PipelineOptions &options,
                                    const TuningMachine &machine) {
  llvm::json::Array ops;
  std::set<std::string> seen;
  for (auto func : module.getOps<func::FuncOp>()) {
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    if (!version)
      continue;
    func.walk([&](Operation *op) {
      std::string name = scheduleName(op);
      std::string shape = scheduleShape(op);
      if (name.empty() ||
          !seen.insert(version.str() + " " + name + " " + shape).second)
        return;
      llvm::json::Object entry;
      if (auto linear = dyn_cast<FusedLinearOp>(op))
        entry =
            describe(linear, version.getValue() == "decode", options, machine);
      else if (isa<FusedAttentionOp, AttentionPartialsOp>(op))
        entry = describeAttention(options, machine);
      else
        entry = llvm::json::Object{{"default", llvm::json::Object()},
                                   {"knobs", llvm::json::Object()}};
      if (!isa<FusedLinearOp>(op) && machine.halide)
        addProviders(op, entry);
      if (entry.getObject("knobs")->empty())
        return;
      entry["op"] = name;
      entry["version"] = version.getValue();
      entry["shape"] = shape;
      ops.push_back(std::move(entry));
    });
  }
  return llvm::json::Object{{"cria_tuning_space", 1},
                            {"target", machine.target},
                            {"ops", std::move(ops)}};
}
