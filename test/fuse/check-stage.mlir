// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What must not be alive after the stage.
// RUN: cria-opt %s -split-input-file -cria-check-stage=stage=fuse -verify-diagnostics

func.func @allowed(%x: tensor<?x64xf32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = cria.rows ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%row: tensor<1x64xf32>):
    %n = cria.norm rms %row {eps = 1.0e-05 : f32} : tensor<1x64xf32>
    cria.yield %n : tensor<1x64xf32>
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// One error for each name of an op.
func.func @model_op(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{after stage 'fuse': 'cria.add' must not be alive: a kernel or a plain lowering takes its place}}
  %y = cria.add %x, %x : tensor<?x64xf32>
  %z = cria.add %y, %x : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

func.func private @layer()
func.func @call() {
  // expected-error @+1 {{after stage 'fuse': 'func.call' must not be alive: all is one function}}
  call @layer() : () -> ()
  return
}

// -----

func.func @slice(%w: !cria.weight<64x64, f32, n16>, %o: index) {
  // expected-error @+1 {{after stage 'fuse': 'cria.weight_slice' must not be alive: the stage 'tile' makes it}}
  %s = cria.weight_slice %w[%o] : !cria.weight<64x64, f32, n16> to !cria.weight<16x64, f32, n16>
  return
}
