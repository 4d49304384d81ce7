// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What must not be alive after the stage.
// RUN: cria-opt %s -split-input-file -cria-check-stage=stage=dialect -verify-diagnostics

cria.param @w : !cria.weight<64x64, f32, n16>
func.func @allowed(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %w = cria.load @w : !cria.weight<64x64, f32, n16>
  %y = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<64x64, f32, n16> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// expected-error @+1 {{after stage 'dialect': 'cria.param' must not be alive: no kernel reads a weight in the layout rows; allowed are n16, n16k2 and n16k4}}
cria.param @w : !cria.weight<64x64, f32, rows>

// -----

func.func @kernel(%t: tensor<?xi32>, %w: !cria.weight<64x64, f32, n16>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{after stage 'dialect': 'cria.embed_rows' must not be alive: of cria, allowed are model ops, param and load}}
  %y = cria.embed_rows ins(%t, %w : tensor<?xi32>, !cria.weight<64x64, f32, n16>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @memory() {
  // expected-error @+1 {{after stage 'dialect': 'memref.alloc' must not be alive: allowed dialects are cria, func, scf, arith, tensor}}
  %0 = memref.alloc() : memref<4xf32>
  return
}
