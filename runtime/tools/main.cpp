// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria: the command line. Anything that goes wrong is one line on stderr,
// "cria: error: ...", and exit code 1.
#include "tools/Commands.h"
#include "tools/Common.h"
#include "tools/Compiler.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <new>

using namespace cria::tools;

namespace {

constexpr const char *CompileHelp =
    R"(Compile a model into a folder of code and weights
Usage: cria compile MODEL -o DIR [OPTIONS]

MODEL is a GGUF file, a Hugging Face folder (config.json, *.safetensors,
tokenizer.json) or a .mlir description.

Options:
  -o DIR                  Folder to write
  --target T,...          native (default), x86-64-v3, x86-64-v4, aarch64 or a
                          CPU name; of several, the best for the CPU runs
  --context N             Positions that a sequence may have
  --batch N               Tokens that one run of the code may have
  --kv-heads G            Make G kv heads of the model's, the means of groups
  --disable-fusion NAMES  Leave out fusions: glu, elementwise, kv-append
  --symbol-prefix P       Beginning of every exported name (default: model_)
  --emit KINDS            Of obj, so, exe, asm, llvm, mlir (default: obj,so)
  --stop-after STAGE      import, dialect, fuse, tile, bufferize, vector or llvm
  --dump-ir DIR           Write the IR after each stage
  --tune FILE             Cut ops as `cria tune` found to be the fastest
  --profile               Count the time of every op while the model runs
  --timing                Print the time of each stage

cria-compile, which does the work, lists all of its options with --help.

Example:
  cria compile SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2
)";

constexpr const char *VerifyHelp =
    R"(Find the first pass that changes what a model computes
Usage: cria verify DIR|MODEL [OPTIONS]

DIR|MODEL is a folder that `cria compile` wrote, a GGUF file, a Hugging Face
folder, a .mlir description, or a reproducer that `cria verify` wrote.

A text goes through the model as it is after each stage of the compiler: prompts
of three lengths in two chunks, then decode steps. What later passes would make
into kernels runs by reference kernels instead, which follow the definitions of
the ops, so that each line of the table judges only the passes of its stage:
how far its logits are from those of the line before. Where they are too far,
the first pass that did it and the first op that differs are named, and a
reproducer is written: a small .mlir file with a RUN line for lit, which fails
until the bug is fixed. It compares with the tensors of the op random, so that
it needs no model.

Options:
  --stage STAGE      Only dialect, fuse, tile, bufferize, vector or llvm
  --tolerance X      Relative error of a row of logits that a pass may cause by
                     adding in another order (default: 0.002). Those that
                     change arithmetic on purpose have limits of their own,
                     shown in the table: a KV cache of 16 bits, and rounding
                     activations to int8, which the reference leaves out up to
                     the pass that makes code of it
  --text FILE        Take the tokens of this text (default: a sample)
  --quantize SPEC    Convert weights, as `cria compile` does
  --kv-type TYPE     f16, bf16, f32, i8 or i16 (default: f16)
  --target T         As `cria compile` takes it (default: native)
  --seed S           Random weights for a model without
  -o, --reproducer FILE
                     Where the reproducer goes (default: cria-verify-PASS.mlir)
  --json             Print JSON

Exit code: 0 where all agree, 2 where something diverges, 1 for errors.

Example:
  cria verify SmolLM2-135M-Instruct.Q4_1.gguf
  cria verify smollm2 --stage vector --text book.txt
)";

constexpr const char *Footer =
    R"(`cria COMMAND --help` shows a command's options and an example.

Example:
  cria compile SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2
  cria run smollm2 -p "The capital of France is" -n 32)";

/// `cria compile` is cria-compile with the same arguments.
void compile(int Count, char **Values) {
  for (int I = 2; I < Count; ++I)
    if (!std::strcmp(Values[I], "-h") || !std::strcmp(Values[I], "--help"))
      return print(CompileHelp);
  becomeCompiler(std::vector<std::string>(Values + 2, Values + Count));
}

/// `cria verify` is cria-verify with the same arguments.
void verify(int Count, char **Values) {
  for (int I = 2; I < Count; ++I)
    if (!std::strcmp(Values[I], "-h") || !std::strcmp(Values[I], "--help"))
      return print(VerifyHelp);
  becomeVerifier(std::vector<std::string>(Values + 2, Values + Count));
}

/// Listed for the help; main has dealt with it before.
Action addCompile(Arguments &) {
  return [] {};
}

constexpr Command Commands[] = {
    {"compile", "Compile a model into a folder of code and weights",
     addCompile},
    {"verify", "Find the first pass that changes what a model computes",
     addCompile},
    {"run", "Continue a prompt", addRun},
    {"tokenize", "Print the token ids of a text", addTokenize},
    {"logits", "Write the logits of token ids to a file", addLogits},
    {"bench", "Measure prefill and decode speed", addBench},
    {"eval", "Measure how well a model predicts a text", addEval},
    {"tune", "Find the fastest code for a model on this machine", addTune},
    {"inspect", "Show shapes, sizes and costs of a model", addInspect},
};

int errorLine(const char *Message) {
  if (*Message)
    std::fprintf(stderr, "cria: error: %s\n", Message);
  return 1;
}

} // namespace

int main(int Count, char **Values) {
  // Writing to a closed pipe becomes an error that we see.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (Count > 1 && !std::strcmp(Values[1], "compile"))
      compile(Count, Values);
    else if (Count > 1 && !std::strcmp(Values[1], "verify"))
      verify(Count, Values);
    else
      runCommands(Count, Values, Footer, Commands, std::size(Commands));
    return 0;
  } catch (const Failure &Fault) {
    return errorLine(Fault.Message.c_str());
  } catch (const BrokenPipe &) {
    return 1;
  } catch (const std::bad_alloc &) {
    return errorLine("out of memory");
  } catch (const std::exception &Fault) {
    return errorLine(Fault.what());
  }
}
