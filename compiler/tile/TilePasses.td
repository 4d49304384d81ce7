// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the stage tile.

#ifndef CRIA_COMPILER_TILE_TILEPASSES
#define CRIA_COMPILER_TILE_TILEPASSES

include "mlir/Pass/PassBase.td"

def Specialize : Pass<"cria-specialize", "::mlir::ModuleOp"> {
  let summary = "one version of the entry for few tokens and one for many";
  let description = [{
    Before:
    ```mlir
    func.func @forward(%x: tensor<?xi32>) attributes {cria.entry}
    ```
    After:
    ```mlir
    func.func @forward_decode(%x: tensor<?xi32>) attributes {cria.entry, cria.version = "decode"}
    func.func @forward_prefill(%x: tensor<?xi32>) attributes {cria.entry, cria.version = "prefill"}
    ```

    With `batch` there is a third one, of up to `kBatchTokens`
    (`compiler/target/Tiles.h`), before the last:
    ```mlir
    func.func @forward_batch(%x: tensor<?xi32>) attributes {cria.entry, cria.version = "batch"}
    ```
  }];
  let options = [
    Option<"batch", "batch", "bool", "false",
           "a version of its own for batches between decode and prefill">
  ];
}

def RoundActivations : Pass<"cria-round-activations", "::mlir::func::FuncOp"> {
  let summary = "rows of linears with bf16 weights may be bf16";
  let description = [{
    For `--numerics fast`: gives `bf16` to the linears of the prefill version
    whose weights are bf16, and to the rows op that feeds them. Where none does,
    or one that feeds others as well, they get one of their own. Whether the
    rows are rounded is left to the kernels of each target.

    With `codes`, linears whose weights are codes of 4 or 8 bits in n16k4 take
    such rows too, instead of quantised ones.

    Before:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
      attributes {extra_kinds = [], out = #cria<out rows>} ...
    ```
    After:
    ```mlir
    %a = cria.rows ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) attributes {bf16} {
    ^bb0(%row: tensor<1x64xf32>):
      cria.yield %row : tensor<1x64xf32>
    } -> tensor<?x64xf32>
    %y = cria.fused_linear acts(%a : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, bf16, n16k2>) outs(%0 : tensor<?x96xf32>)
      attributes {bf16, extra_kinds = [], out = #cria<out rows>} ...
    ```
  }];
  let options = [
    Option<"codes", "codes", "bool", "false",
           "linears of codes too: the target multiplies them as bf16">
  ];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def NarrowCodes : Pass<"cria-narrow-codes", "::mlir::func::FuncOp"> {
  let summary = "queries, keys and values from rows of 8 bits";
  let description = [{
    For `--numerics fast`: the rows op that quantises the input of linears to 16
    bits quantises it to 8 in the prefill version, unless one of the linears
    makes logits. That halves their products; mean KL on SmolLM2-135M Q4_1 goes
    from 0.0015 to 0.0027.

    Before:
    ```mlir
    %a:3 = cria.rows ins(%x : tensor<?x64xf32>) outs(%c, %s, %z : tensor<?x32xi32>, tensor<?x2xf32>, tensor<?x2xi32>) ...
    %q = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x32xi32>, ...) ...
    ```
    After:
    ```mlir
    %a:3 = cria.rows ins(%x : tensor<?x64xf32>) outs(%c, %s, %z : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) ...
    %q = cria.fused_linear acts(%a#0, %a#1, %a#2 : tensor<?x16xi32>, ...) ...
    ```
  }];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def SplitAttention : Pass<"cria-split-attention", "::mlir::func::FuncOp"> {
  let summary = "decode attention over KV chunks where whole heads leave threads idle";
  let description = [{
    Only the decode version changes. How many chunks there are and how many
    threads is known when the code runs: the condition compares what the
    slowest thread reads either way (3 heads of 8 chunks on 2 threads: 16
    against 12). The partials of all chunks of `cria.context` positions have
    room in the arena.

    Before:
    ```mlir
    %y = cria.fused_attention ins(%q, %k, %v, %p, %s, %t : tensor<?x192xf32>, ...) layer %l outs(%o : tensor<?x192xf32>) ...
    ```
    After:
    ```mlir
    %chunks, %longest = scf.for %i = 0 to %n ...            // of all tokens; of one
    %threads = cria.num_threads
    %whole = ceildiv(%n * kv_heads, %threads) * %longest
    %even = ceildiv(%chunks * kv_heads, %threads)
    %y = scf.if (%whole >= %even + 1) -> tensor<?x192xf32> {
      %0 = tensor.empty(%n) : tensor<?x6x32x64xf32>
      %1 = scf.forall (%w) in (%chunks * kv_heads) shared_outs(%out = %0) {
        %token, %head, %chunk = ...                          // of item %w of the list
        %2 = cria.attention_partials ins(%q[%token, %head], ...) layer %l first %chunk
            outs(%out[%token, %head, %chunk]) : tensor<1x3x1x64xf32>
        tensor.parallel_insert_slice %2 into %out[%token, %head, %chunk]
      }
      %3 = cria.attention_merge ins(%1, %p : tensor<?x6x32x64xf32>, tensor<?xi32>) outs(%o : tensor<?x192xf32>) ...
      scf.yield %3
    } else {
      %2 = cria.fused_attention ...
      scf.yield %2
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def ApplySchedules : Pass<"cria-apply-schedules", "::mlir::ModuleOp"> {
  let summary = "a tuning record's winners to the ops that it names";
  let description = [{
    An op is known by its version, the parameters that it reads and its shape
    (`compiler/tile/Schedule.h`). Entries that match no op are remarks; a record
    of which none does is an error. Runs before `cria-tile`, which is the first
    to look at `cria.schedule`.

    Before:
    ```mlir
    %y = cria.fused_linear acts(...) weights(%w : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(...)
      attributes {extra_kinds = [], out = #cria<out rows>} ...
    ```
    After, with a record that says `"winner": {"block-tokens": 6, "rows": 64}`:
    ```mlir
    %y = cria.fused_linear acts(...) weights(%w : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(...)
      attributes {cria.schedule = {"block-tokens" = 6 : i64, rows = 64 : i64}, extra_kinds = [], out = #cria<out rows>} ...
    ```
  }];
  let options = [
    Option<"file", "file", "std::string", "", "the record that `cria tune` wrote">
  ];
}

def Tile : Pass<"cria-tile", "::mlir::func::FuncOp"> {
  let summary = "kernels to parallel loops over tiles";
  let description = [{
    Tile sizes are those of `compiler/target/Tiles.h`, or `rows` of a linear's
    `cria.schedule`. `cria.cost` is the work
    of a tile, by which `cria-spmd` splits neighbouring loops together;
    `cria.cyclic` asks it to deal the tiles out, as they differ in work;
    `cria.by_tokens` is on loops over tiles of tokens times rows, where each
    thread should have the same tokens in all of them: with 128 tokens and more
    for each thread, those of the argument `tokens` are split over the threads
    in front of a linear's rows, which else go over all of them. In the
    decode version every thread prepares the rows of linears for itself.

    Before:
    ```mlir
    %y = cria.fused_linear acts(%x : tensor<?x64xf32>) weights(%w : !cria.weight<96x64, f32, n16>) outs(%0 : tensor<?x96xf32>) ...
    ```
    After:
    ```mlir
    %y = scf.forall (%j) = (0) to (96) step (32) shared_outs(%out = %0) -> (tensor<?x96xf32>) {
      %wj = cria.weight_slice %w[%j] : !cria.weight<96x64, f32, n16> to !cria.weight<32x64, f32, n16>
      %slice = tensor.extract_slice %out[0, %j] [%n, 32] [1, 1] : tensor<?x96xf32> to tensor<?x32xf32>
      %tile = cria.fused_linear acts(%x : ...) weights(%wj : !cria.weight<32x64, f32, n16>) outs(%slice : tensor<?x32xf32>) ...
      scf.forall.in_parallel {
        tensor.parallel_insert_slice %tile into %out[0, %j] [%n, 32] [1, 1] : tensor<?x32xf32> into tensor<?x96xf32>
      }
    } {cria.cost = 2048 : i64}
    ```
  }];
  let options = [
    Option<"sharedRows", "shared-rows", "bool", "false",
           "in the decode version too, rows are prepared once for all threads: of a GPU's there are thousands">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // CRIA_COMPILER_TILE_TILEPASSES
