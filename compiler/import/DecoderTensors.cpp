// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/DecoderTensors.h"

#include "compiler/import/InputFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

namespace cria {
namespace {

const char *const paramNames[] = {
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "attn_q_bias",
    "attn_k_bias",
    "attn_v_bias",
    "attn_output_bias",
    "ffn_gate_bias",
    "ffn_up_bias",
    "ffn_down_bias",
    "attn_norm_bias",
    "ffn_norm_bias",
    "attn_q_norm",
    "attn_k_norm",
    "attn_q_norm_bias",
    "attn_k_norm_bias",
    "attn_sinks",
    "attn_post_norm",
    "attn_post_norm_bias",
    "ffn_post_norm",
    "ffn_post_norm_bias",
    "token_embd",
    "position_embd",
    "relative_bias",
    "token_embd_norm",
    "token_embd_norm_bias",
    "output_norm",
    "output_norm_bias",
    "output",
    "output_bias",
};
static_assert(std::size(paramNames) == allRoles);

} // namespace

StringRef paramName(Role role) { return paramNames[static_cast<size_t>(role)]; }

bool isMatrix(Role role) {
  switch (role) {
  case Role::AttnQ:
  case Role::AttnK:
  case Role::AttnV:
  case Role::AttnOutput:
  case Role::FfnGate:
  case Role::FfnUp:
  case Role::FfnDown:
  case Role::Embedding:
  case Role::Head:
    return true;
  default:
    return false;
  }
}

SmallVector<int64_t, 2> shapeOf(const DecoderDescription &model, Role role) {
  int64_t q = model.queryRows(), kv = model.keyRows();
  bool perHead = model.qkNormPerHead() && !model.qkNormOfAllHeads;
  switch (role) {
  case Role::AttnQ:
    return {q, model.width};
  case Role::AttnK:
  case Role::AttnV:
    return {kv, model.width};
  case Role::AttnOutput:
    return {model.width, q};
  case Role::FfnGate:
  case Role::FfnUp:
    return {model.ffn, model.width};
  case Role::FfnDown:
    return {model.width, model.ffn};
  case Role::AttnQBias:
    return {q};
  case Role::AttnKBias:
  case Role::AttnVBias:
    return {kv};
  case Role::FfnGateBias:
  case Role::FfnUpBias:
    return {model.ffn};
  case Role::QNorm:
  case Role::QNormBias:
    return {perHead ? model.headDim : q};
  case Role::AttnSinks:
    return {model.heads};
  case Role::RelativeBias:
    return {model.relativeBuckets, model.heads};
  case Role::KNorm:
  case Role::KNormBias:
    return {perHead ? model.headDim : kv};
  case Role::Embedding:
  case Role::Head:
    return {model.vocab, model.width};
  case Role::PositionTable:
    return {model.context, model.width};
  case Role::HeadBias:
    return {model.vocab};
  default:
    return {model.width};
  }
}

std::string nameOfLayer(StringRef pattern, int64_t layer) {
  std::string name;
  while (true) {
    auto [front, back] = pattern.split("{}");
    name += front;
    if (front.size() == pattern.size())
      return name;
    name += std::to_string(layer);
    pattern = back;
  }
}

std::string DecoderTensors::name(Role role, int64_t layer) const {
  return nameOfLayer(model.at(role).name, layer);
}

Error DecoderTensors::check(Role role, int64_t layer,
                            std::optional<StoredType> &type) {
  std::string full = name(role, layer);
  if (full.empty() || (model.at(role).optional &&
                       !source.find(StringRef(full).split(" | ").first)))
    return Error::success();
  Expected<const TensorView *> view = source.get(full);
  if (!view)
    return view.takeError();
  SmallVector<int64_t, 2> expected = shapeOf(model, role);
  if (ArrayRef<int64_t>((*view)->shape) != ArrayRef<int64_t>(expected))
    return fileError(
        source.path(),
        "tensor " + quoted(full) + " has shape " + shapeText((*view)->shape) +
            " (rows first); the model's sizes make it " + shapeText(expected));
  for (const std::string &tensor : source.tensorsOf(full))
    read.insert(tensor);
  // Norms and biases become f32, whatever they are in the file.
  type = isMatrix(role) ? storedType((*view)->dtype) : StoredType();
  return Error::success();
}

Error DecoderTensors::loadLayers() {
  for (int64_t layer = 0; layer < model.layers; ++layer) {
    unsigned style = model.styleOf[static_cast<size_t>(layer)];
    LayerTypes types;
    for (int i = 0; i < layerRoles; ++i)
      if (Error error =
              check(static_cast<Role>(i), layer, types[static_cast<size_t>(i)]))
        return error;
    auto kind = llvm::find_if(kinds, [&](const LayerKind &other) {
      return other.style == style && other.types == types;
    });
    if (kind == kinds.end()) {
      kinds.push_back({style, types, {}, "_" + std::to_string(kinds.size())});
      kind = std::prev(kinds.end());
    }
    places.push_back(
        {kind - kinds.begin(), static_cast<int64_t>(kind->layers.size())});
    kind->layers.push_back(layer);
  }
  if (kinds.size() == 1)
    kinds.front().suffix = "";
  return Error::success();
}

bool DecoderTensors::isIgnored(StringRef name) const {
  return llvm::any_of(model.ignoredTensors, [&](StringRef pattern) {
    return pattern.consume_front("*") ? name.ends_with(pattern)
                                      : name == pattern;
  });
}

Error DecoderTensors::refuseOthers() const {
  for (StringRef name : source.names())
    if (!read.contains(name) && !isIgnored(name))
      return fileError(source.path(),
                       "tensor " + quoted(name) + " has no place in a model (" +
                           model.architecture + ") of " + Twine(model.layers) +
                           " layers: cria does not know what it changes");
  return Error::success();
}

Expected<DecoderTensors> DecoderTensors::load(const DecoderDescription &model,
                                              const TensorSource &source) {
  DecoderTensors tensors(model, source);
  for (int i = layerRoles; i < allRoles; ++i)
    if (Error error =
            tensors.check(static_cast<Role>(i), 0,
                          tensors.top[static_cast<size_t>(i - layerRoles)]))
      return error;
  if (Error error = tensors.loadLayers())
    return error;
  if (Error error = tensors.refuseOthers())
    return error;
  return tensors;
}

} // namespace cria
