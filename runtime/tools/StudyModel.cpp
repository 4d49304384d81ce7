// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/StudyModel.h"

#include "tools/Common.h"

#include <cinttypes>
#include <cmath>

namespace cria::tools {

int64_t StudyModel::parameters() const {
  int64_t Attention = 2 * Width * HeadDim * (Heads + KvHeads);
  return Vocab * Width + Layers * (Attention + 3 * Width * Ffn);
}

StudyModel StudyModel::withKvHeads(const std::string &NewName,
                                   int64_t NewKvHeads) const {
  StudyModel Result = *this;
  Result.Name = NewName;
  Result.KvHeads = NewKvHeads;
  // 2 d (kv - kv') head_dim weights of a layer, in 3 d weights a column.
  double Columns =
      2.0 * static_cast<double>((KvHeads - NewKvHeads) * HeadDim) / 3.0;
  Result.Ffn += 32 * static_cast<int64_t>(std::lround(Columns / 32));
  return Result;
}

namespace {

/// Replaces each ${NAME} by its value.
class Template {
public:
  void set(const char *Name, std::string Value) {
    Names.push_back({std::string("${") + Name + "}", std::move(Value)});
  }
  void set(const char *Name, int64_t Value) {
    set(Name, std::to_string(Value));
  }
  std::string apply(std::string Text) const {
    // The last ones may stand in the values of earlier ones.
    for (const auto &[Name, Value] : Names)
      for (size_t At; (At = Text.find(Name)) != std::string::npos;)
        Text.replace(At, Name.size(), Value);
    return Text;
  }

private:
  std::vector<std::pair<std::string, std::string>> Names;
};

constexpr const char *Source =
    R"(// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Written by `cria bench --study`.
#rope = #cria.rope<pairs = half, base = 1.0e+04, dims = ${HD}>
module attributes {
  cria.name = "${NAME}", cria.vocab = ${V} : i64, cria.width = ${D} : i64,
  cria.layers = ${L} : i64, cria.heads = ${H} : i64, cria.kv_heads = ${G} : i64,
  cria.head_dim = ${HD} : i64, cria.ffn = ${F} : i64,
  cria.context = ${CONTEXT} : i64, cria.max_batch = ${BATCH} : i64,
  cria.seed = 1 : i64
} {
  cria.param @embd : ${WE}
  cria.param @norm_out : ${TD}
  cria.param @norm_out_b : ${TD}
  cria.param @norm_attn stacked : tensor<${L}x${D}xf32>
  cria.param @norm_attn_b stacked : tensor<${L}x${D}xf32>
  cria.param @q stacked : !cria.weight<${L}x${QD}x${D}, ${Q4}>
  cria.param @k stacked : !cria.weight<${L}x${KD}x${D}, ${Q4}>
  cria.param @v stacked : !cria.weight<${L}x${KD}x${D}, ${Q4}>
  cria.param @o stacked : !cria.weight<${L}x${D}x${QD}, ${Q4}>
  cria.param @norm_ffn stacked : tensor<${L}x${D}xf32>
  cria.param @norm_ffn_b stacked : tensor<${L}x${D}xf32>
  cria.param @gate stacked : !cria.weight<${L}x${F}x${D}, ${Q4}>
  cria.param @up stacked : !cria.weight<${L}x${F}x${D}, ${Q4}>
  cria.param @down stacked : !cria.weight<${L}x${D}x${F}, ${Q4}>

  func.func private @layer(%i: index, %x: ${X}, %pos: ${N}, %seq: ${N}, %slots: ${N}, %tables: ${NN}, %kc: ${KC}, %vc: ${VC}) -> (${X}, ${KC}, ${VC}) {
    ${LOAD_ATTN}
    %wq = cria.load @q[%i] : !cria.weight<${QD}x${D}, ${Q4}>
    %wk = cria.load @k[%i] : !cria.weight<${KD}x${D}, ${Q4}>
    %wv = cria.load @v[%i] : !cria.weight<${KD}x${D}, ${Q4}>
    %q = cria.linear %n1, %wq : ${X}, !cria.weight<${QD}x${D}, ${Q4}> -> ${XQ}
    %k = cria.linear %n1, %wk : ${X}, !cria.weight<${KD}x${D}, ${Q4}> -> ${XK}
    %v = cria.linear %n1, %wv : ${X}, !cria.weight<${KD}x${D}, ${Q4}> -> ${XK}
    %qr = cria.rope %q, %pos {rope = #rope, head_dim = ${HD} : i64} : ${XQ}, ${N}
    %kr = cria.rope %k, %pos {rope = #rope, head_dim = ${HD} : i64} : ${XK}, ${N}
    %k2 = cria.kv_append key %kr into %kc[%i] at %slots : ${XK}, ${KC}, ${N}
    %v2 = cria.kv_append value %v into %vc[%i] at %slots : ${XK}, ${VC}, ${N}
    %a = cria.attention %qr, %k2, %v2[%i] positions %pos sequences %seq tables %tables {heads = ${H} : i64, kv_heads = ${G} : i64, head_dim = ${HD} : i64, scale = ${SCALE} : f32} : ${XQ}, ${KC}, ${VC}, ${N}, ${N}, ${NN}
    %wo = cria.load @o[%i] : !cria.weight<${D}x${QD}, ${Q4}>
    %o = cria.linear %a, %wo : ${XQ}, !cria.weight<${D}x${QD}, ${Q4}> -> ${X}
    %x1 = cria.add %x, %o : ${X}
    ${LOAD_FFN}
    %wg = cria.load @gate[%i] : !cria.weight<${F}x${D}, ${Q4}>
    %wu = cria.load @up[%i] : !cria.weight<${F}x${D}, ${Q4}>
    %wd = cria.load @down[%i] : !cria.weight<${D}x${F}, ${Q4}>
    %g = cria.linear %n2, %wg : ${X}, !cria.weight<${F}x${D}, ${Q4}> -> ${XF}
    %u = cria.linear %n2, %wu : ${X}, !cria.weight<${F}x${D}, ${Q4}> -> ${XF}
    %h = cria.glu silu %g, %u : ${XF}
    %d = cria.linear %h, %wd : ${XF}, !cria.weight<${D}x${F}, ${Q4}> -> ${X}
    %x2 = cria.add %x1, %d : ${X}
    return %x2, %k2, %v2 : ${X}, ${KC}, ${VC}
  }

  func.func @forward(%tokens: ${N} {cria.arg = "tokens"}, %pos: ${N} {cria.arg = "positions"}, %seq: ${N} {cria.arg = "sequences"}, %slots: ${N} {cria.arg = "slots"}, %tables: ${NN} {cria.arg = "tables"}, %outputs: ${N} {cria.arg = "outputs"}, %k: ${KC} {cria.arg = "keys"}, %v: ${VC} {cria.arg = "values"}) -> (tensor<?x${V}xf32>, ${KC}, ${VC}) attributes {cria.entry} {
    %we = cria.load @embd : ${WE}
    %x = cria.embed %tokens, %we : ${N}, ${WE} -> ${X}
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %cl = arith.constant ${L} : index
    %r:3 = scf.for %i = %c0 to %cl step %c1 iter_args(%xi = %x, %ki = %k, %vi = %v) -> (${X}, ${KC}, ${VC}) {
      %y:3 = func.call @layer(%i, %xi, %pos, %seq, %slots, %tables, %ki, %vi) : (index, ${X}, ${N}, ${N}, ${N}, ${NN}, ${KC}, ${VC}) -> (${X}, ${KC}, ${VC})
      scf.yield %y#0, %y#1, %y#2 : ${X}, ${KC}, ${VC}
    }
    %s = cria.select_rows %r#0, %outputs : ${X}, ${N} -> ${X}
    ${LOAD_OUT}
    %logits = cria.linear %n0, %we : ${X}, ${WE} -> tensor<?x${V}xf32>
    return %logits, %r#1, %r#2 : tensor<?x${V}xf32>, ${KC}, ${VC}
  }
}
)";

/// Loads of a norm's parameters and the norm: `Result` from `X`.
std::string norm(bool IsLayer, const std::string &Param, const char *Index,
                 const char *X, const char *Result) {
  std::string Text = format("%%w%s = cria.load @%s%s : ${TD}\n    ", Result,
                            Param.c_str(), Index);
  if (IsLayer)
    Text += format("%%b%s = cria.load @%s_b%s : ${TD}\n    ", Result,
                   Param.c_str(), Index);
  return Text +
         format("%%%s = cria.norm %s %%%s weight %%w%s%s {eps = 1.0e-05 "
                ": f32} : ${X}, weight ${TD}%s",
                Result, IsLayer ? "layer" : "rms", X, Result,
                IsLayer ? (std::string(" bias %b") + Result).c_str() : "",
                IsLayer ? ", bias ${TD}" : "");
}

/// The text without the lines that declare a norm's bias.
std::string withoutBiases(std::string Text) {
  for (size_t At; (At = Text.find("_b stacked")) != std::string::npos ||
                  (At = Text.find("_b : ")) != std::string::npos;) {
    size_t Begin = Text.rfind('\n', At), End = Text.find('\n', At);
    Text.erase(Begin, End - Begin);
  }
  return Text;
}

} // namespace

std::string describeModel(const StudyModel &Model) {
  bool IsLayer = Model.LayerNorm;
  Template Values;
  Values.set("LOAD_ATTN", norm(IsLayer, "norm_attn", "[%i]", "x", "n1"));
  Values.set("LOAD_FFN", norm(IsLayer, "norm_ffn", "[%i]", "x1", "n2"));
  Values.set("LOAD_OUT", norm(IsLayer, "norm_out", "", "s", "n0"));
  Values.set("KC", "tensor<${L}x?x${G}x4x${HD}x16xf32>");
  Values.set("VC", "tensor<${L}x?x${G}x64x${HD}xf32>");
  Values.set("WE", "!cria.weight<${V}x${D}, q8, block = 32, none, rows>");
  Values.set("Q4", "q4, block = 32, min, rows");
  Values.set("X", "tensor<?x${D}xf32>");
  Values.set("XQ", "tensor<?x${QD}xf32>");
  Values.set("XK", "tensor<?x${KD}xf32>");
  Values.set("XF", "tensor<?x${F}xf32>");
  Values.set("TD", "tensor<${D}xf32>");
  Values.set("NN", "tensor<?x?xi32>");
  Values.set("N", "tensor<?xi32>");
  Values.set("SCALE",
             format("%.9e", 1 / std::sqrt(static_cast<double>(Model.HeadDim))));
  Values.set("NAME", Model.Name);
  Values.set("V", Model.Vocab);
  Values.set("D", Model.Width);
  Values.set("L", Model.Layers);
  Values.set("H", Model.Heads);
  Values.set("G", Model.KvHeads);
  Values.set("HD", Model.HeadDim);
  Values.set("QD", Model.Heads * Model.HeadDim);
  Values.set("KD", Model.KvHeads * Model.HeadDim);
  Values.set("F", Model.Ffn);
  Values.set("CONTEXT", Model.Context);
  Values.set("BATCH", Model.Batch);
  return Values.apply(IsLayer ? Source : withoutBiases(Source));
}

} // namespace cria::tools
