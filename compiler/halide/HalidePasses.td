// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the provider Halide. One is of the stage vector, one of llvm.

#ifndef CRIA_COMPILER_HALIDE_HALIDEPASSES
#define CRIA_COMPILER_HALIDE_HALIDEPASSES

include "mlir/Pass/PassBase.td"

def BindHalide : Pass<"cria-bind-halide", "::mlir::ModuleOp"> {
  let summary = "ops whose schedule names the provider Halide to calls of its kernels";
  let description = [{
    A kernel is a private function that says in `cria.halide` which generator of
    `compiler/halide/generators` makes it, with what parameters; the stage emit
    runs the generator for each target. See `compiler/halide/HalideCall.h` for
    how operands pass.

    Bound are linears, rows, heads, attention and what merges its chunks. The
    kernel of a linear leaves its sums over K in a buffer in L1, over which
    another does the epilogue: bias, activation, GLU, scale, soft cap and what
    is added. Rotation and KV caches are cria's code there. The kernel of
    attention does one chunk for the tokens of a page, in loops of cria's. An op that no generator covers is left to cria's
    kernels, with a remark that says why, as are all where `refusal` is given.

    Before:
    ```mlir
    cria.fused_linear acts(%codes, %scales, %sums : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xi32>)
      weights(%w : !cria.weight<96x64, q8, block = 32, zero_point, n16k4>) outs(%y : memref<?x96xf32>)
      attributes {cria.schedule = {provider = "halide"}, extra_kinds = [], out = #cria<out rows>} {
    ^bb0(%acc: vector<16xf32>):
      cria.yield %acc : vector<16xf32>
    }
    ```
    After:
    ```mlir
    %wc, %ws = cria.weight_data %w
    scf.for %group = 0 to 6 step 2 {
      scf.for %token = 0 to %n step 60 {
        func.call @halide_linear_codes_...(%wc[%group], %ws[%group], %codes[%token], %scales[%token], %sums[%token], %tile)
        func.call @halide_linear_epilogue_operandss_programcopy0_ragged0(%tile, %y[%token, 16 * %group])
      }
    }
    ...
    func.func private @halide_linear_codes_...(memref<?x?x?x?xi8, ...>, ...)
      attributes {cria.halide = {bytes = [2], generator = "linear_codes", params = {blocks = 2 : i64, element = "q8", ...}}}
    ```
  }];
  let options = [
    Option<"refusal", "refusal", "std::string", "",
           "why kernels of Halide cannot be used for the target, if they cannot">,
    Option<"tokens", "tokens", "int64_t", "4",
           "tokens of a linear's register tile, unless its schedule says otherwise">,
    Option<"panels", "panels", "int64_t", "2",
           "vectors of 16 rows of the same">,
    Option<"blockTokens", "block-tokens", "int64_t", "0",
           "if not 0, tokens that go over a block's codes in registers instead">,
    Option<"prefetch", "prefetch", "int64_t", "4096",
           "bytes of weights to prefetch ahead of their use, or 0">
  ];
  let dependentDialects = [
    "::cria::CriaDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def LowerHalideCalls : Pass<"cria-lower-halide-calls", "::mlir::ModuleOp"> {
  let summary = "calls of Halide's kernels to calls with halide_buffer_t";
  let description = [{
    A memref becomes a pointer to a `halide_buffer_t` on the stack, with its
    dimensions in reverse order: Halide's first is the innermost. Of the struct,
    only what a kernel without assertions and bounds queries reads is written.
    The buffers of a function serve all of its calls.

    Before:
    ```mlir
    func.call @halide_twice(%x) : (memref<?xf32, strided<[?], offset: ?>>) -> ()
    ```
    After:
    ```mlir
    llvm.store %address, %buffer[16]                  // host
    llvm.store %dims, %buffer[40]
    llvm.store %zero, %dims[0]                        // min, extent, stride
    llvm.store %size, %dims[4]
    llvm.store %stride, %dims[8]
    llvm.call @halide_twice(%buffer) : (!llvm.ptr) -> i32
    ```
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect"
  ];
}

#endif // CRIA_COMPILER_HALIDE_HALIDEPASSES
