// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes that only code for GPUs goes through.

#ifndef CRIA_COMPILER_GPU_GPUPASSES
#define CRIA_COMPILER_GPU_GPUPASSES

include "mlir/Pass/PassBase.td"

def FormTeams : Pass<"cria-form-teams", "::mlir::func::FuncOp"> {
  let summary = "which ops the threads of a block work on together";
  let description = [{
    A team is a block's 16 groups of 16 threads. These get `cria.team`, and
    `cria-spmd` deals their tasks out to teams; the others stay with groups:
    - linears whose weights are codes of 4, 6 or 8 bits, or bf16 or f16 with a
      multiple of 16 columns. Tiles of prompts are of q4, q8 and bf16 only; the
      others' prompts go as batches do. f32 stays with groups: it would be the
      sum of three bf16, and a product nine, which is 110 of an H100's 990
      TFLOP/s, where its own FMAs are 67;
    - attention over caches of f16 or bf16 with a head_dim that is a multiple of
      16, at most 256, for `cria-vectorize-team-attention`;
    - attention of decode steps over chunks of the cache, also of f32; it is
      then taken at any depth, as whole heads would be too few threads to wait
      for memory;
    - rows of a multiple of 32 columns, unless a norm goes by heads.

    Before:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
      attributes {extra_kinds = [], out = #cria<out rows>} ...
    ```
    After:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
      attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} ...
    ```
    and in a function with `cria.version = "prefill"`, for
    `cria-vectorize-team-gemm`:
    ```mlir
      attributes {cria.gemm = array<i64: 128, 128>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} ...
    ```
    With `wgmma`, linears whose rows are rounded to bf16 get `cria.wgmma` too
    (of codes these are what `cria-round-activations{codes}` leaves),
    for `cria-vectorize-team-wgmma`.
  }];
  let options = [
    Option<"gemmTokens", "gemm-tokens", "int64_t", "::cria::kGpuGemmTokens",
           "tokens of a team's tile in the prefill version">,
    Option<"gemmCodeTokens", "gemm-code-tokens", "int64_t",
           "::cria::kGpuGemmCodeTokens", "the same where weights are codes">,
    Option<"gemmRows", "gemm-rows", "int64_t", "::cria::kGpuGemmRows",
           "rows of it, of all weights of the op together">,
    Option<"gemmRoundedRows", "gemm-rounded-rows", "int64_t",
           "::cria::kGpuGemmRoundedRows",
           "the same where activations are rounded to bf16">,
    Option<"wgmma", "wgmma", "bool", "false",
           "products of four warps (sm_90a) for rows that are rounded to bf16">
  ];
}

def VectorizeTeamLinear : Pass<"cria-vectorize-team-linear", "::mlir::ModuleOp"> {
  let summary = "cria.fused_linear of a team to products of tensor cores";
  let description = [{
    The linears with `cria.team`. K is cut into 8 slices of whole blocks (of
    codes: 32 columns; of bf16: 16), one for each warp of the block:
    `ceil(blocks / 8)` each, the last ones fewer or none. A warp adds up its
    slice in f32, step by step in the order of K, then the 8 sums of a result
    are added in their order, `((s0 + s1) + s2) + ...`, and the epilogue
    follows. A step is one product, `mma.sync` of 16 rows and 8 tokens:

    | weights | product | f32 |
    |---|---|---|
    | q4, q8 | m16n8k32 of u8 and s8, exact in i32; 16-bit codes take two | as cria.fused_linear says, block by block |
    | q6 | the same twice, each with the codes of one half of a block, 0 for the other's | the same |
    | bf16 | m16n8k16 of bf16 for each of the three bf16 that an f32 is the sum of, the smallest first | the tensor core's own |
    | f16 | as bf16, of which an f16 is the sum of two: 11 bits are 8 and 3, and no exponent is too large or too small; six products | the tensor core's own |

    The instruction and the order of K are the same for any number of tokens,
    so that a token's result does not depend on the others: 8 tokens a product,
    up to 4 products to a pass over the weights in the version for batches.
    Linears with `cria.gemm` are left to `cria-vectorize-team-gemm` and
    `cria-vectorize-team-wgmma`. They are
    not the bits of a CPU, whose sums have one slice.

    A thread (q, l) of a warp, q = 0 to 7 and l = 0 to 3, has rows 2 q and 2 q +
    1 of the 16: in the layouts n16k4 and n16k2 they lie side by side for each
    four codes or two bf16, so that a warp reads 256 bytes in a row 8 at a
    time. Row i of a product is row 2 i of these, row 8 + i is row 2 i + 1.

    Before:
    ```mlir
    cria.fused_linear acts(%a : memref<?x64xf32>) weights(%w : !cria.weight<16x64, bf16, n16k2>) outs(%y : memref<?x16xf32>)
      attributes {cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} ...
    ```
    After:
    ```mlir
    scf.for %from = 0 to %n step 8 {
      %sums:4 = scf.for %step = %slice_from to %slice_to iter_args(%s = 0.0, ...) {
        %w = vector.load %elements[0, 8 * %step + %l, 4 * %q] {cria.lane} : vector<4xbf16>
        ...
        %lo:4 = call @cria_gpu_mma_bf16(%a0, %a1, %a2, %a3, %x0_lo, %x1_lo, %s#0, %s#1, %s#2, %s#3)
        ...
      }
      call @cria_gpu_put(%place, %sums#0)              // and the other three
      call @cria_gpu_team_sync()
      scf.for %token = %group to min(8, %n - %from) step 16 {
        %s0 = call @cria_gpu_get(%place0)              // of 8 slices
        ...
        %acc = call @cria_gpu_lanes(%sum)
        vector.store %acc, %y[%from + %token, 0]
      }
      call @cria_gpu_team_sync()
    }
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def VectorizeTeamAttention : Pass<"cria-vectorize-team-attention", "::mlir::ModuleOp"> {
  let summary = "attention of a team to products of tensor cores";
  let description = [{
    `cria.fused_attention` and `cria.attention_partials` with `cria.team`, over
    caches of f16 or bf16. A tile is up to 128 rows: consecutive tokens of a
    sequence times the query heads of one kv head. A warp has 16 rows of it, and
    where rows are fewer, or heads wide, several warps have the same rows and
    different columns of their output (gpu/AttentionTiles.h). K and V come by
    asynchronous copies into places of shared memory that take turns, while the
    ones before are multiplied. A row goes over its positions in steps of 64 (of
    heads wider than 128: 32) from multiples of that on:

        s = (scale q) K, as bf16 or f16 with f32 sums; soft cap, slopes, bias
        s = -inf where the row does not see the position
        m' = max(m, s),  f = exp(m - m'),  p = exp(s - m')
        l = l f + sum of p,  o = o f + P V, p as bf16 or f16 with f32 sums

    Each chunk of 256 positions begins anew and is merged as
    `cria-vectorize-attention-merge` does it, or stored as it is for that. So a
    token's bits are the same in a prompt, cut up in any way, and in a decode
    step. They are not the CPU's: q and p are rounded to the cache's type.

    Partials of sums are the whole sum in the first of the 16 elements, and 0.

    Before:
    ```mlir
    cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x128xf32>, memref<2x?x1x4x64x16xf16>, memref<2x?x1x64x64xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      layer %layer outs(%o : memref<?x128xf32>) {cria.team = 16 : i64, heads = 2 : i64, kv_heads = 1 : i64, head_dim = 64 : i64, scale = 1.25e-01 : f32}
    ```
    After:
    ```mlir
    scf.while (%row = 0) { %row < %tokens } do {
      %run = ...                                   // tokens of a tile
      call @cria_gpu_copy(%place, %address)        // of the first steps
      call @cria_gpu_copy_commit()
      %a0 = call @cria_gpu_pack_f16(%q0, %q1)      // and the other queries
      scf.for %chunk = ... iter_args(%M = -inf, ..., %L = 0, ..., %O = 0, ...) {
        scf.for %step = ... iter_args(%m = -inf, ..., %l = 0, ..., %o = 0, ...) {
          call @cria_gpu_copy_wait(3)
          call @cria_gpu_team_sync()
          ...                                      // further copies
          %w:4 = call @cria_gpu_load_transposed(%stage, 0)
          %s:4 = call @cria_gpu_mma_f16(%a0, %a1, %a2, %a3, %w#0, %w#1, 0, 0, 0, 0)
          ...                                      // m', f, p
          call @cria_gpu_copy_wait(3)
          call @cria_gpu_team_sync()
          ...
          %o1:4 = call @cria_gpu_mma_f16(%p0, %p1, %p2, %p3, %v#0, %v#1, %o#0, %o#1, %o#2, %o#3)
        }
        ...                                        // merge
      }
      vector.store %result, %o[%token, %column] {cria.lane} : memref<?x128xf32>, vector<2xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
}

def VectorizeTeamGemm : Pass<"cria-vectorize-team-gemm", "::mlir::ModuleOp"> {
  let summary = "cria.fused_linear of a team to products of a tile in the block's memory";
  let description = [{
    The linears with `cria.gemm`: those of the prefill version, by tiles of so
    many tokens and rows. The 8 warps share a tile as 2 times 4. Steps of K (of
    codes: a block of 32; of bf16: 16 columns) go from global memory to the
    block's by `cp.async`, several on their way at once (`stages`), in pieces of
    16 bytes whose places are swapped so that what a warp reads lies in all
    banks. Every number is what `cria-vectorize-team-linear` computes, so that
    bits do not depend on how many tokens there are: the same products, step by
    step in the order of K, slice by slice, and each slice's sum is added to
    those before it, here by one warp.

    A linear with `bf16` (`--numerics fast`) takes rows that are rounded to
    bf16, one product instead of three, and no slices: other bits than a decode
    step's, which rounds nothing.

    A thread (q, l) has rows 4 q to 4 q + 3 of 32, one piece of a word of their
    weights, which are rows q and q + 8 of two products.

    Before:
    ```mlir
    cria.fused_linear acts(%a : memref<?x64xf32>) weights(%w : !cria.weight<128x64, bf16, n16k2>) outs(%y : memref<?x128xf32>)
      attributes {cria.gemm = array<i64: 128, 128>, cria.team = 16 : i64, extra_kinds = [], out = #cria<out rows>} ...
    ```
    After:
    ```mlir
    call @cria_gpu_copy(%place, %address)             // of stage 0
    call @cria_gpu_copy_commit()
    ...                                               // and 1 and 2
    %totals:64 = scf.for %from = 0 to 4 step 1 iter_args(%t = -0.0, ...) {
      %sums:64 = scf.for %step = %from to min(%from + 1, 4) iter_args(%s = 0.0, ...) {
        call @cria_gpu_copy_wait(2)
        call @cria_gpu_team_sync()
        scf.if %step + 3 < 4 { call @cria_gpu_copy(...) ... }
        call @cria_gpu_copy_commit()
        %a:4 = call @cria_gpu_words4(%rows)
        %x:2 = call @cria_gpu_words2(%tokens)
        ...
        %lo:4 = call @cria_gpu_mma_bf16(%a#0, %a#1, %a#2, %a#3, %x0_lo, %x1_lo, %s#0, %s#1, %s#2, %s#3)
        ...
      }
      %t + %sums
    }
    call @cria_gpu_copy_wait(0)
    call @cria_gpu_team_sync()
    scf.for %tile = 0 to 4 {
      call @cria_gpu_put(%place, %totals#0)           // of this tile
      call @cria_gpu_team_sync()
      scf.for %item = %group to 32 step 2 {
        %acc = call @cria_gpu_lanes(call @cria_gpu_get(%own))
        vector.store %acc, %y[%token, %row]
      }
      call @cria_gpu_team_sync()
    }
    ```
  }];
  let options = [
    Option<"stages", "stages", "int64_t", "::cria::kGpuGemmStages",
           "steps of K in the block's memory at most; fewer where they do not fit">
  ];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def VectorizeTeamWgmma : Pass<"cria-vectorize-team-wgmma", "::mlir::ModuleOp"> {
  let summary = "cria.fused_linear of a team to wgmma over what bulk copies bring";
  let description = [{
    The linears with `cria.wgmma`, of weights in bf16, q4 or q8 for rows that
    are rounded to bf16 (`--numerics fast`), on sm_90a. The tile's rows are
    operand A of `wgmma.mma_async` m64nNk16, from registers: a group of 16 rows
    of n16k2 is a warp's part of it. Thread (q, l) loads rows 2 q and 2 q + 1 of
    a word of k, 256 bytes in a row a warp, and takes them for rows q and q + 8.
    So a group's bytes for a stage, one piece in the weights file, come as they
    are, by one `cp.async.bulk` each. (As operand B, from memory, n16k2 will not
    do: its 16 bytes are two columns of four rows, a core matrix has eight of
    one row or of one column.) Codes in n16k4 come the same way, with their
    scales and mins, and become bf16 between memory and the product: each code
    once, as no two warps have the same rows.

    The tile's tokens are operand B, all of them in one product. Their pieces of
    16 bytes come by `cp.async` into core matrices without a swizzle: 8 tokens
    side by side, then the other tokens, then the next 8 columns.

    A ring of stages without a producer of its own: of 256 threads, 16 begin a
    bulk copy and all one to four copies a stage, which is less than giving
    registers away for a ninth warp. Each stage has two mbarriers: what comes
    into it, and who has done with it. A stage's products are begun, then the
    place of the stage before is filled anew, then the products are waited for:
    the accumulators are registers that nothing may touch until then, so that
    products of two stages do not overlap. But the block's two warpgroups are
    only bound by the ring: while one waits and loads, the other multiplies.

    Why only rounded rows: a tensor core's order of sums and rounding within a
    product are not documented, neither for `mma.sync` nor for `wgmma`, which
    need not have the same. Prompts must have the bits of single tokens, whose
    products are `mma.sync`, so exact linears stay with it. (Sums of codes are
    integers and would have the same bits, but what they take is the scaling of
    each block's sums, which `wgmma` does not change: see target/GpuTarget.h.)
    Rounded rows have other bits than a decode step's anyway.

    Before:
    ```mlir
    cria.fused_linear acts(%a : memref<?x64xf32>) weights(%w : !cria.weight<256x64, bf16, n16k2>) outs(%y : memref<?x256xf32>)
      attributes {bf16, cria.gemm = array<i64: 128, 256>, cria.team = 16 : i64, cria.wgmma, extra_kinds = [], out = #cria<out rows>} ...
    ```
    After:
    ```mlir
    scf.if %thread == 0 { call @cria_gpu_mbarrier_init(...) ... }
    call @cria_gpu_fence_async()
    call @cria_gpu_team_sync()
    call @cria_gpu_copy(%place, %address)              // of stage 0
    call @cria_gpu_mbarrier_copies(%full0)
    scf.if %thread < 16 { call @cria_gpu_bulk_copy(%place, %address, 512, %full0) }
    ...                                                // and 1
    %sums:128 = scf.for %step = 0 to 4 iter_args(%s = 0.0, ...) {
      call @cria_gpu_mbarrier_wait(%full, %parity)
      call @cria_gpu_fence_async()
      %w:2 = call @cria_gpu_words2(%rows)
      ...
      %f:136 = call @cria_gpu_wgmma_fence_8x128(%w#0, ..., %s, ...)
      %p:64 = call @cria_gpu_wgmma_bf16_n128(%f#0, %f#1, %f#2, %f#3, %tokens, 2048, 128, %f#8, ...)
      ...
      call @cria_gpu_wgmma_commit()
      scf.if %step + 2 < 4 {
        scf.if %step + 2 >= 3 { call @cria_gpu_mbarrier_wait(%empty, %before) }
        ...                                            // further copies
      }
      %d:128 = call @cria_gpu_wgmma_wait_128(%p#0, ...)
      call @cria_gpu_sync()
      scf.if %lane == 0 { call @cria_gpu_mbarrier_arrive(%empty) }
    }
    ...                                                // as cria-vectorize-team-gemm
    ```
  }];
  let options = [
    Option<"units", "units", "int64_t", "::cria::kGpuWgmmaUnits",
           "products of 16 columns a stage at most; fewer where they do not fit or do not divide K">,
    Option<"stages", "stages", "int64_t", "::cria::kGpuWgmmaStages",
           "stages in the block's memory at most; fewer where they do not fit">
  ];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def DistributeLanes : Pass<"cria-distribute-lanes", "::mlir::ModuleOp"> {
  let summary = "the lanes of the kernels' vectors to threads of a GPU";
  let description = [{
    What is one thread on a CPU is a group of 16 threads on a GPU, half a warp,
    one for each lane. Lane l has elements [l m, (l + 1) m) of a vector of 16 m
    elements, or element l of a shorter one. Scalars are computed by every lane
    alike, so all lanes take the same way through the code; a scalar is stored
    by lane 0. Each operation on an element is what it was, in the order that it
    had: the bits of a result are those of the CPU.

    Lanes see each other's memory after `@cria_gpu_sync`, which stands around
    every store. Scratch on the stack of a CPU thread lies in the group's part
    of the arena, and `cria.thread_arena_bytes` grows by it. Left over are calls
    of functions that the GPU's library has (gpu/Ptx.cpp), and, for tests, one
    that emulates a GPU on the CPU:

    | function | returns or does |
    |---|---|
    | `cria_gpu_lane()` | the lane of the calling thread |
    | `cria_gpu_shuffle(value, lane)` | what another lane of the group passes |
    | `cria_gpu_sync()` | waits for all lanes of the group, and orders memory |
    | `cria_gpu_dot4(acc, a, b)` | `acc + sum_{j<4} u8(byte j of a) * s8(byte j of b)` |

    Prefetches and time stamps go away.

    Before:
    ```mlir
    func.func @f(%x: memref<32xf32>, %y: memref<32xf32>, %i: index) {
      %v = vector.load %x[%i] : memref<32xf32>, vector<16xf32>
      %s = vector.shuffle %v, %v [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xf32>, vector<16xf32>
      %w = arith.addf %v, %s : vector<16xf32>
      vector.store %w, %y[%i] : memref<32xf32>, vector<16xf32>
      return
    }
    ```
    After:
    ```mlir
    func.func @f(%x: memref<32xf32>, %y: memref<32xf32>, %i: index) {
      %lane = call @cria_gpu_lane() : () -> i32
      %l = arith.index_castui %lane : i32 to index
      %j = arith.addi %i, %l : index
      %v = memref.load %x[%j] : memref<32xf32>
      %from = arith.xori %lane, %c1_i32 : i32
      %0 = arith.bitcast %v : f32 to i32
      %1 = call @cria_gpu_shuffle(%0, %from) : (i32, i32) -> i32
      %s = arith.bitcast %1 : i32 to f32
      %w = arith.addf %v, %s : f32
      call @cria_gpu_sync() : () -> ()
      memref.store %w, %y[%j] : memref<32xf32>
      call @cria_gpu_sync() : () -> ()
      return
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

#endif // CRIA_COMPILER_GPU_GPUPASSES
