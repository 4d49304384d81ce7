// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What must not be alive after the stage.
// RUN: cria-opt %s -split-input-file -cria-check-stage=stage=tile -verify-diagnostics

func.func @outside(%t: tensor<?xi32>, %w: !cria.weight<64x64, f32, n16>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{after stage 'tile': 'cria.embed_rows' must not be alive: kernels are allowed inside of scf.forall}}
  %y = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<64x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @barrier() {
  // expected-error @+1 {{after stage 'tile': 'cria.barrier' must not be alive: the stage 'bufferize' makes it}}
  cria.barrier
  return
}
