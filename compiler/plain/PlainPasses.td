// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The passes of the plain lowering, which is the semantics.

#ifndef CRIA_COMPILER_PLAIN_PLAINPASSES
#define CRIA_COMPILER_PLAIN_PLAINPASSES

include "mlir/Pass/PassBase.td"

def LowerPlain : Pass<"cria-lower-plain", "::mlir::ModuleOp"> {
  let summary = "model ops to linalg, arith and math in f32: the semantics";
  let description = [{
    Every model op becomes the formula of its description, on tensors of f32.
    Each array of a param becomes an argument of the `cria.entry` functions,
    and so does each result that is no argument's next value (the logits);
    layer functions must be inlined before. A weight is decoded to a transposed
    f32 matrix where it is used, which defines its layout.

    ```mlir
    cria.param @w : !cria.weight<3x5, f16, rows>
    func.func @forward(%x: tensor<?x5xf32> {cria.arg = "x"}) -> tensor<?x3xf32>
        attributes {cria.entry} {
      %w = cria.load @w : !cria.weight<3x5, f16, rows>
      %y = cria.linear %x, %w : tensor<?x5xf32>, !cria.weight<3x5, f16, rows> -> tensor<?x3xf32>
      return %y : tensor<?x3xf32>
    }
    ```

    becomes

    ```mlir
    func.func @forward(%x: tensor<?x5xf32> {cria.arg = "x"},
                       %w: tensor<3x5xf16> {cria.arg = "weight:w", bufferization.writable = false},
                       %logits: tensor<?x3xf32> {cria.arg = "logits"}) -> tensor<?x3xf32>
        attributes {cria.entry} {
      %wt = linalg.generic ... outs(%0 : tensor<5x3xf32>)    // extf of %w[n, k]
      %y = linalg.generic ... ins(%x, %wt) outs(%zero)       // loops i, k, j
      %r = bufferization.materialize_in_destination %y in %logits
      return %r : tensor<?x3xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def BufferizePlain : Pass<"cria-bufferize-plain", "::mlir::ModuleOp"> {
  let summary = "the plain lowering on memrefs, caches updated in place";
  let description = [{
    One-shot bufferization across functions with identity layouts; copies are
    linalg.copy. Results of `cria.entry` functions must be the arguments of
    the same `cria.arg` by then and are dropped: a cache that would be copied
    is an error.

    ```mlir
    func.func @forward(%keys: tensor<1x?x1x4x2x16xf32> {cria.arg = "keys"})
        -> (tensor<1x?x1x4x2x16xf32> {cria.arg = "keys"}) attributes {cria.entry} {
      %next = tensor.insert %x into %keys[...]
      return %next
    }
    ```

    becomes

    ```mlir
    func.func @forward(%keys: memref<1x?x1x4x2x16xf32> {cria.arg = "keys"}) attributes {cria.entry} {
      memref.store %x, %keys[...]
      return
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"
  ];
}

#endif // CRIA_COMPILER_PLAIN_PLAINPASSES
