// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/DecoderModule.h"

#include "compiler/import/DecoderTensors.h"
#include "compiler/import/InputFile.h"
#include "dialect/CriaOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace llvm;
// Not all of mlir: it has names that llvm has too.
using mlir::Block;
using mlir::ImplicitLocOpBuilder;
using mlir::Location;
using mlir::MLIRContext;
using mlir::ModuleOp;
using mlir::NameLoc;
using mlir::OpBuilder;
using mlir::OwningOpRef;
using mlir::RankedTensorType;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;
namespace arith = mlir::arith;
namespace func = mlir::func;
namespace scf = mlir::scf;
namespace tensor = mlir::tensor;

namespace cria {
namespace {

class ModuleBuilder {
public:
  ModuleBuilder(const DecoderDescription &model, const DecoderTensors &tensors,
                Capacity capacity, StringRef sourceName, MLIRContext &context)
      : model(model), tensors(tensors), capacity(capacity),
        sourceName(sourceName), b(&context) {}

  OwningOpRef<ModuleOp> build();

private:
  Location named(StringRef name) { return NameLoc::get(b.getStringAttr(name)); }
  RankedTensorType rows(int64_t columns) {
    return RankedTensorType::get({dynamic, columns}, b.getF32Type());
  }
  RankedTensorType list() {
    return RankedTensorType::get({dynamic}, b.getI32Type());
  }
  RankedTensorType vector(int64_t size) {
    return RankedTensorType::get({size}, b.getF32Type());
  }
  /// What each distance adds to the scores of each head.
  RankedTensorType relativeBias() {
    return RankedTensorType::get({model.heads, model.relativeDistance + 1},
                                 b.getF32Type());
  }
  RankedTensorType table() {
    return RankedTensorType::get({dynamic, dynamic}, b.getI32Type());
  }
  Type keys() {
    return RankedTensorType::get(
        {model.layers, dynamic, model.kvHeads,
         CriaDialect::kPageTokens / CriaDialect::kLanes, model.headDim,
         CriaDialect::kLanes},
        b.getF32Type());
  }
  Type values() {
    return RankedTensorType::get({model.layers, dynamic, model.kvHeads,
                                  CriaDialect::kPageTokens, model.headDim},
                                 b.getF32Type());
  }
  WeightType weight(ArrayRef<int64_t> shape, StoredType type);
  mlir::FloatAttr f32(double value) { return b.getF32FloatAttr(value); }

  void setAttributes(ModuleOp module);
  void addParam(const Twine &name, Type type, ArrayRef<std::string> sources,
                bool stacked);
  void addParam(Role role);
  void addParams();
  Type loadedType(Role role, StoredType type);
  func::FuncOp addLayer(const LayerKind &kind);
  void addForward(ArrayRef<func::FuncOp> layers);
  Value embed(Value tokens, Value positions, Value weights);
  Value head(Value x, Value embedding);
  SmallVector<Value> callLayer(ArrayRef<func::FuncOp> layers, Value layer,
                               ValueRange state, ValueRange batch);
  Value loadTop(Role role);
  Value norm(Value x, Value weight, Value bias, Location loc);
  Value topNorm(Value x, Role weight, Role bias);
  Value scale(Value x, double factor);
  Value softcap(Value x, double cap);
  Value add(Value x, Value y) {
    return AddOp::create(b, y.getLoc(), x.getType(), x, y);
  }

  static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

  const DecoderDescription &model;
  const DecoderTensors &tensors;
  Capacity capacity;
  StringRef sourceName;
  OpBuilder b;
  Value relative; // in forward: the biases by distance, or null

  friend class LayerBuilder;
};

WeightType ModuleBuilder::weight(ArrayRef<int64_t> shape, StoredType type) {
  return WeightType::get(b.getContext(), shape, type.element,
                         WeightType::blockOf(type.element), type.offset,
                         WeightLayout::rows);
}

void ModuleBuilder::setAttributes(ModuleOp module) {
  auto string = [&](StringRef name, StringRef value) {
    module->setAttr(name, b.getStringAttr(value));
  };
  auto integer = [&](StringRef name, int64_t value) {
    module->setAttr(name, b.getI64IntegerAttr(value));
  };
  string("cria.name", model.name);
  string("cria.architecture", model.architecture);
  string("cria.source", sourceName);
  integer("cria.vocab", model.vocab);
  integer("cria.width", model.width);
  integer("cria.layers", model.layers);
  integer("cria.heads", model.heads);
  integer("cria.kv_heads", model.kvHeads);
  integer("cria.head_dim", model.headDim);
  integer("cria.ffn", model.ffn);
  integer("cria.context", capacity.context);
  integer("cria.max_batch", capacity.batch);
  if (model.bos)
    integer("cria.bos", *model.bos);
  if (!model.eos.empty())
    module->setAttr("cria.eos", b.getDenseI64ArrayAttr(model.eos));
}

void ModuleBuilder::addParam(const Twine &name, Type type,
                             ArrayRef<std::string> sources, bool stacked) {
  SmallVector<StringRef> names(sources.begin(), sources.end());
  ParamOp::create(b, named(sources.front()), b.getStringAttr(name),
                  mlir::TypeAttr::get(type), b.getStrArrayAttr(names),
                  /*permute_heads=*/nullptr, /*permute_dims=*/nullptr,
                  stacked ? b.getUnitAttr() : nullptr);
}

Type ModuleBuilder::loadedType(Role role, StoredType type) {
  SmallVector<int64_t, 2> shape = shapeOf(model, role);
  if (isMatrix(role))
    return weight(shape, type);
  return RankedTensorType::get(shape, b.getF32Type());
}

void ModuleBuilder::addParam(Role role) {
  if (tensors.has(role))
    addParam(paramName(role), loadedType(role, tensors.type(role)),
             {tensors.name(role)}, false);
}

void ModuleBuilder::addParams() {
  for (Role role : {Role::Embedding, Role::PositionTable, Role::RelativeBias,
                    Role::EmbeddingNorm, Role::EmbeddingNormBias})
    addParam(role);
  for (const LayerKind &kind : tensors.kinds)
    for (int i = 0; i < layerRoles; ++i) {
      Role role = static_cast<Role>(i);
      if (!kind.has(role))
        continue;
      SmallVector<std::string> sources;
      for (int64_t layer : kind.layers)
        sources.push_back(tensors.name(role, layer));
      // One layer's type, with the layers in front.
      SmallVector<int64_t, 3> shape{static_cast<int64_t>(sources.size())};
      llvm::append_range(shape, shapeOf(model, role));
      Type type = RankedTensorType::get(shape, b.getF32Type());
      if (isMatrix(role))
        type = weight(shape, kind.type(role));
      addParam(paramName(role) + kind.suffix, type, sources, !isMatrix(role));
    }
  for (Role role :
       {Role::OutputNorm, Role::OutputNormBias, Role::Head, Role::HeadBias})
    addParam(role);
}

Value ModuleBuilder::loadTop(Role role) {
  if (!tensors.has(role))
    return Value();
  return LoadOp::create(b, named(tensors.name(role)),
                        loadedType(role, tensors.type(role)), paramName(role),
                        Value());
}

Value ModuleBuilder::norm(Value x, Value weight, Value bias, Location loc) {
  if (model.norm == DecoderDescription::Norm::None)
    return x;
  NormKind kind = model.norm == DecoderDescription::Norm::Rms ? NormKind::rms
                                                              : NormKind::layer;
  return NormOp::create(
      b, loc, x.getType(), NormKindAttr::get(b.getContext(), kind), x, weight,
      bias, f32(model.eps), model.normPlusOne ? b.getUnitAttr() : nullptr,
      mlir::IntegerAttr());
}

Value ModuleBuilder::topNorm(Value x, Role weight, Role bias) {
  Value w = loadTop(weight);
  Location loc = w ? w.getLoc() : named(paramName(weight));
  return norm(x, w, loadTop(bias), loc);
}

Value ModuleBuilder::scale(Value x, double factor) {
  if (factor == 1)
    return x;
  return ScaleOp::create(b, x.getLoc(), x.getType(), x, f32(factor));
}

Value ModuleBuilder::softcap(Value x, double cap) {
  if (cap == 0)
    return x;
  return SoftcapOp::create(b, x.getLoc(), x.getType(), x, f32(cap));
}

/// transformers' modeling_rope_utils.py; an attention factor of 0 lets the
/// attribute's own rule, which is the same, apply.
RopeAttr ropeAttr(const RopeDescription &rope, MLIRContext *context) {
  using Kind = RopeDescription::Kind;
  RopeScaling scaling = RopeScaling::none;
  int64_t original = 0, longest = 0;
  double attention = rope.attentionFactor.value_or(0.0);
  switch (rope.kind) {
  case Kind::Default:
    break;
  case Kind::Linear:
    scaling = RopeScaling::linear;
    break;
  case Kind::Dynamic:
    scaling = RopeScaling::ntk;
    original = rope.maxPositions;
    break;
  case Kind::Yarn: {
    scaling = RopeScaling::yarn;
    original = rope.originalMaxPositions;
    auto scaled = [&](double mscale) {
      return rope.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(rope.factor) + 1;
    };
    if (!rope.attentionFactor && rope.mscale && rope.mscaleAllDim)
      attention = scaled(*rope.mscale) / scaled(*rope.mscaleAllDim);
    break;
  }
  case Kind::Llama3:
    scaling = RopeScaling::llama3;
    original = rope.originalMaxPositions;
    break;
  case Kind::LongRope:
    scaling = RopeScaling::longrope;
    original = rope.originalMaxPositions;
    longest = rope.maxPositions;
    if (!rope.attentionFactor && rope.factor > 1 && original > 1)
      attention = std::sqrt(1 + std::log(rope.factor) /
                                    std::log(static_cast<double>(original)));
    break;
  }
  return RopeAttr::get(
      context, rope.interleaved ? RopePairs::interleaved : RopePairs::half,
      APFloat(rope.theta), rope.dims, scaling, APFloat(rope.factor), original,
      longest, APFloat(rope.betaFast), APFloat(rope.betaSlow),
      APFloat(rope.lowFreqFactor), APFloat(rope.highFreqFactor),
      APFloat(attention), rope.truncate, rope.shortFactor, rope.longFactor);
}

/// The function of one kind of layers: layer, (place among those of its kind,)
/// x, the batch's lists and the caches, to x and the caches.
class LayerBuilder {
public:
  LayerBuilder(ModuleBuilder &module, const LayerKind &kind)
      : m(module), b(module.b), model(module.model), kind(kind),
        style(model.styles[kind.style]) {}

  func::FuncOp build();

private:
  Value load(Role role);
  Value linear(Role role, Role bias, Value x);
  Value norm(Role role, Role bias, Value x);
  Value clip(Value x);
  Value headNorm(Role role, Role bias, Value x);
  Value attention(Value x);
  Value feedForward(Value x);

  ModuleBuilder &m;
  OpBuilder &b;
  const DecoderDescription &model;
  const LayerKind &kind;
  const DecoderDescription::LayerStyle &style;
  Value layer, place, positions, sequences, slots, tables, keyCache, valueCache,
      relativeBias; // null without one
};

Value LayerBuilder::load(Role role) {
  if (!kind.has(role))
    return Value();
  return LoadOp::create(b, m.named(m.tensors.name(role, kind.layers.front())),
                        m.loadedType(role, kind.type(role)),
                        paramName(role).str() + kind.suffix, place);
}

Value LayerBuilder::linear(Role role, Role bias, Value x) {
  Value w = load(role);
  Value added = load(bias);
  return LinearOp::create(b, w.getLoc(), m.rows(shapeOf(model, role).front()),
                          x, w, added);
}

Value LayerBuilder::norm(Role role, Role bias, Value x) {
  Value w = load(role);
  Value added = load(bias);
  Location loc = w ? w.getLoc() : m.named(paramName(role));
  return m.norm(x, w, added, loc);
}

Value LayerBuilder::clip(Value x) {
  if (!model.clipQkv)
    return x;
  return ClipOp::create(b, x.getLoc(), x.getType(), x, m.f32(*model.clipQkv));
}

Value LayerBuilder::headNorm(Role role, Role bias, Value x) {
  using QkNorm = DecoderDescription::QkNorm;
  NormKind kind = NormKind::rms;
  switch (model.qkNorm) {
  case QkNorm::None:
    return x;
  case QkNorm::PerHead:
    kind = NormKind::per_head;
    break;
  case QkNorm::LayerPerHead:
    kind = NormKind::layer_per_head;
    break;
  case QkNorm::Row:
    break;
  case QkNorm::LayerRow:
    kind = NormKind::layer;
    break;
  }
  Value w = load(role);
  Value added = load(bias);
  return NormOp::create(
      b, w.getLoc(), x.getType(), NormKindAttr::get(b.getContext(), kind), x, w,
      added, m.f32(model.eps), model.normPlusOne ? b.getUnitAttr() : nullptr,
      model.qkNormPerHead() && model.qkNormOfAllHeads
          ? b.getI64IntegerAttr(model.headDim)
          : mlir::IntegerAttr());
}

Value LayerBuilder::attention(Value x) {
  auto rope = [&](Value input) -> Value {
    if (!style.rope)
      return input;
    return RopeOp::create(b, input.getLoc(), input.getType(), input, positions,
                          ropeAttr(*style.rope, b.getContext()),
                          b.getI64IntegerAttr(model.headDim));
  };
  auto append = [&](CacheRole role, Value input, Value cache) -> Value {
    return KvAppendOp::create(b, input.getLoc(), cache.getType(), role, input,
                              cache, layer, slots);
  };
  Value q = clip(linear(Role::AttnQ, Role::AttnQBias, x));
  Value k = clip(linear(Role::AttnK, Role::AttnKBias, x));
  Value v = clip(linear(Role::AttnV, Role::AttnVBias, x));
  q = rope(headNorm(Role::QNorm, Role::QNormBias, q));
  k = rope(headNorm(Role::KNorm, Role::KNormBias, k));
  keyCache = append(CacheRole::key, k, keyCache);
  valueCache = append(CacheRole::value, v, valueCache);
  double scale = model.attentionScale
                     ? model.attentionScale
                     : 1.0 / std::sqrt(static_cast<double>(model.headDim));
  StringRef prefix =
      StringRef(model.at(Role::AttnOutput).name).split("{}").first;
  std::string name = (prefix + Twine(kind.layers.front()) + ".attention").str();
  Value mixed = AttentionOp::create(
      b, m.named(name), q.getType(), q, keyCache, valueCache, layer, positions,
      sequences, tables, load(Role::AttnSinks), relativeBias,
      b.getI64IntegerAttr(model.heads), b.getI64IntegerAttr(model.kvHeads),
      b.getI64IntegerAttr(model.headDim), m.f32(scale),
      style.window ? b.getI64IntegerAttr(style.window) : mlir::IntegerAttr(),
      model.attentionSoftcap ? m.f32(model.attentionSoftcap)
                             : mlir::FloatAttr(),
      model.alibi.empty() ? mlir::DenseF32ArrayAttr()
                          : b.getDenseF32ArrayAttr(model.alibi));
  return linear(Role::AttnOutput, Role::AttnOutputBias, mixed);
}

ActivationKind activationOf(DecoderDescription::Activation activation) {
  switch (activation) {
  case DecoderDescription::Activation::Relu:
    return ActivationKind::relu;
  case DecoderDescription::Activation::Relu2:
    return ActivationKind::relu2;
  case DecoderDescription::Activation::Gelu:
    return ActivationKind::gelu;
  case DecoderDescription::Activation::GeluTanh:
    return ActivationKind::gelu_tanh;
  case DecoderDescription::Activation::Silu:
    break;
  }
  return ActivationKind::silu;
}

Value LayerBuilder::feedForward(Value x) {
  ActivationKind activation = activationOf(model.activation);
  Value hidden;
  if (model.gated) {
    Value gate = linear(Role::FfnGate, Role::FfnGateBias, x);
    Value up = linear(Role::FfnUp, Role::FfnUpBias, x);
    hidden =
        GluOp::create(b, gate.getLoc(), gate.getType(), activation, gate, up);
  } else {
    Value up = linear(Role::FfnUp, Role::FfnUpBias, x);
    hidden = ActivationOp::create(b, up.getLoc(), up.getType(), activation, up);
  }
  return linear(Role::FfnDown, Role::FfnDownBias, hidden);
}

func::FuncOp LayerBuilder::build() {
  bool many = m.tensors.kinds.size() > 1;
  Type index = b.getIndexType();
  SmallVector<Type> inputs{index};
  if (many)
    inputs.push_back(index); // the layer's place among those of its kind
  inputs.append({m.rows(model.width), m.list(), m.list(), m.list(), m.table(),
                 m.keys(), m.values()});
  if (model.relativeBuckets)
    inputs.push_back(m.relativeBias());
  auto type =
      b.getFunctionType(inputs, {m.rows(model.width), m.keys(), m.values()});
  auto function = func::FuncOp::create(b, m.named("layer" + kind.suffix),
                                       "layer" + kind.suffix, type);
  function.setPrivate();
  OpBuilder::InsertionGuard guard(b);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  layer = body->getArgument(0);
  place = body->getArgument(many ? 1 : 0);
  auto rest = body->getArguments().drop_front(many ? 2 : 1);
  Value x = rest[0];
  positions = rest[1];
  sequences = rest[2];
  slots = rest[3];
  tables = rest[4];
  keyCache = rest[5];
  valueCache = rest[6];
  if (model.relativeBuckets)
    relativeBias = rest[7];

  using Placement = DecoderDescription::Placement;
  using Layout = DecoderDescription::Block;
  Placement placement = model.placement;
  bool before = placement == Placement::Before || placement == Placement::Both;
  bool branch = placement == Placement::Branch || placement == Placement::Both;
  auto finish = [&](Value y, Role role, Role bias) {
    return m.scale(branch ? norm(role, bias, y) : y, model.residualScale);
  };

  Value h = before ? norm(Role::AttnNorm, Role::AttnNormBias, x) : x;
  Value mixed =
      finish(attention(h), Role::AttnPostNorm, Role::AttnPostNormBias);
  if (model.block == Layout::Serial) {
    x = m.add(x, mixed);
    if (placement == Placement::After)
      x = norm(Role::AttnPostNorm, Role::AttnPostNormBias, x);
    h = before ? norm(Role::FfnNorm, Role::FfnNormBias, x) : x;
  } else if (model.block == Layout::ParallelTwoNorms) {
    h = norm(Role::FfnNorm, Role::FfnNormBias, x);
  }
  Value passed =
      finish(feedForward(h), Role::FfnPostNorm, Role::FfnPostNormBias);
  if (model.block != Layout::Serial)
    x = m.add(x, mixed);
  x = m.add(x, passed);
  if (placement == Placement::After)
    x = norm(Role::FfnPostNorm, Role::FfnPostNormBias, x);
  func::ReturnOp::create(b, function.getLoc(),
                         ValueRange{x, keyCache, valueCache});
  return function;
}

func::FuncOp ModuleBuilder::addLayer(const LayerKind &kind) {
  return LayerBuilder(*this, kind).build();
}

/// `state` is x and the caches, `batch` the lists that all layers read.
SmallVector<Value> ModuleBuilder::callLayer(ArrayRef<func::FuncOp> layers,
                                            Value layer, ValueRange state,
                                            ValueRange batch) {
  Location loc = layer.getLoc();
  auto call = [&](func::FuncOp function, ValueRange indices) {
    SmallVector<Value> operands(indices);
    operands.push_back(state[0]);
    llvm::append_range(operands, batch);
    operands.append({state[1], state[2]});
    if (relative)
      operands.push_back(relative);
    auto op = func::CallOp::create(b, function.getLoc(), function, operands);
    return SmallVector<Value>(op.getResults());
  };
  if (layers.size() == 1)
    return call(layers.front(), layer);

  SmallVector<int64_t> kindOf, placeOf;
  for (auto [kind, place] : tensors.places) {
    kindOf.push_back(kind);
    placeOf.push_back(place);
  }
  auto lookup = [&](ArrayRef<int64_t> numbers) -> Value {
    auto type = RankedTensorType::get({static_cast<int64_t>(numbers.size())},
                                      b.getIndexType());
    Value values = arith::ConstantOp::create(
        b, loc, mlir::DenseIntElementsAttr::get(type, numbers));
    return tensor::ExtractOp::create(b, loc, values, layer);
  };
  Value kind = lookup(kindOf), place = lookup(placeOf);
  SmallVector<int64_t> cases;
  for (size_t i = 1; i < layers.size(); ++i)
    cases.push_back(static_cast<int64_t>(i));
  auto choice = scf::IndexSwitchOp::create(
      b, loc, func::FuncOp(layers.front()).getResultTypes(), kind, cases,
      cases.size());
  auto fill = [&](mlir::Region &region, func::FuncOp function) {
    OpBuilder::InsertionGuard guard(b);
    b.createBlock(&region);
    scf::YieldOp::create(b, loc, call(function, {layer, place}));
  };
  // Kind 0 is the default: a switch must have one.
  fill(choice.getDefaultRegion(), layers.front());
  for (auto [region, function] :
       llvm::zip_equal(choice.getCaseRegions(), layers.drop_front()))
    fill(region, function);
  return SmallVector<Value>(choice.getResults());
}

void ModuleBuilder::addForward(ArrayRef<func::FuncOp> layers) {
  const char *names[] = {"tokens", "positions", "sequences", "slots",
                         "tables", "outputs",   "keys",      "values"};
  SmallVector<Type> inputs{list(),  list(), list(), list(),
                           table(), list(), keys(), values()};
  auto type = b.getFunctionType(inputs, {rows(model.vocab), keys(), values()});
  Location loc = named("forward");
  auto function = func::FuncOp::create(b, loc, "forward", type);
  function->setAttr("cria.entry", b.getUnitAttr());
  for (auto [index, name] : llvm::enumerate(names))
    function.setArgAttr(index, "cria.arg", b.getStringAttr(name));
  OpBuilder::InsertionGuard guard(b);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  auto args = body->getArguments();
  Value tables = args[4], outputs = args[5];

  Value embedding = loadTop(Role::Embedding);
  Value x = embed(args[0], args[1], embedding);
  if (Value buckets = loadTop(Role::RelativeBias))
    relative =
        RelativeBiasOp::create(b, buckets.getLoc(), relativeBias(), buckets,
                               b.getI64IntegerAttr(model.relativeDistance));

  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value zero = constant(0), count = constant(model.layers), one = constant(1);
  Value batch[] = {args[1], args[2], args[3], tables};
  auto loop = scf::ForOp::create(
      b, loc, zero, count, one, ValueRange{x, args[6], args[7]},
      [&](OpBuilder &, Location, Value layer, ValueRange state) {
        OpBuilder::InsertionGuard inner(b);
        b.setInsertionPointToStart(layer.getParentBlock());
        SmallVector<Value> next = callLayer(layers, layer, state, batch);
        scf::YieldOp::create(b, loc, next);
      });

  x = SelectRowsOp::create(b, named("select_rows"), rows(model.width),
                           loop.getResult(0), outputs);
  if (model.finalNorm)
    x = topNorm(x, Role::OutputNorm, Role::OutputNormBias);
  func::ReturnOp::create(
      b, loc,
      ValueRange{head(x, embedding), loop.getResult(1), loop.getResult(2)});
}

Value ModuleBuilder::embed(Value tokens, Value positions, Value weights) {
  using Position = DecoderDescription::Position;
  Value x =
      EmbedOp::create(b, weights.getLoc(), rows(model.width), tokens, weights);
  x = scale(x, model.embeddingScale);
  if (model.position != Position::None) {
    Value table = loadTop(Role::PositionTable);
    PositionKind kind = model.position == Position::Learned
                            ? PositionKind::learned
                            : PositionKind::sinusoidal;
    x = PositionOp::create(b, table ? table.getLoc() : x.getLoc(), x.getType(),
                           kind, x, positions, table);
  }
  if (model.embeddingNorm)
    x = topNorm(x, Role::EmbeddingNorm, Role::EmbeddingNormBias);
  return x;
}

Value ModuleBuilder::head(Value x, Value embedding) {
  Value weights = tensors.has(Role::Head) ? loadTop(Role::Head) : embedding;
  Value bias = loadTop(Role::HeadBias);
  Value logits = LinearOp::create(b, weights.getLoc(), rows(model.vocab), x,
                                  weights, bias);
  return softcap(scale(logits, model.logitScale), model.finalSoftcap);
}

OwningOpRef<ModuleOp> ModuleBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(named(sourceName));
  setAttributes(*module);
  b.setInsertionPointToStart(module->getBody());
  addParams();
  SmallVector<func::FuncOp> layers;
  for (const LayerKind &kind : tensors.kinds)
    layers.push_back(addLayer(kind));
  addForward(layers);
  return module;
}

} // namespace

int64_t usualBatch(int64_t width, int64_t ffn) {
  constexpr int64_t most = 512, least = 128, bytes = 16'000'000;
  // Any more has the least; no product overflows.
  if (width > bytes || ffn > bytes)
    return least;
  int64_t batch = most;
  while (batch > least && batch * (4 * width + 6 * ffn) > bytes)
    batch /= 2;
  return batch;
}

Expected<Capacity> chooseCapacity(StringRef path, int64_t context,
                                  int64_t batch, int64_t most,
                                  const Twine &bound,
                                  const ImportOptions &options) {
  Capacity result;
  result.context = options.context.value_or(context);
  if (result.context < 1 || result.context > most)
    return fileError(path, "a context of " + Twine(result.context) +
                               " is asked for; accepted: 1 to " + Twine(most) +
                               ", " + bound);
  result.batch = options.batch.value_or(std::min(batch, result.context));
  if (result.batch < 1 || result.batch > result.context)
    return fileError(path, "a batch of " + Twine(result.batch) +
                               " tokens is asked for; accepted: 1 to " +
                               Twine(result.context) + ", the context");
  return result;
}

/// Rope of dynamic NTK and LongRoPE as it is for sequences of `length`.
static Error fixRopeLength(DecoderDescription &model, StringRef path,
                           int64_t length) {
  using Kind = RopeDescription::Kind;
  constexpr int64_t most = int64_t(1) << 30;
  if (length < 1 || length > most)
    return fileError(path, "--rope-length " + Twine(length) +
                               "; accepted: 1 to " + Twine(most));
  bool found = false;
  for (DecoderDescription::LayerStyle &style : model.styles) {
    if (!style.rope || (style.rope->kind != Kind::Dynamic &&
                        style.rope->kind != Kind::LongRope))
      continue;
    found = true;
    RopeDescription &rope = *style.rope;
    if (rope.kind == Kind::LongRope) {
      (length > rope.originalMaxPositions ? rope.shortFactor
                                          : rope.longFactor) =
          length > rope.originalMaxPositions ? rope.longFactor
                                             : rope.shortFactor;
      continue;
    }
    // bloc97 and emozilla's base, see RopeFrequencies.h.
    double dims = static_cast<double>(rope.dims);
    double stretch =
        rope.factor * static_cast<double>(std::max(length, rope.maxPositions)) /
            static_cast<double>(rope.maxPositions) -
        (rope.factor - 1);
    if (rope.dims > 2) // with two, the only frequency is 1 at any base
      rope.theta *= std::pow(stretch, dims / (dims - 2));
    rope.kind = Kind::Default;
  }
  if (found)
    return Error::success();
  return fileError(path, "--rope-length " + Twine(length) +
                             ": no frequency of this model's rope depends on "
                             "the length of a sequence; accepted: none");
}

Expected<OwningOpRef<ModuleOp>> buildDecoderModule(DecoderDescription &model,
                                                   const TensorSource &source,
                                                   const ImportOptions &options,
                                                   MLIRContext &context) {
  Expected<DecoderTensors> tensors = DecoderTensors::load(model, source);
  if (!tensors)
    return tensors.takeError();
  if (options.ropeLength)
    if (Error error = fixRopeLength(model, source.path(), *options.ropeLength))
      return error;
  bool isLearned = model.position == DecoderDescription::Position::Learned;
  Expected<Capacity> capacity = chooseCapacity(
      source.path(), model.context, usualBatch(model.width, model.ffn),
      isLearned ? model.context : int64_t(1) << 30,
      isLearned ? "the rows of the model's table of positions"
                : "whatever the model was trained with",
      options);
  if (!capacity)
    return capacity.takeError();
  if (capacity->context > model.context)
    model.notes.push_back(
        ("a context of " + Twine(capacity->context) + " goes past the " +
         Twine(model.context) +
         " positions that the model was made for: what it gives there is "
         "defined, and may be worse")
            .str());
  // Only the file's own name: the same model gives the same module anywhere.
  SmallString<128> path(source.path());
  sys::path::remove_dots(path);
  StringRef base = sys::path::filename(path);
  OwningOpRef<ModuleOp> module =
      ModuleBuilder(model, *tensors, *capacity, base, context).build();
  if (mlir::failed(mlir::verify(*module)))
    return fileError(source.path(), "the module built from it does not verify");
  return module;
}

} // namespace cria
