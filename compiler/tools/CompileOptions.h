// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The options of cria-compile.
#ifndef CRIA_COMPILER_TOOLS_COMPILEOPTIONS_H
#define CRIA_COMPILER_TOOLS_COMPILEOPTIONS_H

#include "llvm/Support/CommandLine.h"

#include <string>

namespace cria {

namespace cl = llvm::cl;

enum class Output { obj, so, exe, assembly, llvm, mlir };

inline cl::OptionCategory category("Options of cria compile");

/// Made in main: LLVM's library has options of some of these names.
struct Options {
  cl::opt<std::string> modelPath{
      cl::Positional, cl::Required, cl::value_desc("MODEL"),
      cl::desc("MODEL: a GGUF file, a Hugging Face folder or a .mlir "
               "description"),
      cl::cat(category)};
  cl::opt<std::string> outputPath{"o", cl::value_desc("DIR"), cl::cat(category),
                                  cl::desc("Folder that the outputs go to")};
  cl::opt<std::string> targetName{
      "target", cl::init("native"), cl::value_desc("T,..."), cl::cat(category),
      cl::desc("native, x86-64, x86-64-v2, x86-64-v3, x86-64-v4, aarch64, "
               "aarch64+dotprod, aarch64+dotprod+i8mm or the name of a CPU "
               "(default: native); of several, the best for the processor is "
               "chosen at load; beside these sm_80, sm_86, sm_89, sm_90, "
               "sm_90a, sm_100: code for NVIDIA GPUs")};
  cl::opt<int64_t> contextSize{"context", cl::value_desc("N"),
                               cl::cat(category),
                               cl::desc("Positions that a sequence may have "
                                        "(default: what the model was made "
                                        "for)")};
  cl::opt<int64_t> ropeLength{
      "rope-length", cl::value_desc("N"), cl::cat(category),
      cl::desc("Rope of dynamic NTK and LongRoPE as for sequences of N tokens, "
               "at every position (default: each token as its own position "
               "has it, which is what generation sees)")};
  cl::opt<int64_t> batchSize{"batch", cl::value_desc("N"), cl::cat(category),
                             cl::desc("Tokens that one call may have (default: "
                                      "512, or 256 or 128 for a wide model, "
                                      "whose activations of 512 would take "
                                      "more than 16 MB)")};
  cl::opt<std::string> kvType{"kv-type", cl::init("f16"),
                              cl::value_desc("TYPE"), cl::cat(category),
                              cl::desc("f16, bf16, f32, i8 or i16: elements of "
                                       "the KV cache (default: f16)")};
  cl::opt<std::string> numerics{
      "numerics", cl::init("exact"), cl::value_desc("HOW"), cl::cat(category),
      cl::desc(
          "exact: the same bits on every processor, for any batch and "
          "threads; fast: without that, prompts take 8 bits where queries, "
          "keys and values of quantised weights take 16, attention in f16 "
          "if the processor has it (AVX512-FP16), and products of bf16 if "
          "weights are bf16 and it gains by them (AMX, Zen 4 and 5) "
          "(default: exact)")};
  cl::opt<int64_t> kvHeads{
      "kv-heads", cl::value_desc("G"), cl::cat(category),
      cl::desc("Make G kv heads of the model's, the means of groups of them")};
  cl::opt<std::string> quantize{
      "quantize", cl::value_desc("SPEC"), cl::cat(category),
      cl::desc("Convert weights: q4, q4_0, q6, q8, bf16, f16, f32 or keep, and "
               "KEY=TYPE for embed, head, q, k, v, o, gate, up, down, attn, "
               "ffn or a parameter, such as q4,head=q8")};
  cl::opt<std::string> quantizeReport{
      "quantize-report", cl::value_desc("FILE"), cl::cat(category),
      cl::desc("Write sizes and errors of each weight as JSON")};
  cl::list<std::string> disabledFusions{
      "disable-fusion", cl::CommaSeparated, cl::value_desc("NAMES"),
      cl::cat(category),
      cl::desc("Leave out some of the fusions glu, elementwise and kv-append, "
               "to see what they are worth; the logits stay the same")};
  cl::list<Output> emitKinds{
      "emit", cl::CommaSeparated, cl::cat(category),
      cl::desc("What code to write (default: obj,so)"),
      cl::values(clEnumValN(Output::obj, "obj", "model.o"),
                 clEnumValN(Output::so, "so", "model.so"),
                 clEnumValN(Output::exe, "exe", "model, which generates text"),
                 clEnumValN(Output::assembly, "asm",
                            "model.s, and model-TARGET.ptx for GPUs"),
                 clEnumValN(Output::llvm, "llvm", "model.ll"),
                 clEnumValN(Output::mlir, "mlir",
                            "model.mlir, the module after the dialect stage"))};
  cl::opt<std::string> symbolPrefix{
      "symbol-prefix", cl::init("model_"), cl::value_desc("P"),
      cl::cat(category),
      cl::desc("Begins every exported name (default: model_)")};
  cl::opt<std::string> stopAfter{
      "stop-after", cl::value_desc("STAGE"), cl::cat(category),
      cl::desc("Write the module after import, dialect, fuse, tile, bufferize, "
               "vector or llvm, to DIR with -o, else to stdout")};
  cl::opt<std::string> startAfter{
      "start-after", cl::value_desc("STAGE"), cl::cat(category),
      cl::desc("MODEL is a module that --stop-after STAGE wrote; no "
               "weights are written")};
  cl::opt<std::string> dumpPath{"dump-ir", cl::value_desc("DIR"),
                                cl::cat(category),
                                cl::desc("Write the module after each stage")};
  cl::opt<bool> plainLine{
      "plain", cl::cat(category),
      cl::desc("The plain lowering instead of the optimised "
               "one; MODEL may be a compiled folder, whose "
               "weights it then uses")};
  cl::opt<bool> profileOps{
      "profile", cl::cat(category),
      cl::desc("Count the time of every op while the model runs: for `cria "
               "bench --roofline` and cria_session_profile")};
  cl::opt<std::string> tune{
      "tune", cl::value_desc("FILE"), cl::cat(category),
      cl::desc("Cut each op as the record says that `cria tune` wrote on such "
               "a processor; the logits stay the same")};
  cl::opt<std::string> tuningSpace{
      "tuning-space", cl::ReallyHidden, cl::value_desc("FILE"),
      cl::cat(category),
      cl::desc("Only write what `cria tune` may choose for each op")};
  cl::opt<int64_t> tuningThreads{
      "tuning-threads", cl::ReallyHidden, cl::init(1), cl::cat(category),
      cl::desc("Of --tuning-space: threads that share the work")};
  cl::opt<std::string> tileIsa{
      "tile-isa", cl::ReallyHidden, cl::value_desc("ISA"), cl::cat(category),
      cl::desc("Linears in tiles, by this isa of cria-lower-dot-tile")};
  cl::opt<std::string> dot2Isa{
      "dot2-isa", cl::ReallyHidden, cl::value_desc("ISA"), cl::cat(category),
      cl::desc("With --numerics fast: by this isa of cria-lower-dot2")};
  cl::opt<uint64_t> seedValue{"seed", cl::value_desc("S"), cl::cat(category),
                              cl::desc("Random weights for a model without")};
  cl::opt<bool> quiet{"quiet", cl::cat(category),
                      cl::desc("Print nothing but errors and remarks")};
  cl::opt<bool> showTiming{
      "timing", cl::cat(category),
      cl::desc("Print the time of each stage, and the most memory "
               "that was resident")};

  cl::extrahelp examples{
      "\nExamples:\n"
      "  cria compile SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2\n"
      "  cria compile model.gguf -o out --target x86-64-v3 "
      "--context 4096 --timing\n"
      "  cria compile model.gguf -o out --target "
      "x86-64-v3,x86-64-v4,sapphirerapids\n"
      "  cria compile model.gguf -o out --target native,sm_90\n"
      "  cria compile model.mlir --seed 1 --stop-after fuse\n"
      "  cria compile llama-3.2-1b -o llama --quantize q4,head=q8\n"
      "  cria compile smollm2 --plain -o smollm2-plain\n"};
};

} // namespace cria

#endif // CRIA_COMPILER_TOOLS_COMPILEOPTIONS_H
