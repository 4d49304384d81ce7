// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt --cria-lower-plain --canonicalize --split-input-file %s | FileCheck %s

cria.param @w : !cria.weight<3x5, f16, rows>

// Weights and results become arguments; a weight is decoded transposed, and
// sums run over k in the middle loop.
// CHECK: #[[$ROW:.+]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK: #[[$WEIGHT:.+]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK: #[[$RESULT:.+]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-NOT: cria.param
// CHECK-LABEL: func.func @forward(
// CHECK-SAME: %[[X:.+]]: tensor<?x5xf32> {bufferization.writable = false, cria.arg = "x"}
// CHECK-SAME: %[[W:.+]]: tensor<3x5xf16> {bufferization.writable = false, cria.arg = "weight:w"}
// CHECK-SAME: %[[LOGITS:.+]]: tensor<?x3xf32> {cria.arg = "logits"}
// CHECK-SAME: -> (tensor<?x3xf32> {cria.arg = "logits"})
// CHECK: %[[WT:.+]] = linalg.generic {{.*}} outs(%{{.+}} : tensor<5x3xf32>)
// CHECK-DAG: %[[N:.+]] = linalg.index 1
// CHECK-DAG: %[[K:.+]] = linalg.index 0
// CHECK: %[[E:.+]] = tensor.extract %[[W]][%[[N]], %[[K]]]
// CHECK: arith.extf %[[E]] : f16 to f32
// CHECK: %[[ZERO:.+]] = linalg.fill
// CHECK: %[[Y:.+]] = linalg.generic {indexing_maps = [#[[$ROW]], #[[$WEIGHT]], #[[$RESULT]]], iterator_types = ["parallel", "reduction", "parallel"]} ins(%[[X]], %[[WT]] : {{.*}}) outs(%[[ZERO]] :
// CHECK: ^bb0(%[[A:.+]]: f32, %[[B:.+]]: f32, %[[C:.+]]: f32):
// CHECK: %[[P:.+]] = arith.mulf %[[A]], %[[B]]
// CHECK: arith.addf %[[C]], %[[P]]
// CHECK: %[[R:.+]] = bufferization.materialize_in_destination %[[Y]] in %[[LOGITS]]
// CHECK: return %[[R]]
func.func @forward(%x: tensor<?x5xf32> {cria.arg = "x"}) -> tensor<?x3xf32>
    attributes {cria.entry} {
  %w = cria.load @w : !cria.weight<3x5, f16, rows>
  %y = cria.linear %x, %w : tensor<?x5xf32>, !cria.weight<3x5, f16, rows> -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// -----

cria.param @table : !cria.weight<48x64, q4, block = 32, min, n16k4>

// The token's row is decoded where it lies: vector v of a block holds k groups
// v (low nibbles) and v + 4 (high nibbles).
// CHECK-DAG: #[[$BLOCK:.+]] = affine_map<()[s0] -> (s0 floordiv 32)>
// CHECK-DAG: #[[$VECTOR:.+]] = affine_map<()[s0] -> ((s0 mod 16) floordiv 4)>
// CHECK-DAG: #[[$BYTE:.+]] = affine_map<()[s0] -> (s0 mod 4)>
// CHECK-DAG: #[[$GROUP:.+]] = affine_map<(d0) -> (d0 floordiv 16)>
// CHECK-DAG: #[[$LANE:.+]] = affine_map<(d0) -> (d0 mod 16)>
// CHECK-DAG: #[[$SHIFT:.+]] = affine_map<()[s0] -> (((s0 mod 32) floordiv 16) * 4)>
// CHECK-LABEL: func.func @embed(
// CHECK-SAME: %[[T:.+]]: tensor<?xi32> {{.*}}cria.arg = "weight:table.codes"{{.*}}cria.arg = "weight:table.scales"{{.*}}cria.arg = "weight:table.mins"
// CHECK: linalg.generic {{.*}} ins(%[[T]] : tensor<?xi32>)
// CHECK: %[[ID:.+]] = arith.index_cast %{{.+}} : i32 to index
// CHECK: %[[K:.+]] = linalg.index 1
// CHECK-DAG: %[[G:.+]] = affine.apply #[[$GROUP]](%[[ID]])
// CHECK-DAG: %[[L:.+]] = affine.apply #[[$LANE]](%[[ID]])
// CHECK-DAG: %[[B:.+]] = affine.apply #[[$BLOCK]]()[%[[K]]]
// CHECK-DAG: %[[V:.+]] = affine.apply #[[$VECTOR]]()[%[[K]]]
// CHECK-DAG: %[[J:.+]] = affine.apply #[[$BYTE]]()[%[[K]]]
// CHECK: %[[CODES:.+]] = tensor.extract %{{.+}}[%[[G]], %[[B]], %[[V]], %[[L]], %[[J]]]
// CHECK: affine.apply #[[$SHIFT]]()[%[[K]]]
// CHECK: arith.shrui %[[CODES]]
// CHECK: arith.andi
// CHECK: %[[CODE:.+]] = arith.uitofp
// CHECK: tensor.extract %{{.+}}[%{{.+}}, %{{.+}}, %{{.+}}] : tensor<3x2x16xf16>
// CHECK: %[[SCALE:.+]] = arith.extf
// CHECK: %[[PRODUCT:.+]] = arith.mulf %[[SCALE]], %[[CODE]]
// CHECK: tensor.extract %{{.+}}[%{{.+}}, %{{.+}}, %{{.+}}] : tensor<3x2x16xf16>
// CHECK: %[[MIN:.+]] = arith.extf
// CHECK: arith.addf %[[PRODUCT]], %[[MIN]]
func.func @embed(%t: tensor<?xi32> {cria.arg = "tokens"}) -> tensor<?x64xf32>
    attributes {cria.entry} {
  %w = cria.load @table : !cria.weight<48x64, q4, block = 32, min, n16k4>
  %x = cria.embed %t, %w : tensor<?xi32>, !cria.weight<48x64, q4, block = 32, min, n16k4> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// -----

cria.param @bias stacked : tensor<2x8xf32>
cria.param @w : !cria.weight<2x8x32, q8, block = 32, zero_point, rows>

// CHECK-LABEL: func.func @stacked(
// CHECK-SAME: %[[BIAS:[^ ]+]]: tensor<2x8xf32> {{[^%]*}}"weight:bias"
// CHECK-SAME: %[[CODES:[^ ]+]]: tensor<2x8x1x32xi8> {{[^%]*}}"weight:w.codes"
// CHECK-SAME: %[[SCALES:[^ ]+]]: tensor<2x8x1xf16> {{[^%]*}}"weight:w.scales"
// CHECK: %[[B:.+]] = tensor.extract_slice %[[BIAS]][1, 0] [1, 8] [1, 1]
// CHECK: %[[C:.+]] = tensor.extract_slice %[[CODES]][1, 0, 0, 0] [1, 8, 1, 32] [1, 1, 1, 1] : tensor<2x8x1x32xi8> to tensor<8x1x32xi8>
// CHECK: %[[S:.+]] = tensor.extract_slice %[[SCALES]][1, 0, 0] [1, 8, 1] [1, 1, 1]
// Rows of q8 hold code - 128.
// CHECK: tensor.extract %[[C]]
// CHECK-NEXT: arith.sitofp
// CHECK-NOT: arith.subf
// CHECK: tensor.extract %[[S]]
// CHECK: linalg.generic {{.*}}, %[[B]] :
func.func @stacked(%x: tensor<?x32xf32> {cria.arg = "x"}) -> tensor<?x8xf32>
    attributes {cria.entry} {
  %l = arith.constant 1 : index
  %b = cria.load @bias[%l] : tensor<8xf32>
  %w = cria.load @w[%l] : !cria.weight<8x32, q8, block = 32, zero_point, rows>
  %y = cria.linear %x, %w bias %b : tensor<?x32xf32>, !cria.weight<8x32, q8, block = 32, zero_point, rows>, tensor<8xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Without weights an op may stand in any function.
// CHECK-LABEL: func.func @norm(
// CHECK: linalg.generic {{.*}}["parallel", "reduction"]
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK: arith.divf %{{.+}}, %{{.+}} : f32
// CHECK: math.sqrt
// CHECK: arith.divf
// CHECK: arith.addf %{{.+}}, %cst
// CHECK: arith.mulf
func.func @norm(%x: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = cria.norm rms %x weight %w {eps = 1.0e-05 : f32, plus_one} : tensor<?x64xf32>, weight tensor<64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @norm_per_head(
// CHECK: tensor.expand_shape %{{.+}} {{\[}}[0], [1, 2]] output_shape [%{{.+}}, 4, 16]
// CHECK: linalg.generic {{.*}}["parallel", "parallel", "reduction"]
// CHECK: tensor.collapse_shape
func.func @norm_per_head(%x: tensor<?x64xf32>, %w: tensor<16xf32>) -> tensor<?x64xf32> {
  %y = cria.norm per_head %x weight %w {eps = 1.0e-05 : f32} : tensor<?x64xf32>, weight tensor<16xf32>
  return %y : tensor<?x64xf32>
}

// Each head's own weight: both are 4 x 16.
// CHECK-LABEL: func.func @layer_norm_per_head(
// CHECK-DAG: %[[X:.+]] = tensor.expand_shape %arg0 {{\[}}[0], [1, 2]] output_shape [%{{.+}}, 4, 16]
// CHECK-DAG: %[[W:.+]] = tensor.expand_shape %arg1 {{\[}}[0, 1]] output_shape [4, 16]
// CHECK: linalg.generic {{.*}}["parallel", "parallel", "reduction"]
// CHECK: %[[C:.+]] = linalg.generic {{.*}}ins(%[[X]],
// CHECK: arith.subf
// CHECK: linalg.generic {{.*}}["parallel", "parallel", "reduction"]} ins(%[[C]]
// CHECK: linalg.generic {{.*}}ins(%[[C]], %{{.+}}, %[[W]]
// CHECK: tensor.collapse_shape
func.func @layer_norm_per_head(%x: tensor<?x64xf32>, %w: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = cria.norm layer_per_head %x weight %w {eps = 1.0e-05 : f32, head_dim = 16 : i64} : tensor<?x64xf32>, weight tensor<64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @clip(
// CHECK-DAG: %[[MOST:.+]] = arith.constant 8.000000e+00 : f32
// CHECK-DAG: %[[LEAST:.+]] = arith.constant -8.000000e+00 : f32
// CHECK: %[[A:.+]] = arith.maximumf %{{.+}}, %[[LEAST]]
// CHECK: arith.minimumf %[[A]], %[[MOST]]
func.func @clip(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = cria.clip %x {bound = 8.0 : f32} : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @rope_interleaved(
// CHECK: arith.constant dense<[1.000000e+00, 0.00999999977]> : tensor<2xf32>
// CHECK: tensor.extract_slice %{{.+}}[0, 0, 0] [%{{.+}}, 2, 2] [1, 1, 2]
// CHECK: tensor.extract_slice %{{.+}}[0, 0, 1] [%{{.+}}, 2, 2] [1, 1, 2]
// CHECK: tensor.insert_slice %{{.+}}[0, 0, 0] [%{{.+}}, 2, 2] [1, 1, 2]
// CHECK: tensor.insert_slice %{{.+}}[0, 0, 1] [%{{.+}}, 2, 2] [1, 1, 2]
func.func @rope_interleaved(%x: tensor<?x16xf32>, %p: tensor<?xi32>) -> tensor<?x16xf32> {
  %y = cria.rope %x, %p {head_dim = 8 : i64, rope = #cria.rope<pairs = interleaved, base = 1.0e+04, dims = 4>} : tensor<?x16xf32>, tensor<?xi32>
  return %y : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @rope_half(
// CHECK: math.cos
// CHECK: math.sin
// CHECK: tensor.extract_slice %{{.+}}[0, 0, 0] [%{{.+}}, 2, 4] [1, 1, 1]
// CHECK: tensor.extract_slice %{{.+}}[0, 0, 4] [%{{.+}}, 2, 4] [1, 1, 1]
func.func @rope_half(%x: tensor<?x16xf32>, %p: tensor<?xi32>) -> tensor<?x16xf32> {
  %y = cria.rope %x, %p {head_dim = 8 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 8>} : tensor<?x16xf32>, tensor<?xi32>
  return %y : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @rope_ntk(
// CHECK: arith.cmpi sge, %{{.+}}, %c64_i32
// CHECK: math.log2 %{{.+}} : f64
// CHECK: math.exp2 %{{.+}} : f64
// CHECK: arith.truncf %{{.+}} : f64 to f32
// CHECK: arith.select
func.func @rope_ntk(%x: tensor<?x16xf32>, %p: tensor<?xi32>) -> tensor<?x16xf32> {
  %y = cria.rope %x, %p {head_dim = 8 : i64, rope = #cria.rope<pairs = half, base = 1.0e+04, dims = 8, scaling = ntk, factor = 2.0, original_context = 64>} : tensor<?x16xf32>, tensor<?xi32>
  return %y : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @position(
// CHECK: tensor.extract %{{.+}}[%{{.+}}, %{{.+}}] : tensor<512x64xf32>
func.func @position(%x: tensor<?x64xf32>, %p: tensor<?xi32>, %t: tensor<512x64xf32>) -> tensor<?x64xf32> {
  %y = cria.position learned %x, %p table %t : tensor<?x64xf32>, tensor<?xi32>, tensor<512x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @activations(
// CHECK: arith.maximumf
// CHECK: math.erf
// CHECK: math.tanh
// CHECK: math.exp
// CHECK: arith.divf
func.func @activations(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %a = cria.activation relu %x : tensor<?x8xf32>
  %b = cria.activation gelu %a : tensor<?x8xf32>
  %c = cria.activation gelu_tanh %b : tensor<?x8xf32>
  %d = cria.activation silu %c : tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @elementwise(
// CHECK: math.exp
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK: math.tanh
// CHECK: arith.mulf %{{.+}}, %cst{{.*}} : f32
func.func @elementwise(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %a = cria.glu silu %x, %y : tensor<?x8xf32>
  %b = cria.add %a, %x : tensor<?x8xf32>
  %c = cria.softcap %b {cap = 3.0e+01 : f32} : tensor<?x8xf32>
  %d = cria.scale %c {factor = 5.0e-01 : f32} : tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @select_rows(
// CHECK-SAME: %[[X:.+]]: tensor<?x8xf32>, %[[R:.+]]: tensor<?xi32>
// CHECK: linalg.generic {{.*}} ins(%[[R]] :
// CHECK: %[[I:.+]] = arith.index_cast
// CHECK: tensor.extract %[[X]][%[[I]], %{{.+}}]
func.func @select_rows(%x: tensor<?x8xf32>, %r: tensor<?xi32>) -> tensor<?x8xf32> {
  %y = cria.select_rows %x, %r : tensor<?x8xf32>, tensor<?xi32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Slot = page * 64 + offset; keys have positions as lanes.
// CHECK-DAG: #[[$PAGE:.+]] = affine_map<(d0) -> (d0 floordiv 64)>
// CHECK-DAG: #[[$BLOCK:.+]] = affine_map<(d0) -> ((d0 mod 64) floordiv 16)>
// CHECK-DAG: #[[$LANE:.+]] = affine_map<(d0) -> (d0 mod 16)>
// CHECK-LABEL: func.func @append(
// CHECK-SAME: %[[X:[^:]+]]: tensor<?x64xf32>, %[[C:[^:]+]]: tensor<2x?x2x4x32x16xf16>, %[[L:[^:]+]]: index, %[[S:[^:]+]]: tensor<?xi32>
// CHECK: scf.for %[[I:.+]] = {{.*}} iter_args(%{{.+}} = %[[C]])
// CHECK: tensor.extract %[[S]][%[[I]]]
// CHECK: %[[P:.+]] = affine.apply #[[$PAGE]]
// CHECK: scf.for %[[H:.+]] = %c0 to %c2
// CHECK: scf.for %[[D:.+]] = %c0 to %c32 {{.*}} iter_args(%[[CACHE:.+]] = 
// CHECK: arith.truncf %{{.+}} : f32 to f16
// CHECK-DAG: %[[B:.+]] = affine.apply #[[$BLOCK]]
// CHECK-DAG: %[[J:.+]] = affine.apply #[[$LANE]]
// CHECK: tensor.insert %{{.+}} into %[[CACHE]][%[[L]], %[[P]], %[[H]], %[[B]], %[[D]], %[[J]]]
func.func @append(%x: tensor<?x64xf32>, %k: tensor<2x?x2x4x32x16xf16>, %l: index, %s: tensor<?xi32>) -> tensor<2x?x2x4x32x16xf16> {
  %y = cria.kv_append key %x into %k[%l] at %s : tensor<?x64xf32>, tensor<2x?x2x4x32x16xf16>, tensor<?xi32>
  return %y : tensor<2x?x2x4x32x16xf16>
}

// -----

!k = tensor<2x?x2x4x32x16xf16>
!v = tensor<2x?x2x64x32xf16>

// Positions max(0, p - 15) to p are gathered, so nothing is masked; the sink
// takes part in the maximum and in the sum.
// CHECK-DAG: #[[$LOW:.+]] = affine_map<(d0) -> (d0 - 15)>
// CHECK-DAG: #[[$COUNT:.+]] = affine_map<(d0, d1) -> (-d0 + d1 + 1)>
// CHECK-LABEL: func.func @attention(
// CHECK: scf.for
// CHECK: %[[FROM:.+]] = affine.apply #[[$LOW]](%[[P:.+]])
// CHECK: %[[LOWER:.+]] = arith.maxsi %[[FROM]], %c0
// CHECK: %[[N:.+]] = affine.apply #[[$COUNT]](%[[LOWER]], %[[P]])
// CHECK: scf.for
// CHECK: tensor.empty(%[[N]]) : tensor<?x32xf32>
// CHECK: tensor.extract %{{.+}} : tensor<2x?x2x4x32x16xf16>
// CHECK: tensor.extract %{{.+}} : tensor<2x?x2x64x32xf16>
// CHECK: %[[SINK:.+]] = tensor.extract_slice %{{.+}} : tensor<2x3xf32> to tensor<3xf32>
// CHECK: linalg.generic {{.*}}["parallel", "parallel", "reduction"]
// CHECK: math.tanh
// CHECK: %[[MAX:.+]] = linalg.generic {{.*}} outs(%[[SINK]] : tensor<3xf32>)
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: %[[BASE:.+]] = linalg.generic {{.*}} ins(%[[SINK]], %[[MAX]] :
// CHECK: math.exp
// CHECK: linalg.generic {{.*}} outs(%[[BASE]] : tensor<3xf32>)
// CHECK: linalg.generic {{.*}}["parallel", "reduction", "parallel"]
// CHECK: arith.divf
func.func @attention(%q: tensor<?x192xf32>, %k: !k, %v: !v, %l: index, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<?x?xi32>, %z: tensor<6xf32>) -> tensor<?x192xf32> {
  %y = cria.attention %q, %k, %v[%l] positions %p sequences %s tables %t sinks %z
    {heads = 6 : i64, kv_heads = 2 : i64, head_dim = 32 : i64, scale = 0.176776692 : f32, window = 16 : i64, softcap = 5.0e+01 : f32}
    : tensor<?x192xf32>, !k, !v, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>, tensor<6xf32>
  return %y : tensor<?x192xf32>
}
