// A description written by hand: random weights from a seed, which are the
// same in every run, and kept attributes.

// RUN: cria-import-test %s --seed 3 --context 64 --pack %t.a | FileCheck %s
// RUN: cria-import-test %s --seed 3 --context 64 --pack %t.b --no-module
// RUN: cmp %t.a %t.b
// RUN: cria-import-test %s --seed 4 --pack %t.b --no-module
// RUN: not cmp -s %t.a %t.b
// RUN: not cria-import-test %s 2>&1 | FileCheck %s --check-prefix=SEED
// RUN: not cria-import-test %s --seed 3 --context 129 2>&1 | FileCheck %s --check-prefix=CONTEXT

// SEED: error: {{.*}}import-description.mlir: param @gain has no file of weights; accepted: {{.*}}--seed
// CONTEXT: error: {{.*}}a context of 129 is asked for; accepted: 1 to 128

// CHECK: module attributes {
// CHECK-SAME: cria.architecture = "custom"
// CHECK-SAME: cria.context = 64 : i64
// CHECK-SAME: cria.max_batch = 64 : i64
// CHECK-SAME: cria.name = "one norm"
// CHECK-SAME: cria.seed = 3 : i64
module attributes {cria.name = "one norm", cria.vocab = 8 : i64, cria.width = 16 : i64,
                   cria.layers = 1 : i64, cria.heads = 1 : i64, cria.kv_heads = 1 : i64,
                   cria.head_dim = 16 : i64, cria.ffn = 16 : i64, cria.context = 128 : i64} {
  // CHECK: cria.param @gain : tensor<16xf32> {cria.mean = 1.000000e+00 : f32}
  cria.param @gain : tensor<16xf32>
  // CHECK: cria.param @head : !cria.weight<8x16, bf16, rows>
  cria.param @head : !cria.weight<8x16, bf16, rows>
  func.func @forward(%x: tensor<?x16xf32> {cria.arg = "x"}) -> tensor<?x8xf32>
      attributes {cria.entry} {
    %g = cria.load @gain : tensor<16xf32>
    %h = cria.norm rms %x weight %g {eps = 1.0e-05 : f32} : tensor<?x16xf32>, weight tensor<16xf32>
    %w = cria.load @head : !cria.weight<8x16, bf16, rows>
    %y = cria.linear %h, %w : tensor<?x16xf32>, !cria.weight<8x16, bf16, rows> -> tensor<?x8xf32>
    return %y : tensor<?x8xf32>
  }
}
