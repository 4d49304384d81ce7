// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -pass-pipeline='builtin.module(cria-apply-schedules{file=%S/Inputs/tune.json})' 2> %t.err | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --input-file %t.err
// RUN: cria-opt %s -pass-pipeline='builtin.module(cria-apply-schedules{file=%S/Inputs/tune.json},func.func(cria-tile))' 2> %t.err | FileCheck %s --check-prefix=TILE

// REMARK: remark: {{.*}}tune.json: w, prefill, is not used: its shape was 1 x !cria.weight<64x64, {{.*}}>, and is 1 x !cria.weight<96x64,
// REMARK: remark: {{.*}}tune.json: gone, prefill, is not used: the model has no such op

cria.param @w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>

// CHECK-LABEL: func.func @prefill
// CHECK:         cria.fused_linear
// CHECK-SAME:      cria.schedule = {"block-tokens" = 6 : i64, rows = 48 : i64}
// TILE-LABEL:  func.func @prefill
// TILE:          scf.forall {{.*}} to (96) step (48)
// TILE:          cria.fused_linear {{.*}}cria.schedule = {"block-tokens" = 6
func.func @prefill(%c: tensor<?x16xi32>, %s: tensor<?x2xf32>, %m: tensor<?x2xi32>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "prefill"} {
  %w = cria.load @w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>
  %y = cria.fused_linear acts(%c, %s, %m : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%init : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// An empty winner is the default.
// CHECK-LABEL: func.func @decode
// CHECK-NOT:     cria.schedule
// TILE-LABEL:  func.func @decode
// TILE:          scf.forall {{.*}} to (96) step (16)
func.func @decode(%c: tensor<?x16xi32>, %s: tensor<?x2xf32>, %m: tensor<?x2xi32>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> attributes {cria.version = "decode"} {
  %w = cria.load @w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>
  %y = cria.fused_linear acts(%c, %s, %m : tensor<?x16xi32>, tensor<?x2xf32>, tensor<?x2xi32>) weights(%w : !cria.weight<96x64, q4, block = 32, zero_point, n16k4>) outs(%init : tensor<?x96xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}
