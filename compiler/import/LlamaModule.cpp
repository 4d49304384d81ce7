// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/LlamaModule.h"

#include "compiler/import/InputFile.h"
#include "compiler/import/PackRows.h"
#include "dialect/CriaOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"
#include <array>
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

// The tensors of one layer, in the order of their params.
enum Role {
  AttnNorm,
  AttnQ,
  AttnK,
  AttnV,
  AttnOutput,
  FfnNorm,
  FfnGate,
  FfnUp,
  FfnDown,
  AttnQBias,
  AttnKBias,
  AttnVBias,
  AttnOutputBias,
  FfnGateBias,
  FfnUpBias,
  FfnDownBias,
  RoleCount
};

struct RoleInfo {
  const char *param;
  const char *gguf; // after "blk.N."
  const char *hf;   // after "model.layers.N."
};
const RoleInfo roleInfos[RoleCount] = {
    {"attn_norm", "attn_norm.weight", "input_layernorm.weight"},
    {"attn_q", "attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k", "attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v", "attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_output", "attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_norm", "ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_gate", "ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up", "ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down", "ffn_down.weight", "mlp.down_proj.weight"},
    {"attn_q_bias", "attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k_bias", "attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v_bias", "attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output_bias", "attn_output.bias", "self_attn.o_proj.bias"},
    {"ffn_gate_bias", "ffn_gate.bias", "mlp.gate_proj.bias"},
    {"ffn_up_bias", "ffn_up.bias", "mlp.up_proj.bias"},
    {"ffn_down_bias", "ffn_down.bias", "mlp.down_proj.bias"},
};

bool isMatrix(Role role) {
  return role < AttnQBias && role != AttnNorm && role != FfnNorm;
}

/// Absent for a bias that the layer does not have.
using LayerTypes = std::array<std::optional<StoredType>, RoleCount>;

/// Layers whose tensors are stored in the same types share one function.
struct LayerKind {
  LayerTypes types;
  SmallVector<int64_t> layers;
  std::string suffix; // of its function and params: "" or "_2"
};

std::string shapeText(ArrayRef<int64_t> shape) {
  return "[" +
         llvm::join(
             llvm::map_range(shape,
                             [](int64_t size) { return std::to_string(size); }),
             ", ") +
         "]";
}

/// The tensors that the module reads: which there are, and of which types.
class Tensors {
public:
  Tensors(const LlamaDescription &llama, const TensorSource &source)
      : llama(llama), source(source) {}

  std::string top(StringRef gguf, StringRef hf) const {
    return (isGguf() ? gguf : hf).str();
  }
  std::string embedding() const {
    return top("token_embd.weight", "model.embed_tokens.weight");
  }
  std::string norm() const {
    return top("output_norm.weight", "model.norm.weight");
  }
  std::string head() const { return top("output.weight", "lm_head.weight"); }

  std::string layerPrefix(int64_t layer) const {
    return (isGguf() ? "blk." : "model.layers.") + std::to_string(layer) + ".";
  }
  std::string layer(int64_t layer, Role role) const {
    return layerPrefix(layer) +
           (isGguf() ? roleInfos[role].gguf : roleInfos[role].hf);
  }

  SmallVector<int64_t, 2> shape(Role role) const;

  /// Finds and checks all tensors; afterwards the members below hold.
  Error load();

  StoredType embeddingType, headType;
  bool tied = false;
  std::vector<LayerKind> kinds;
  std::vector<std::pair<int64_t, int64_t>> places; // kind, index inside it

private:
  bool isGguf() const { return llama.names == TensorNames::Gguf; }

  bool isPresent(int64_t layer, Role role) const;
  Error check(const std::string &name, ArrayRef<int64_t> shape,
              StoredType &type);
  bool isHarmless(StringRef name) const;
  Error refuseOthers() const;

  const LlamaDescription &llama;
  const TensorSource &source;
  StringSet<> read;
};

SmallVector<int64_t, 2> Tensors::shape(Role role) const {
  int64_t q = llama.heads * llama.headDim, kv = llama.kvHeads * llama.headDim;
  switch (role) {
  case AttnQ:
    return {q, llama.width};
  case AttnK:
  case AttnV:
    return {kv, llama.width};
  case AttnOutput:
    return {llama.width, q};
  case FfnGate:
  case FfnUp:
    return {llama.ffn, llama.width};
  case FfnDown:
    return {llama.width, llama.ffn};
  case AttnQBias:
    return {q};
  case AttnKBias:
  case AttnVBias:
    return {kv};
  case FfnGateBias:
  case FfnUpBias:
    return {llama.ffn};
  case AttnNorm:
  case FfnNorm:
  case AttnOutputBias:
  case FfnDownBias:
  case RoleCount:
    break;
  }
  return {llama.width};
}

bool Tensors::isPresent(int64_t index, Role role) const {
  if (role < AttnQBias)
    return true;
  std::optional<bool> said =
      role < FfnGateBias ? llama.attentionBias : llama.mlpBias;
  return said ? *said : source.find(layer(index, role)) != nullptr;
}

Error Tensors::check(const std::string &name, ArrayRef<int64_t> expected,
                     StoredType &type) {
  Expected<const TensorView *> view = source.get(name);
  if (!view)
    return view.takeError();
  if (ArrayRef<int64_t>((*view)->shape) != expected)
    return fileError(
        source.path(),
        "tensor " + quoted(name) + " has shape " + shapeText((*view)->shape) +
            " (rows first); the model's sizes make it " + shapeText(expected));
  read.insert(name);
  type = storedType((*view)->dtype);
  return Error::success();
}

/// Tensors that files hold without effect on the model.
bool Tensors::isHarmless(StringRef name) const {
  if (isGguf())
    return name == ropeFreqsTensor || (name.starts_with("blk.") &&
                                       name.ends_with(".attn_rot_embd.weight"));
  // Old checkpoints saved the frequencies, which follow from config.json; a
  // tied head is saved a second time by some.
  return name.ends_with(".rotary_emb.inv_freq") ||
         (tied && name == "lm_head.weight");
}

Error Tensors::refuseOthers() const {
  for (StringRef name : source.names())
    if (!read.contains(name) && !isHarmless(name))
      return fileError(source.path(),
                       "tensor " + quoted(name) +
                           " has no place in a Llama of " +
                           Twine(llama.layers) +
                           " layers: cria does not know what it changes");
  return Error::success();
}

Error Tensors::load() {
  if (Error error =
          check(embedding(), {llama.vocab, llama.width}, embeddingType))
    return error;
  StoredType unused;
  if (Error error = check(norm(), {llama.width}, unused))
    return error;
  tied = llama.tied ? *llama.tied : source.find(head()) == nullptr;
  headType = embeddingType;
  if (!tied)
    if (Error error = check(head(), {llama.vocab, llama.width}, headType))
      return error;

  for (int64_t index = 0; index < llama.layers; ++index) {
    LayerTypes types;
    for (int i = 0; i < RoleCount; ++i) {
      Role role = static_cast<Role>(i);
      if (!isPresent(index, role))
        continue;
      StoredType type;
      if (Error error = check(layer(index, role), shape(role), type))
        return error;
      // Norms and biases become f32, whatever they are in the file.
      types[role] = isMatrix(role) ? type : StoredType();
    }
    auto kind = llvm::find_if(
        kinds, [&](const LayerKind &other) { return other.types == types; });
    if (kind == kinds.end()) {
      kinds.push_back({types, {}, "_" + std::to_string(kinds.size())});
      kind = std::prev(kinds.end());
    }
    places.push_back({kind - kinds.begin(), kind->layers.size()});
    kind->layers.push_back(index);
  }
  if (kinds.size() == 1)
    kinds.front().suffix = "";
  return refuseOthers();
}

class ModuleBuilder {
public:
  ModuleBuilder(const LlamaDescription &llama, const Tensors &tensors,
                Capacity capacity, StringRef sourceName, MLIRContext &context)
      : llama(llama), tensors(tensors), capacity(capacity),
        sourceName(sourceName), b(&context),
        rms(NormKindAttr::get(&context, NormKind::rms)) {}

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
  RankedTensorType table() {
    return RankedTensorType::get({dynamic, dynamic}, b.getI32Type());
  }
  Type keys() {
    return RankedTensorType::get(
        {llama.layers, dynamic, llama.kvHeads,
         CriaDialect::kPageTokens / CriaDialect::kLanes, llama.headDim,
         CriaDialect::kLanes},
        b.getF32Type());
  }
  Type values() {
    return RankedTensorType::get({llama.layers, dynamic, llama.kvHeads,
                                  CriaDialect::kPageTokens, llama.headDim},
                                 b.getF32Type());
  }
  WeightType weight(ArrayRef<int64_t> shape, StoredType type);
  mlir::FloatAttr f32(double value) { return b.getF32FloatAttr(value); }

  void setAttributes(ModuleOp module);
  void addParam(const Twine &name, Type type, ArrayRef<std::string> sources,
                bool stacked);
  void addParams();
  Value linear(const LayerKind &kind, Role role, std::optional<Role> bias,
               Value x, Value layer);
  Value load(const LayerKind &kind, Role role, Value layer);
  func::FuncOp addLayer(const LayerKind &kind);
  void addForward(ArrayRef<func::FuncOp> layers);
  SmallVector<Value> callLayer(ArrayRef<func::FuncOp> layers, Value layer,
                               ValueRange state, ValueRange batch);

  static constexpr int64_t dynamic = mlir::ShapedType::kDynamic;

  const LlamaDescription &llama;
  const Tensors &tensors;
  Capacity capacity;
  StringRef sourceName;
  OpBuilder b;
  NormKindAttr rms;
};

WeightType ModuleBuilder::weight(ArrayRef<int64_t> shape, StoredType type) {
  bool quantized =
      type.element == ElementKind::q8 || type.element == ElementKind::q4;
  return WeightType::get(b.getContext(), shape, type.element,
                         quantized ? CriaDialect::kQuantBlock : 0, type.offset,
                         WeightLayout::rows);
}

void ModuleBuilder::setAttributes(ModuleOp module) {
  auto string = [&](StringRef name, StringRef value) {
    module->setAttr(name, b.getStringAttr(value));
  };
  auto integer = [&](StringRef name, int64_t value) {
    module->setAttr(name, b.getI64IntegerAttr(value));
  };
  string("cria.name", llama.name);
  string("cria.architecture", "llama");
  string("cria.source", sourceName);
  integer("cria.vocab", llama.vocab);
  integer("cria.width", llama.width);
  integer("cria.layers", llama.layers);
  integer("cria.heads", llama.heads);
  integer("cria.kv_heads", llama.kvHeads);
  integer("cria.head_dim", llama.headDim);
  integer("cria.ffn", llama.ffn);
  integer("cria.context", capacity.context);
  integer("cria.max_batch", capacity.batch);
  if (llama.bos)
    integer("cria.bos", *llama.bos);
  if (!llama.eos.empty())
    module->setAttr("cria.eos", b.getDenseI64ArrayAttr(llama.eos));
}

void ModuleBuilder::addParam(const Twine &name, Type type,
                             ArrayRef<std::string> sources, bool stacked) {
  SmallVector<StringRef> names(sources.begin(), sources.end());
  ParamOp::create(b, named(sources.front()), b.getStringAttr(name),
                  mlir::TypeAttr::get(type), b.getStrArrayAttr(names),
                  /*permute_heads=*/nullptr, /*permute_dims=*/nullptr,
                  stacked ? b.getUnitAttr() : nullptr);
}

void ModuleBuilder::addParams() {
  addParam("token_embd",
           weight({llama.vocab, llama.width}, tensors.embeddingType),
           {tensors.embedding()}, false);
  for (const LayerKind &kind : tensors.kinds)
    for (int i = 0; i < RoleCount; ++i) {
      Role role = static_cast<Role>(i);
      if (!kind.types[role])
        continue;
      SmallVector<std::string> sources;
      for (int64_t layer : kind.layers)
        sources.push_back(tensors.layer(layer, role));
      // One layer's type, with the layers in front.
      SmallVector<int64_t, 3> shape{static_cast<int64_t>(sources.size())};
      llvm::append_range(shape, tensors.shape(role));
      Type type = RankedTensorType::get(shape, b.getF32Type());
      if (isMatrix(role))
        type = weight(shape, *kind.types[role]);
      addParam(roleInfos[role].param + kind.suffix, type, sources,
               !isMatrix(role));
    }
  addParam("output_norm", vector(llama.width), {tensors.norm()}, false);
  if (!tensors.tied)
    addParam("output", weight({llama.vocab, llama.width}, tensors.headType),
             {tensors.head()}, false);
}

Value ModuleBuilder::load(const LayerKind &kind, Role role, Value layer) {
  SmallVector<int64_t, 2> shape = tensors.shape(role);
  Type type = RankedTensorType::get(shape, b.getF32Type());
  if (isMatrix(role))
    type = weight(shape, *kind.types[role]);
  return LoadOp::create(b, named(tensors.layer(kind.layers.front(), role)),
                        type, roleInfos[role].param + kind.suffix, layer);
}

Value ModuleBuilder::linear(const LayerKind &kind, Role role,
                            std::optional<Role> bias, Value x, Value layer) {
  Value w = load(kind, role, layer);
  Value added;
  if (bias && kind.types[*bias])
    added = load(kind, *bias, layer);
  return LinearOp::create(b, w.getLoc(), rows(tensors.shape(role).front()), x,
                          w, added);
}

/// One block: attention and feed-forward, each after its norm and added to
/// the residual stream (Touvron et al. 2023, section 2.2).
func::FuncOp ModuleBuilder::addLayer(const LayerKind &kind) {
  bool many = tensors.kinds.size() > 1;
  Type index = b.getIndexType();
  SmallVector<Type> inputs{index};
  if (many)
    inputs.push_back(index); // the layer's place among those of its kind
  inputs.append(
      {rows(llama.width), list(), list(), list(), table(), keys(), values()});
  auto type = b.getFunctionType(inputs, {rows(llama.width), keys(), values()});
  auto function = func::FuncOp::create(b, named("layer" + kind.suffix),
                                       "layer" + kind.suffix, type);
  function.setPrivate();
  OpBuilder::InsertionGuard guard(b);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  Value layer = body->getArgument(0), place = body->getArgument(many ? 1 : 0);
  auto rest = body->getArguments().drop_front(many ? 2 : 1);
  Value x = rest[0], positions = rest[1], sequences = rest[2], slots = rest[3],
        tables = rest[4], keyCache = rest[5], valueCache = rest[6];

  auto norm = [&](Role role, Value input) -> Value {
    Value w = load(kind, role, place);
    return NormOp::create(b, w.getLoc(), input.getType(), rms, input, w,
                          Value(), f32(llama.eps), /*plus_one=*/nullptr);
  };
  auto rope = [&](Value input) -> Value {
    return RopeOp::create(b, input.getLoc(), input.getType(), input, positions,
                          llama.rope, b.getI64IntegerAttr(llama.headDim));
  };
  auto append = [&](CacheRole role, Value input, Value cache) -> Value {
    return KvAppendOp::create(b, input.getLoc(), cache.getType(), role, input,
                              cache, layer, slots);
  };
  auto add = [&](Value a, Value c) -> Value {
    return AddOp::create(b, c.getLoc(), a.getType(), a, c);
  };

  Value h = norm(AttnNorm, x);
  Value q = linear(kind, AttnQ, AttnQBias, h, place);
  Value k = linear(kind, AttnK, AttnKBias, h, place);
  Value v = linear(kind, AttnV, AttnVBias, h, place);
  q = rope(q);
  k = rope(k);
  keyCache = append(CacheRole::key, k, keyCache);
  valueCache = append(CacheRole::value, v, valueCache);
  double scale = llama.attentionScale
                     ? llama.attentionScale
                     : 1.0 / std::sqrt(static_cast<double>(llama.headDim));
  Value mixed = AttentionOp::create(
      b, named(tensors.layerPrefix(kind.layers.front()) + "attention"),
      q.getType(), q, keyCache, valueCache, layer, positions, sequences, tables,
      Value(), b.getI64IntegerAttr(llama.heads),
      b.getI64IntegerAttr(llama.kvHeads), b.getI64IntegerAttr(llama.headDim),
      f32(scale), mlir::IntegerAttr(), mlir::FloatAttr());
  x = add(x, linear(kind, AttnOutput, AttnOutputBias, mixed, place));

  h = norm(FfnNorm, x);
  Value gate = linear(kind, FfnGate, FfnGateBias, h, place);
  Value up = linear(kind, FfnUp, FfnUpBias, h, place);
  Value gated = GluOp::create(b, gate.getLoc(), gate.getType(),
                              ActivationKind::silu, gate, up);
  x = add(x, linear(kind, FfnDown, FfnDownBias, gated, place));
  func::ReturnOp::create(b, function.getLoc(),
                         ValueRange{x, keyCache, valueCache});
  return function;
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
  auto type = b.getFunctionType(inputs, {rows(llama.vocab), keys(), values()});
  Location loc = named("forward");
  auto function = func::FuncOp::create(b, loc, "forward", type);
  function->setAttr("cria.entry", b.getUnitAttr());
  for (auto [index, name] : llvm::enumerate(names))
    function.setArgAttr(index, "cria.arg", b.getStringAttr(name));
  OpBuilder::InsertionGuard guard(b);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  auto args = body->getArguments();
  Value tokens = args[0], tables = args[4], outputs = args[5];

  Value embedding =
      LoadOp::create(b, named(tensors.embedding()),
                     weight({llama.vocab, llama.width}, tensors.embeddingType),
                     "token_embd", Value());
  Value x = EmbedOp::create(b, embedding.getLoc(), rows(llama.width), tokens,
                            embedding);

  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value zero = constant(0), count = constant(llama.layers), one = constant(1);
  Value batch[] = {args[1], args[2], args[3], tables};
  auto loop = scf::ForOp::create(
      b, loc, zero, count, one, ValueRange{x, args[6], args[7]},
      [&](OpBuilder &, Location, Value layer, ValueRange state) {
        OpBuilder::InsertionGuard inner(b);
        b.setInsertionPointToStart(layer.getParentBlock());
        SmallVector<Value> next = callLayer(layers, layer, state, batch);
        scf::YieldOp::create(b, loc, next);
      });

  x = SelectRowsOp::create(b, named("select_rows"), rows(llama.width),
                           loop.getResult(0), outputs);
  Value normWeight = LoadOp::create(
      b, named(tensors.norm()), vector(llama.width), "output_norm", Value());
  x = NormOp::create(b, normWeight.getLoc(), x.getType(), rms, x, normWeight,
                     Value(), f32(llama.eps), /*plus_one=*/nullptr);
  Value head = embedding;
  if (!tensors.tied)
    head = LoadOp::create(b, named(tensors.head()),
                          weight({llama.vocab, llama.width}, tensors.headType),
                          "output", Value());
  Value logits =
      LinearOp::create(b, head.getLoc(), rows(llama.vocab), x, head, Value());
  func::ReturnOp::create(
      b, loc, ValueRange{logits, loop.getResult(1), loop.getResult(2)});
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
                                  int64_t batch, const ImportOptions &options) {
  Capacity result;
  result.context = options.context.value_or(context);
  if (result.context < 1 || result.context > context)
    return fileError(path, "a context of " + Twine(result.context) +
                               " is asked for; accepted: 1 to " +
                               Twine(context) + ", the model's own");
  result.batch = options.batch.value_or(std::min(batch, result.context));
  if (result.batch < 1 || result.batch > result.context)
    return fileError(path, "a batch of " + Twine(result.batch) +
                               " tokens is asked for; accepted: 1 to " +
                               Twine(result.context) + ", the context");
  return result;
}

Expected<OwningOpRef<ModuleOp>> buildLlamaModule(const LlamaDescription &llama,
                                                 const TensorSource &source,
                                                 const ImportOptions &options,
                                                 MLIRContext &context) {
  Tensors tensors(llama, source);
  if (Error error = tensors.load())
    return error;
  Expected<Capacity> capacity =
      chooseCapacity(source.path(), llama.context,
                     usualBatch(llama.width, llama.ffn), options);
  if (!capacity)
    return capacity.takeError();
  // Only the file's own name: the same model gives the same module anywhere.
  SmallString<128> path(source.path());
  sys::path::remove_dots(path);
  StringRef base = sys::path::filename(path);
  OwningOpRef<ModuleOp> module =
      ModuleBuilder(llama, tensors, *capacity, base, context).build();
  if (mlir::failed(mlir::verify(*module)))
    return fileError(source.path(), "the module built from it does not verify");
  return module;
}

} // namespace cria
