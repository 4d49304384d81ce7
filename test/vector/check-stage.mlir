// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What must not be alive after the stage.
// RUN: cria-opt %s -split-input-file -cria-check-stage=stage=vector -verify-diagnostics

cria.param @w : !cria.weight<64x64, f32, n16>
func.func @allowed() {
  cria.barrier
  return
}

// -----

func.func @tensor() {
  // expected-error @+1 {{after stage 'vector': 'tensor.empty' must not be alive: allowed dialects are cria, func, scf, arith, math, vector, affine, memref}}
  %0 = tensor.empty() : tensor<4xf32>
  return
}

// -----

cria.param @w : !cria.weight<64x64, f32, n16>
func.func @load() {
  // expected-error @+1 {{after stage 'vector': 'cria.load' must not be alive: of cria, allowed are param, dot2, dot2_i16, dot4, dot_tile, dot_tile2, thread_id, num_threads, barrier and stamp}}
  %w = cria.load @w : !cria.weight<64x64, f32, n16>
  return
}

// -----

// expected-error @+1 {{after stage 'vector': 'func.func' must not be alive: weights are arrays by now}}
func.func @weight(%w: !cria.weight<64x64, f32, n16>) {
  return
}
