// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the stage llvm.

#ifndef CRIA_COMPILER_LLVM_LLVMPASSES
#define CRIA_COMPILER_LLVM_LLVMPASSES

include "mlir/Pass/PassBase.td"

def LowerDotTile : Pass<"cria-lower-dot-tile"> {
  let summary = "cria.dot_tile and dot_tile2 to AMX tiles, or to cria.dot4 and dot2";
  let description = [{
    | isa | form |
    |---|---|
    | amx | tile registers: one load of `acts` for all panels, then a load of codes, `tdpbsud` and a store of the sums each |
    | generic | loops over panels and tokens, of 8 `cria.dot4` |

    Both give the same integers, so the second is also how a kernel that is
    made for AMX is tested on a CPU without. For `cria.dot_tile2`:

    | isa | form |
    |---|---|
    | amx | for 16 words of K at a time a load of `acts` for all panels, then a load of weights and `tdpbf16ps` each; the sums stay in tile registers for 8 such steps, and go through `out` |
    | generic | loops over panels, tokens and words, of one `cria.dot2` |

    Before:
    ```mlir
    cria.dot_tile %acts[%t, %w], %codes, %out : memref<?x144xi32>, memref<1x8x64xi8>, memref<1x16x16xi32>
    ```
    After, with isa=amx:
    ```mlir
    %a = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%rows, %bytes, %acts, %stride)
    %b = llvm.call_intrinsic "llvm.x86.tileloadd64.internal"(%words, %line, %codes, %line)
    %z = llvm.call_intrinsic "llvm.x86.tilezero.internal"(%rows, %line)
    %c = llvm.call_intrinsic "llvm.x86.tdpbsud.internal"(%rows, %line, %bytes, %z, %a, %b)
    llvm.call_intrinsic "llvm.x86.tilestored64.internal"(%rows, %line, %out, %line, %c)
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"isa", "isa", "std::string", "\"generic\"", "one of generic, amx">
  ];
}

def LowerDot2 : Pass<"cria-lower-dot2"> {
  let summary = "cria.dot2 to the target's bf16 dot product";
  let description = [{
    | isa | form |
    |---|---|
    | avx512bf16 | one 512-bit `vdpbf16ps`, which counts subnormals as zero |
    | generic | halves of the words as f32, and two FMAs, the even column first |

    Before:
    ```mlir
    %r = cria.dot2 %acc, %a, %b : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
    ```
    After, with isa=avx512bf16:
    ```mlir
    %r = llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%acc, %a, %b)
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"isa", "isa", "std::string", "\"generic\"", "one of generic, avx512bf16">
  ];
}

def LowerDot4 : Pass<"cria-lower-dot4"> {
  let summary = "cria.dot4 to the target's byte dot product";
  let description = [{
    | isa | form |
    |---|---|
    | avx512vnni | one 512-bit `vpdpbusd` |
    | avxvnni | two 256-bit `vpdpbusd` |
    | avx2 | `vpmaddubsw` and `vpmaddwd` on two halves; up to 8 chained ops of 4-bit codes (2 of 6-bit ones) add up in 16 bits before the second; 8-bit codes in two parts, as the first saturates |
    | i8mm | four 128-bit `usdot` |
    | dotprod | four 128-bit `sdot`; 8-bit codes less 128, and 128 times the sums of b by another `sdot` |
    | neon | 16-bit products: up to 8 chained ops of 4-bit codes (2 of 6-bit ones) add up (`smlal`) before they are widened, those of 8-bit codes are widened one by one |
    | sse2 | `pmaddwd` of even and of odd bytes, on quarters |
    | generic | 16-bit products, in arith |

    All give the same integers. For `sdot` and `usdot`, which take their second
    operand by element, four words of b that are loaded from one place and
    broadcast come with one load: `vector.shuffle %four [j, j, ...]`.

    Before:
    ```mlir
    %r = cria.dot4 %acc, %a, %b {a_bits = 4 : i64} : vector<16xi32>, vector<64xi8>, vector<64xi8>
    ```
    After, with isa=avx512vnni:
    ```mlir
    %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%acc, %a, %b)
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"isa", "isa", "std::string", "\"generic\"",
           "one of generic, sse2, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm">
  ];
}

def LowerDot2I16 : Pass<"cria-lower-dot2-i16"> {
  let summary = "cria.dot2_i16 to the target's product of 16-bit integers";
  let description = [{
    | isa | form |
    |---|---|
    | avx512vnni | one 512-bit `vpdpwssd` |
    | avxvnni | two 256-bit `vpdpwssd` |
    | avx512bw | one 512-bit `vpmaddwd` and an addition |
    | avx2, sse2 | `pmaddwd` and an addition, on halves or quarters |
    | neon | two `smull`, `addp` and an addition, on quarters |
    | generic | products of both halves of words, in arith |

    All give the same integers.

    Before:
    ```mlir
    %r = cria.dot2_i16 %acc, %a, %b : vector<16xi32>, vector<32xi16>
    ```
    After, with isa=avx512vnni:
    ```mlir
    %r = llvm.call_intrinsic "llvm.x86.avx512.vpdpwssd.512"(%acc, %a, %b)
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::vector::VectorDialect"
  ];
  let options = [
    Option<"isa", "isa", "std::string", "\"generic\"",
           "one of generic, sse2, avx2, avx512bw, avxvnni, avx512vnni, neon">
  ];
}

def ExpandF16 : Pass<"cria-expand-f16"> {
  let summary = "f16 conversions to integer arithmetic where the target has none";
  let description = [{
    For targets without F16C, where LLVM would call a library. Rounds to
    nearest even; subnormals, infinities and NaNs as F16C has them.

    Before:
    ```mlir
    %y = arith.extf %x : vector<16xf16> to vector<16xf32>
    ```
    After:
    ```mlir
    %h = arith.extui (arith.bitcast %x : vector<16xf16> to vector<16xi16>) : vector<16xi16> to vector<16xi32>
    %s = arith.shli (arith.andi %h, 0x8000), 16
    %m = arith.andi %h, 0x7fff
    %normal = arith.addi (arith.shli %m, 13), 0x38000000
    ...                                        // subnormals, infinities, NaNs
    %y = arith.bitcast (arith.ori %chosen, %s) : vector<16xi32> to vector<16xf32>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def ExpandFma : Pass<"cria-expand-fma", "::mlir::ModuleOp"> {
  let summary = "f32 FMA to f64 arithmetic where the target has no instruction";
  let description = [{
    For targets without FMA, where LLVM would call a library lane by lane. One
    function of four lanes, rounded once, that all call: scalars, and vectors
    whose lanes are a multiple of four.

    Before:
    ```mlir
    %y = math.fma %a, %b, %c : vector<16xf32>
    ```
    After:
    ```mlir
    func.func private @fma_f32x4(%a: vector<4xf32>, %b: vector<4xf32>, %c: vector<4xf32>) -> vector<4xf32>
        attributes {llvm.linkage = #llvm.linkage<internal>, passthrough = ["noinline"]} {
      %product = arith.mulf (arith.extf %a), (arith.extf %b) : vector<4xf64>
      %sum = arith.addf %product, (arith.extf %c) : vector<4xf64>
      ...                                        // and its error; to odd
      return (arith.truncf %odd) : vector<4xf64> to vector<4xf32>
    }
    %y0 = call @fma_f32x4(%a0, %b0, %c0)             // lanes 0 to 3 of each
    ...
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def EmitEntry : Pass<"cria-emit-entry", "::mlir::ModuleOp"> {
  let summary = "the C functions of a compiled model around its entry functions";
  let description = [{
    Adds the exported `<prefix>get`, which returns a constant cria_model of
    abi.h (not with describe=false: another module of the artifact has it), and
    the hidden `<prefix>forward`, which makes each memref argument
    from the fields of cria_forward_args (by its `cria.arg`) and calls the
    version for the number of tokens. Functions that use `cria.thread_id`,
    `cria.num_threads` or `cria.barrier`, directly or through calls, take
    (thread, threads, args) at their end. With `cria.profile` on the module,
    the thread's counters follow, `<prefix>forward_profiled` takes them, and
    `<prefix>forward` calls it without.

    With several `clones` the function is `<prefix>forward_<target>`; those of
    the other clones are declared where the model is described.

    Entry functions without `cria.version` are run by thread 0 alone. Runs
    before the conversion of func and memref, whose descriptors it builds.

    ```mlir
    func.func @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"})
        attributes {cria.entry, cria.version = "prefill"} {
      %t = cria.thread_id
      ...
    }
    ```

    becomes

    ```mlir
    func.func private @forward_prefill(%out: memref<?x8xf32> {cria.arg = "logits"},
        %t: index, %threads: index, %args: !llvm.ptr) attributes {llvm.linkage = ...} {...}
    llvm.func hidden @model_forward(%args: !llvm.ptr, %thread: i64, %threads: i64) {
      %p = llvm.getelementptr inbounds %args[120] : (!llvm.ptr) -> !llvm.ptr, i8
      %logits = llvm.load %p : !llvm.ptr -> !llvm.ptr
      ...
      func.call @forward_prefill(...)
      llvm.return
    }
    llvm.func @model_get() -> !llvm.ptr {...}
    ```
  }];
  let options = [
    Option<"prefix", "prefix", "std::string", "\"model_\"",
           "what the names of the C functions begin with">,
    Option<"target", "target", "std::string", "\"\"",
           "cria_clone.target of this module's code">,
    Option<"features", "features", "uint64_t", "0",
           "cria_clone.features: CRIA_CPU_* that the code needs">,
    ListOption<"clones", "clones", "std::string",
               "TARGET=FEATURES of all clones, this one among them, the most "
               "capable first; empty: there is no other">,
    Option<"describe", "describe", "bool", "true",
           "make `<prefix>get` and the model's description">,
    Option<"steadyCounter", "steady-counter", "bool", "false",
           "cria.stamp reads llvm.readsteadycounter instead of llvm.readcyclecounter">,
    Option<"gpu", "gpu", "bool", "false",
           "code for a GPU: cria.barrier is cria_gpu_barrier(args->barrier_context), and what args point to is in its memory">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}

#endif // CRIA_COMPILER_LLVM_LLVMPASSES
