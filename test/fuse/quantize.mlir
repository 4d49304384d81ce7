// RUN: cria-opt %s --split-input-file --cria-quantize=spec=q4,head=q8 | FileCheck %s
// RUN: cria-opt %s --split-input-file --cria-quantize=spec=q8,ffn=q4_0,down=bf16,token_embd=keep | FileCheck %s --check-prefix=MIX
// RUN: cria-opt %s --split-input-file --cria-quantize=spec=embed=bf16,head=q4 | FileCheck %s --check-prefix=UNTIE

// The default, a key, a stacked param; norms and biases stay.

// CHECK: module attributes {cria.quantize = "q4,head=q8"}
// CHECK: cria.param @output : !cria.weight<100x64, q8, block = 32, none, rows> from ["lm_head.weight"] {cria.source_type = !cria.weight<100x64, bf16, rows>}
// CHECK: cria.param @ffn_up : !cria.weight<2x96x64, q4, block = 32, min, rows> {cria.source_type = !cria.weight<2x96x64, bf16, rows>}
// CHECK: cria.param @ffn_down_1 : !cria.weight<2x64x96, q4, block = 32, min, rows>
// CHECK: cria.param @ffn_norm stacked : tensor<2x64xf32>{{$}}
// CHECK: %[[UP:.*]] = cria.load @ffn_up[%{{.*}}] : !cria.weight<96x64, q4, block = 32, min, rows>
// CHECK: cria.linear %{{.*}}, %[[UP]] : tensor<?x64xf32>, !cria.weight<96x64, q4, block = 32, min, rows>
// CHECK: cria.load @output : !cria.weight<100x64, q8, block = 32, none, rows>

// A param counts more than a role, a role more than a group, that more than all.

// MIX: cria.param @output : !cria.weight<100x64, q8, block = 32, none, rows>
// MIX: cria.param @ffn_up : !cria.weight<2x96x64, q4, block = 32, zero_point, rows>
// MIX: cria.param @ffn_down_1 : !cria.weight<2x64x96, bf16, rows>
cria.param @token_embd : !cria.weight<100x64, bf16, rows>
cria.param @output : !cria.weight<100x64, bf16, rows> from ["lm_head.weight"]
cria.param @ffn_up : !cria.weight<2x96x64, bf16, rows>
cria.param @ffn_down_1 : !cria.weight<2x64x96, f32, rows>
cria.param @ffn_norm stacked : tensor<2x64xf32>
func.func @f(%x: tensor<?x64xf32>, %tokens: tensor<?xi32>, %layer: index) -> (tensor<?x96xf32>, tensor<?x100xf32>, tensor<?x64xf32>) {
  %embedding = cria.load @token_embd : !cria.weight<100x64, bf16, rows>
  %e = cria.embed %tokens, %embedding : tensor<?xi32>, !cria.weight<100x64, bf16, rows> -> tensor<?x64xf32>
  %up = cria.load @ffn_up[%layer] : !cria.weight<96x64, bf16, rows>
  %u = cria.linear %x, %up : tensor<?x64xf32>, !cria.weight<96x64, bf16, rows> -> tensor<?x96xf32>
  %down = cria.load @ffn_down_1[%layer] : !cria.weight<64x96, f32, rows>
  %d = cria.linear %u, %down : tensor<?x96xf32>, !cria.weight<64x96, f32, rows> -> tensor<?x64xf32>
  %head = cria.load @output : !cria.weight<100x64, bf16, rows>
  %h = cria.linear %e, %head : tensor<?x64xf32>, !cria.weight<100x64, bf16, rows> -> tensor<?x100xf32>
  return %u, %h, %d : tensor<?x96xf32>, tensor<?x100xf32>, tensor<?x64xf32>
}

// -----

// Tied: one key changes the one param, two types make two of it. What has the
// type already stays.

// CHECK: cria.param @token_embd : !cria.weight<100x64, q8, block = 32, none, rows> from ["embed"] {cria.source_type = !cria.weight<100x64, f16, rows>}
// CHECK-NOT: cria.param @output
// CHECK: cria.param @wq : !cria.weight<64x64, q4, block = 32, zero_point, rows>{{$}}
// MIX: cria.param @token_embd : !cria.weight<100x64, f16, rows> from ["embed"]{{$}}
// MIX: cria.param @wq : !cria.weight<64x64, q8, block = 32, none, rows> {cria.source_type = !cria.weight<64x64, q4, block = 32, zero_point, rows>}

// UNTIE: return
// UNTIE: cria.param @token_embd : !cria.weight<100x64, bf16, rows> from ["embed"] {cria.source_type = !cria.weight<100x64, f16, rows>}
// UNTIE: cria.param @output : !cria.weight<100x64, q4, block = 32, min, rows> from ["embed"] {cria.source_type = !cria.weight<100x64, f16, rows>}
// UNTIE: cria.param @wq : !cria.weight<64x64, q4, block = 32, zero_point, rows>{{$}}
// UNTIE: %[[TABLE:.*]] = cria.load @token_embd
// UNTIE: %[[HEAD:.*]] = cria.load @output
// UNTIE: cria.embed %{{.*}}, %[[TABLE]]
// UNTIE: cria.linear %{{.*}}, %[[HEAD]]
cria.param @token_embd : !cria.weight<100x64, f16, rows> from ["embed"]
cria.param @wq : !cria.weight<64x64, q4, block = 32, zero_point, rows>
cria.param @up : !cria.weight<96x64, f16, rows>
cria.param @down : !cria.weight<64x96, f16, rows>
func.func @tied(%tokens: tensor<?xi32>) -> tensor<?x100xf32> {
  %w = cria.load @token_embd : !cria.weight<100x64, f16, rows>
  %x = cria.embed %tokens, %w : tensor<?xi32>, !cria.weight<100x64, f16, rows> -> tensor<?x64xf32>
  %y = cria.linear %x, %w : tensor<?x64xf32>, !cria.weight<100x64, f16, rows> -> tensor<?x100xf32>
  return %y : tensor<?x100xf32>
}
