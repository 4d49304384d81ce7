// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 prefetch=0" -canonicalize -cse | FileCheck %s
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 prefetch=512" -canonicalize -cse | FileCheck %s --check-prefix=PREFETCH
// RUN: not cria-opt %s -split-input-file -cria-vectorize-linear=tokens=0 2>&1 | FileCheck %s --check-prefix=OPTION
// OPTION: cria-vectorize-linear: tokens = 0 is not in 1 to 64
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 block-tokens=2 prefetch=1024" -canonicalize -cse | FileCheck %s --check-prefix=PAIR
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 block-tokens=2 prefetch=1024 dot-tile" -canonicalize -cse | FileCheck %s --check-prefix=TILE
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 block-tokens=2 prefetch=0 dot2" -canonicalize -cse | FileCheck %s --check-prefix=DOT2
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 block-tokens=2 prefetch=0 dot2 dot-tile2" -canonicalize -cse | FileCheck %s --check-prefix=DOTTILE2
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 block-tokens=6 prefetch=0" -canonicalize -cse | FileCheck %s --check-prefix=SIX
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 float-panels=1 block-tokens=2 prefetch=0" -canonicalize -cse | FileCheck %s --check-prefix=FLOATPANEL
// RUN: cria-opt %s -split-input-file -cria-vectorize-linear="tokens=2 panels=2 block-tokens=1 prefetch=0 words" -canonicalize -cse -loop-invariant-code-motion | FileCheck %s --check-prefix=WORDS
// RUN: not cria-opt %s -split-input-file -cria-vectorize-linear=panels=3 2>&1 | FileCheck %s --check-prefix=PANELS
// PANELS: cria-vectorize-linear: panels = 3 is not in 1 to 2
// RUN: not cria-opt %s -split-input-file -cria-vectorize-linear=block-tokens=65 2>&1 | FileCheck %s --check-prefix=TOGETHER
// TOGETHER: cria-vectorize-linear: block-tokens = 65 is not in 0 to 64

// One token: no loop over tokens. Eight dot products start at the zero point's
// share, then one conversion and one FMA.

// CHECK-LABEL: func.func @one_token
// CHECK-SAME:    (%[[CODES:[^:]*]]: memref<1x16xi32>, %[[SCALES:[^:]*]]: memref<1x2xf32>, %[[SUMS:[^:]*]]: memref<1x2xi32>,
// CHECK:         %[[W:.*]]:2 = cria.weight_data
// CHECK:         %[[WC:.*]] = memref.collapse_shape %[[W]]#0 {{.*}} into memref<6x2x8x64xi8
// CHECK:         scf.for %[[GROUP:.*]] = %c0 to %c6 step %c1
// CHECK:           %[[ACC:.*]] = scf.for %[[BLOCK:.*]] = %c0 to %c2 step %c1 iter_args(%[[SUM:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK:             %[[H:.*]] = vector.load %[[W]]#1[%[[GROUP]], %[[BLOCK]], %c0]
// CHECK:             %[[SCALE:.*]] = arith.extf %[[H]] : vector<16xf16> to vector<16xf32>
// CHECK:             %[[WORD:.*]] = arith.muli %[[BLOCK]], %c8
// CHECK:             %[[ZERO:.*]] = memref.load %[[SUMS]][%c0, %[[BLOCK]]]
// CHECK:             %[[D0:.*]] = vector.broadcast %[[ZERO]] : i32 to vector<16xi32>
// CHECK:             %[[W0:.*]] = vector.load %[[WC]][%[[GROUP]], %[[BLOCK]], %c0, %c0] : {{.*}}, vector<64xi8>
// CHECK:             %[[A:.*]] = memref.load %[[CODES]][%c0, %[[WORD]]]
// CHECK:             %[[B:.*]] = vector.broadcast %[[A]] : i32 to vector<16xi32>
// CHECK:             %[[A0:.*]] = vector.bitcast %[[B]] : vector<16xi32> to vector<64xi8>
// CHECK:             %[[D1:.*]] = cria.dot4 %[[D0]], %[[W0]], %[[A0]] {a_bits = 8 : i64}
// CHECK-COUNT-6:     cria.dot4
// CHECK:             %[[D8:.*]] = cria.dot4
// CHECK:             %[[SA:.*]] = memref.load %[[SCALES]][%c0, %[[BLOCK]]]
// CHECK:             %[[SB:.*]] = vector.broadcast %[[SA]]
// CHECK:             %[[F:.*]] = arith.sitofp %[[D8]]
// CHECK:             %[[S:.*]] = arith.mulf %[[SCALE]], %[[SB]]
// CHECK:             %[[NEXT:.*]] = math.fma %[[F]], %[[S]], %[[SUM]]
// CHECK-NEXT:        scf.yield %[[NEXT]]
// CHECK:           vector.store %[[ACC]], %{{.*}}[%c0, %{{.*}}]

// Two groups share a pass over K. Both panels' codes are loaded once a block,
// and each word of activations is broadcast once for both.
// PAIR-LABEL: func.func @one_token
// PAIR:         %[[BUFFER:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64x2x16xf32>
// PAIR:         scf.for %[[GROUP:.*]] = %c0 to %c6 step %c2
// PAIR:           %[[SECOND:.*]] = arith.addi %[[GROUP]], %c1
// PAIR:           scf.for %[[BLOCK:.*]] = %c0 to %c2 step %c1 {
// PAIR:             %[[W0:.*]] = vector.load %{{.*}}[%[[GROUP]], %[[BLOCK]], %c0, %c0] : {{.*}}, vector<64xi8>
// PAIR:             %[[W1:.*]] = vector.load %{{.*}}[%[[SECOND]], %[[BLOCK]], %c0, %c0] : {{.*}}, vector<64xi8>
// PAIR:             %[[ZERO:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// PAIR:             %[[A:.*]] = vector.bitcast
// PAIR-NEXT:        cria.dot4 %[[ZERO]], %[[W0]], %[[A]]
// PAIR-NEXT:        cria.dot4 %[[ZERO]], %[[W1]], %[[A]]
// PAIR:             %[[OLD:.*]] = vector.load %[[BUFFER]][%{{.*}}, %c1, %c0]
// PAIR:             %[[SUM:.*]] = math.fma %{{.*}}, %{{.*}}, %[[OLD]]
// PAIR:             vector.store %[[SUM]], %[[BUFFER]][%{{.*}}, %c1, %c0]
// Eight activations as words, for all rows: the even columns of four, and the
// odd ones. Codes are cut alike.
// WORDS-LABEL: func.func @one_token
// WORDS-SAME:    (%[[CODES:[^:]*]]: memref<1x16xi32>
// WORDS:         %[[W0:.*]] = vector.load {{.*}}, vector<64xi8>
// WORDS:         %[[ZERO:.*]] = vector.broadcast %{{.*}} : i32 to vector<16xi32>
// WORDS:         %[[TWO:.*]] = vector.load %[[CODES]][%c0, %{{.*}}] : memref<1x16xi32>, vector<2xi32>
// WORDS:         %[[EIGHT:.*]] = arith.extsi %{{.*}} : vector<8xi8> to vector<8xi16>
// WORDS:         %[[A0:.*]] = vector.shuffle %[[EIGHT]], %[[EIGHT]] [0, 2, 0, 2,
// WORDS:         %[[A1:.*]] = vector.shuffle %[[EIGHT]], %[[EIGHT]] [1, 3, 1, 3,
// WORDS:         vector.shuffle %[[EIGHT]], %[[EIGHT]] [4, 6, 4, 6,
// WORDS:         vector.shuffle %[[EIGHT]], %[[EIGHT]] [5, 7, 5, 7,
// WORDS:         %[[PAIRS:.*]] = vector.bitcast %[[W0]] : vector<64xi8> to vector<32xi16>
// WORDS:         %[[EVEN:.*]] = arith.andi %[[PAIRS]],
// WORDS:         %[[ODD:.*]] = arith.shrui %[[PAIRS]],
// WORDS:         %[[D0:.*]] = cria.dot2_i16 %[[ZERO]], %[[EVEN]], %[[A0]]
// WORDS-NEXT:    cria.dot2_i16 %[[D0]], %[[ODD]], %[[A1]]
// FLOATPANEL-LABEL: func.func @one_token
// FLOATPANEL:         scf.for %{{.*}} = %c0 to %c6 step %c2
// PREFETCH-LABEL: func.func @one_token
// PREFETCH-COUNT-9: memref.prefetch {{.*}}, read, locality<3>, data
func.func @one_token(%c: memref<1x16xi32>, %s: memref<1x2xf32>, %m: memref<1x2xi32>,
                     %w: !cria.weight<96x64, q8, block = 32, zero_point, n16k4>, %y: memref<1x96xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<1x16xi32>, memref<1x2xf32>, memref<1x2xi32>)
    weights(%w : !cria.weight<96x64, q8, block = 32, zero_point, n16k4>) outs(%y : memref<1x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// -----

// Tiles of two tokens, then the rest; q4 gives two products from one load;
// a minimum takes a second FMA, from the activations' sums.

// CHECK-LABEL: func.func @tiles
// CHECK:         scf.for
// CHECK:           arith.remui %{{.*}}, %c2
// CHECK:           scf.for %{{.*}} = %c0 to %[[EVEN:.*]] step %c2
// CHECK:             scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK:               %[[V:.*]] = vector.load {{.*}} vector<64xi8>
// CHECK:               %[[LOW:.*]] = arith.andi %[[V]]
// CHECK-COUNT-2:       cria.dot4 %{{.*}}, %[[LOW]], %{{.*}} {a_bits = 4 : i64}
// CHECK:               %[[HIGH:.*]] = arith.shrui %[[V]]
// CHECK-COUNT-2:       cria.dot4 %{{.*}}, %[[HIGH]], %{{.*}} {a_bits = 4 : i64}
// CHECK:               %[[PROD:.*]] = math.fma
// CHECK:               math.fma %{{.*}}, %{{.*}}, %[[PROD]]
// CHECK:             scf.yield
// CHECK:           scf.for %{{.*}} = %[[EVEN]] to %{{.*}} step %c1
// PAIR-LABEL: func.func @tiles
// Past the end of K, the pass over the next two groups is prefetched.
// PAIR:         scf.for %[[FROM:.*]] = %c0 to %{{.*}} step %c64
// PAIR:           scf.for %[[BLOCK:.*]] = %c0 to %c2
// PAIR:             %[[AHEAD:.*]] = arith.addi %[[BLOCK]], %c2
// PAIR:             %[[PAST:.*]] = arith.cmpi uge, %[[AHEAD]], %c2
// PAIR:             %[[G:.*]] = arith.select %[[PAST]],
// PAIR:             %[[B:.*]] = arith.select %[[PAST]], %[[BLOCK]], %[[AHEAD]]
// PAIR:             memref.prefetch %{{.*}}[%[[G]], %[[B]], %c0]
// Two tokens at a time, then those left one by one.
// PAIR:             scf.for %{{.*}} = %c0 to %[[EVEN:.*]] step %c2
// PAIR-COUNT-32:      cria.dot4
// PAIR:             scf.for %{{.*}} = %[[EVEN]] to %{{.*}} step %c1
// PAIR-COUNT-16:      cria.dot4
// PAIR-NOT:           cria.dot4
// PAIR:           scf.for
// PAIR:             vector.store {{.*}} memref<?x96xf32>
// Codes of both panels wait in memory: of a vector's nibbles the low ones are
// words 0 to 3. 16 tokens at a time; then as above, from the first one left.
// TILE-LABEL: func.func @tiles
// TILE-SAME:    (%[[CODES:[^:]*]]: memref<?x16xi32>
// TILE-DAG:     %[[SUMS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64x2x16xf32>
// TILE-DAG:     %[[BYTES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<5120xi8>
// TILE:         scf.for %[[FROM:.*]] = %c0 to %{{.*}} step %c64
// TILE:           scf.for %[[BLOCK:.*]] = %c0 to %c2
// TILE:             %[[HIGH:.*]] = arith.shrui %{{.*}} : vector<64xi8>
// TILE:             %[[UNPACKED:.*]] = memref.view %[[BYTES]][%c0][] : memref<5120xi8> to memref<2x8x64xi8>
// TILE-COUNT-4:     vector.store %{{.*}}, %[[UNPACKED]][%c0,
// TILE:             vector.store %[[HIGH]], %[[UNPACKED]][%c0, %c4, %c0]
// TILE-COUNT-11:    vector.store %{{.*}}, %[[UNPACKED]]
// TILE:             %[[DOTS:.*]] = memref.view %[[BYTES]][%c1024][] : memref<5120xi8> to memref<2x16x16xi32>
// TILE:             scf.for %[[FIRST:.*]] = %c0 to %[[TILED:.*]] step %c16
// TILE:               %[[ROW:.*]] = arith.addi %[[FROM]], %[[FIRST]]
// TILE:               cria.dot_tile %[[CODES]][%[[ROW]], %{{.*}}], %[[UNPACKED]], %[[DOTS]] : memref<?x16xi32>, memref<2x8x64xi8>, memref<2x16x16xi32>
// TILE:               scf.for %[[T:.*]] = %c0 to %c16 step %c1
// TILE:                 %[[PLACE:.*]] = arith.addi %[[FIRST]], %[[T]]
// TILE:                 %[[DOT:.*]] = vector.load %[[DOTS]][%c0, %[[T]], %c0]
// TILE:                 %[[OLD:.*]] = vector.load %[[SUMS]][%[[PLACE]], %c0, %c0]
// TILE:                 %[[F:.*]] = arith.sitofp %[[DOT]]
// TILE:                 %[[PROD:.*]] = math.fma %[[F]], %{{.*}}, %[[OLD]]
// TILE:                 %[[SUM:.*]] = math.fma %{{.*}}, %{{.*}}, %[[PROD]]
// TILE:                 vector.store %[[SUM]], %[[SUMS]][%[[PLACE]], %c0, %c0]
// TILE:                 vector.load %[[DOTS]][%c1, %[[T]], %c0]
// TILE:             scf.for %{{.*}} = %[[TILED]] to %[[EVEN:.*]] step %c2
// TILE:             scf.for %{{.*}} = %[[EVEN]] to %{{.*}} step %c1
// CHECK:             scf.for {{.*}} -> (vector<16xf32>) {
// Sixes in blocks of 60, then twos, then one at a time.
// SIX-LABEL: func.func @tiles
// SIX:          scf.for %{{.*}} = %c0 to %{{.*}} step %c60
// SIX:            scf.for %{{.*}} = %c0 to %[[SIXES:.*]] step %c6
// SIX-COUNT-96:     cria.dot4
// SIX:            scf.for %{{.*}} = %[[SIXES]] to %[[TWOS:.*]] step %c2
// SIX-COUNT-32:     cria.dot4
// SIX:            scf.for %{{.*}} = %[[TWOS]] to %{{.*}} step %c1
// SIX-COUNT-16:     cria.dot4
// SIX-NOT:          cria.dot4
// SIX:          return
func.func @tiles(%c: memref<?x16xi32>, %s: memref<?x2xf32>, %m: memref<?x2xf32>,
                 %w: !cria.weight<96x64, q4, block = 32, min, n16k4>, %y: memref<?x96xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x16xi32>, memref<?x2xf32>, memref<?x2xf32>)
    weights(%w : !cria.weight<96x64, q4, block = 32, min, n16k4>) outs(%y : memref<?x96xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// -----

// N = 20: loads and stores of the epilogue are masked. Pairs of bf16 become
// f32 by integer operations.

// CHECK-LABEL: func.func @masked
// CHECK:         scf.for %[[GROUP:.*]] = %c0 to %c2 step %c1
// CHECK:           %[[LANE:.*]] = arith.muli %[[GROUP]], %c16
// CHECK:           %[[LEFT:.*]] = arith.subi %c20, %[[LANE]]
// CHECK:           %[[MASK:.*]] = vector.create_mask %[[LEFT]] : vector<16xi1>
// CHECK:           %[[ACC:.*]] = scf.for
// CHECK:             arith.shli
// CHECK:             math.fma
// CHECK:             arith.andi
// CHECK:             math.fma
// CHECK:           %[[BIAS:.*]] = vector.maskedload %{{.*}}[%[[LANE]]], %[[MASK]]
// CHECK:           %[[OLD:.*]] = vector.maskedload %{{.*}}[%c0, %[[LANE]]], %[[MASK]]
// CHECK:           %[[T:.*]] = arith.addf %[[ACC]], %[[BIAS]]
// CHECK:           %[[Y:.*]] = arith.addf %[[OLD]], %[[T]]
// CHECK:           vector.maskedstore %{{.*}}[%c0, %[[LANE]]], %[[MASK]], %[[Y]]
// Of the two groups only the second needs a mask.
// FLOATPANEL-LABEL: func.func @masked
// FLOATPANEL:         scf.for %{{.*}} = %c0 to %c2 step %c1
// PAIR-LABEL: func.func @masked
// PAIR:         %[[SUMS:.*]]:2 = scf.for
// PAIR:           %[[A:.*]] = vector.broadcast
// PAIR-NEXT:      %[[F0:.*]] = math.fma %{{.*}}, %[[A]], %{{.*}}
// PAIR-NEXT:      %[[F1:.*]] = math.fma %{{.*}}, %[[A]], %{{.*}}
// PAIR:           math.fma %{{.*}}, %{{.*}}, %[[F0]]
// PAIR-NEXT:      math.fma %{{.*}}, %{{.*}}, %[[F1]]
// PAIR:         vector.store
// PAIR:         arith.addf %[[SUMS]]#1,
// PAIR:         vector.maskedstore
func.func @masked(%a: memref<1x32xf32>, %w: !cria.weight<20x32, bf16, n16k2>,
                  %b: memref<20xf32>, %y: memref<1x20xf32>) {
  cria.fused_linear acts(%a : memref<1x32xf32>) weights(%w : !cria.weight<20x32, bf16, n16k2>)
    extras(%b : memref<20xf32>) outs(%y : memref<1x20xf32>)
    attributes {accumulate, extra_kinds = [#cria<extra bias>], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>, %bias: vector<16xf32>, %old: vector<16xf32>):
    %0 = arith.addf %acc, %bias : vector<16xf32>
    %1 = arith.addf %old, %0 : vector<16xf32>
    cria.yield %1 : vector<16xf32>
  }
  return
}

// -----

// Two weights, one after the other; the activation becomes math.

// CHECK-LABEL: func.func @glu
// CHECK:           %[[GATE:.*]] = scf.for
// CHECK:           %[[UP:.*]] = scf.for
// CHECK:           %[[NEG:.*]] = arith.negf %[[GATE]]
// CHECK:           %[[EXP:.*]] = math.exp %[[NEG]]
// CHECK:           %[[DEN:.*]] = arith.addf %[[EXP]],
// CHECK:           %[[SILU:.*]] = arith.divf %[[GATE]], %[[DEN]]
// CHECK:           %[[Y:.*]] = arith.mulf %[[SILU]], %[[UP]]
// CHECK:           vector.store %[[Y]]
// PAIR-LABEL: func.func @glu
// PAIR:           %[[BOTH:.*]]:2 = scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// PAIR:           arith.negf %[[BOTH]]#0
// PAIR:           arith.mulf %{{.*}}, %[[BOTH]]#1
func.func @glu(%a: memref<1x32xf32>, %g: !cria.weight<32x32, f16, n16>,
               %u: !cria.weight<32x32, f16, n16>, %y: memref<1x32xf32>) {
  cria.fused_linear acts(%a : memref<1x32xf32>)
    weights(%g, %u : !cria.weight<32x32, f16, n16>, !cria.weight<32x32, f16, n16>)
    outs(%y : memref<1x32xf32>) attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%gate: vector<16xf32>, %up: vector<16xf32>):
    %0 = cria.activation silu %gate : vector<16xf32>
    %1 = arith.mulf %0, %up : vector<16xf32>
    cria.yield %1 : vector<16xf32>
  }
  return
}

// -----

// Keys: 16 elements of one head, each in its own line of 16 positions. The
// rope table is read at the lane's place in its head.

// CHECK-LABEL: func.func @key
// CHECK:           %[[LANE:.*]] = arith.muli %{{.*}}, %c16
// CHECK:           %[[D:.*]] = arith.remui %[[LANE]], %c32
// CHECK:           vector.load %{{.*}}[%c0, %c0, %[[D]]] : memref<1x2x32xf32>
// CHECK:           vector.load %{{.*}}[%c0, %c1, %[[D]]] : memref<1x2x32xf32>
// CHECK:           %[[HALF:.*]] = arith.truncf %{{.*}} : vector<16xf32> to vector<16xf16>
// CHECK:           %[[SLOT:.*]] = arith.index_castui %{{.*}} : i32 to index
// CHECK-DAG:       %[[PAGE:.*]] = arith.divui %[[SLOT]], %c64
// CHECK-DAG:       %[[POS:.*]] = arith.remui %[[SLOT]], %c64
// CHECK:           %[[E:.*]] = vector.extract %[[HALF]][0]
// CHECK-DAG:       %[[HEAD:.*]] = arith.divui %[[LANE]], %c32
// CHECK-DAG:       %[[BLOCK:.*]] = arith.divui %[[POS]], %c16
// CHECK-DAG:       %[[IN:.*]] = arith.remui %[[POS]], %c16
// CHECK:           memref.store %[[E]], %{{.*}}[%{{.*}}, %[[PAGE]], %[[HEAD]], %[[BLOCK]], %[[D]], %[[IN]]]
// CHECK-COUNT-15:  memref.store
// CHECK-NOT:       memref.store
func.func @key(%a: memref<1x32xf32>, %w: !cria.weight<64x32, f32, n16>, %t: memref<1x2x32xf32>,
               %l: index, %s: memref<1xi32>, %k: memref<2x?x2x4x32x16xf16>) {
  cria.fused_linear acts(%a : memref<1x32xf32>) weights(%w : !cria.weight<64x32, f32, n16>)
    extras(%t : memref<1x2x32xf32>) layer %l slots %s : memref<1xi32>
    outs(%k : memref<2x?x2x4x32x16xf16>)
    attributes {extra_kinds = [#cria<extra rope>], out = #cria<out key>} {
  ^bb0(%acc: vector<16xf32>, %cos: vector<16xf32>, %sin: vector<16xf32>):
    %0 = arith.mulf %acc, %cos : vector<16xf32>
    %1 = math.fma %acc, %sin, %0 : vector<16xf32>
    cria.yield %1 : vector<16xf32>
  }
  return
}

// -----

// Rows of 1 KB: the codes of the next two tokens are prefetched.

// PAIR-LABEL: func.func @long_rows
// PAIR-SAME:    (%[[CODES:[^:]*]]: memref<?x256xi32>
// PAIR:         scf.for %[[BLOCK:.*]] = %c0 to %c32
// PAIR:           %[[WORD:.*]] = arith.muli %[[BLOCK]], %c8
// PAIR:           scf.for
// PAIR:             %[[NEXT:.*]] = arith.addi %{{.*}}, %c2
// PAIR:             memref.prefetch %[[CODES]][%[[NEXT]], %[[WORD]]]
// One panel; the zero point's share comes on top of the tile's integers, and
// the next tile's tokens are prefetched.
// TILE-LABEL: func.func @long_rows
// TILE-SAME:    (%[[CODES:[^:]*]]: memref<?x256xi32>, %{{[^:]*}}: memref<?x32xf32>, %[[SHARES:[^:]*]]: memref<?x32xi32>
// TILE:         cria.dot_tile %[[CODES]][%[[ROW:.*]], %[[WORD:.*]]], %{{.*}}, %[[DOTS:.*]] : memref<?x256xi32>, memref<1x8x64xi8>, memref<1x16x16xi32>
// TILE:         scf.for %[[T:.*]] = %c0 to %c16
// TILE:           %[[TOKEN:.*]] = arith.addi %[[ROW]], %[[T]]
// TILE:           %[[NEXT:.*]] = arith.addi %[[TOKEN]], %c16
// TILE:           memref.prefetch %[[CODES]][%[[NEXT]], %[[WORD]]]
// TILE:           %[[TILE:.*]] = vector.load %[[DOTS]][%c0, %[[T]], %c0]
// TILE:           %[[SHARE:.*]] = memref.load %[[SHARES]][%[[TOKEN]],
// TILE:           %[[ALL:.*]] = vector.broadcast %[[SHARE]]
// TILE:           arith.addi %[[TILE]], %[[ALL]]
func.func @long_rows(%c: memref<?x256xi32>, %s: memref<?x32xf32>, %m: memref<?x32xi32>,
                     %w: !cria.weight<16x1024, q8, block = 32, zero_point, n16k4>, %y: memref<?x16xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x256xi32>, memref<?x32xf32>, memref<?x32xi32>)
    weights(%w : !cria.weight<16x1024, q8, block = 32, zero_point, n16k4>) outs(%y : memref<?x16xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// -----

// Codes of 16 bits: a tile of their high bytes, which count 256, and one of
// the low bytes.

// TILE-LABEL: func.func @wide
// TILE-SAME:    (%[[CODES:[^:]*]]: memref<?x16xi32>
// TILE:         %[[HIGH:.*]] = memref.view %{{.*}}[%c512][] : memref<5120xi8> to memref<1x16x16xi32>
// TILE:         %[[LOW:.*]] = memref.view %{{.*}}[%c1536][] : memref<5120xi8> to memref<1x16x16xi32>
// TILE:         cria.dot_tile %[[CODES]][%[[ROW:.*]], %c0], %[[UNPACKED:.*]], %[[HIGH]] :
// TILE:         cria.dot_tile %[[CODES]][%[[ROW]], %c8], %[[UNPACKED]], %[[LOW]] :
// TILE:         %[[H:.*]] = vector.load %[[HIGH]]
// TILE:         %[[SHIFTED:.*]] = arith.shli %[[H]], %{{.*}}
// TILE:         %[[L:.*]] = vector.load %[[LOW]]
// TILE:         %[[DOT:.*]] = arith.addi %[[SHIFTED]], %[[L]]
// TILE:         arith.sitofp %[[DOT]]

// One product of both, put together. Codes are unpacked in front of the loop
// over tokens.
// WORDS-LABEL: func.func @wide
// WORDS-SAME:    (%[[CODES:[^:]*]]: memref<?x16xi32>
// WORDS:         %[[EVEN:.*]] = arith.andi
// WORDS:         %[[ODD:.*]] = arith.shrui
// WORDS:         scf.for
// WORDS:         vector.load %[[CODES]][%[[ROW:.*]], %c8] : {{.*}}, vector<2xi32>
// WORDS:         %[[LOW:.*]] = arith.extsi
// WORDS:         vector.load %[[CODES]][%[[ROW]], %c0] : {{.*}}, vector<2xi32>
// WORDS:         %[[HIGH:.*]] = arith.shli
// WORDS:         %[[BOTH:.*]] = arith.addi %[[LOW]], %[[HIGH]]
// WORDS:         %[[A0:.*]] = vector.shuffle %[[BOTH]], %[[BOTH]] [0, 2,
// WORDS:         %[[A1:.*]] = vector.shuffle %[[BOTH]], %[[BOTH]] [1, 3,
// WORDS:         %[[D0:.*]] = cria.dot2_i16 %{{.*}}, %[[EVEN]], %[[A0]]
// WORDS-NEXT:    cria.dot2_i16 %[[D0]], %[[ODD]], %[[A1]]
func.func @wide(%c: memref<?x16xi32>, %s: memref<?x1xf32>, %m: memref<?x1xf32>,
                %w: !cria.weight<16x32, q8, block = 32, min, n16k4>, %y: memref<?x16xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x16xi32>, memref<?x1xf32>, memref<?x1xf32>)
    weights(%w : !cria.weight<16x32, q8, block = 32, min, n16k4>) outs(%y : memref<?x16xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// -----

// 512 codes of 16 bits are 1 KB, too.

// PAIR-LABEL: func.func @long_wide_rows
// PAIR-SAME:    (%[[CODES:[^:]*]]: memref<?x256xi32>
// PAIR:         memref.prefetch %[[CODES]]
func.func @long_wide_rows(%c: memref<?x256xi32>, %s: memref<?x16xf32>, %m: memref<?x16xf32>,
                          %w: !cria.weight<16x512, q8, block = 32, min, n16k4>, %y: memref<?x16xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x256xi32>, memref<?x16xf32>, memref<?x16xf32>)
    weights(%w : !cria.weight<16x512, q8, block = 32, min, n16k4>) outs(%y : memref<?x16xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// -----

// Rows of pairs: 32 columns are 16 words, and two groups of rows share those of
// the activations. Without dot2 they are f32.

// CHECK-LABEL: func.func @pairs
// CHECK-NOT:     dot2
// CHECK:         math.fma
// CHECK-NOT:     dot2
// DOT2-LABEL: func.func @pairs
// DOT2-SAME:    (%[[X:[^:]*]]: memref<?x32xf32>,
// DOT2:         scf.for %{{.*}} = %c0 to %{{.*}} step %c2
// DOT2-NOT:     dot_tile2
// DOT2:           scf.for %[[I:.*]] = %c0 to %c16 step %c1 iter_args
// DOT2:             %[[W0:.*]] = vector.load %{{.*}} : {{.*}}, vector<32xbf16>
// DOT2:             %[[W1:.*]] = vector.load %{{.*}} : {{.*}}, vector<32xbf16>
// DOT2:             %[[A:.*]] = memref.load %[[X]][%{{.*}}, %[[I]]]
// DOT2:             %[[ALL:.*]] = vector.broadcast %[[A]] : f32 to vector<16xf32>
// DOT2:             %[[BOTH:.*]] = vector.bitcast %[[ALL]] : vector<16xf32> to vector<32xbf16>
// DOT2:             cria.dot2 %{{.*}}, %[[W0]], %[[BOTH]]
// DOT2:             cria.dot2 %{{.*}}, %[[W1]], %[[BOTH]]
// DOT2-COUNT-2:     cria.dot2
// DOT2:             scf.yield
// DOTTILE2-LABEL: func.func @pairs
// DOTTILE2-SAME:    (%[[X:[^:]*]]: memref<?x32xf32>,
// DOTTILE2:         %[[TILES:.*]] = memref.alloca() {alignment = 64 : i64} : memref<5120xi8>
// DOTTILE2:           scf.for %[[T:.*]] = %c0 to %{{.*}} step %c16
// DOTTILE2:             %[[SUMS:.*]] = memref.view %[[TILES]]{{.*}} to memref<2x16x16xf32>
// DOTTILE2:             cria.dot_tile2 %[[X]][%[[T]]], %{{.*}}[%{{.*}}], %[[SUMS]]
// DOTTILE2:             scf.for %[[I:.*]] = %c0 to %c16 step %c1
// DOTTILE2:               %[[S0:.*]] = vector.load %[[SUMS]][%c0, %[[I]], %c0]
// DOTTILE2:               vector.store %[[S0]],
// DOTTILE2:               vector.load %[[SUMS]][%c1, %[[I]], %c0]
// DOTTILE2:           cria.dot2
func.func @pairs(%x: memref<?x32xf32>, %w: !cria.weight<32x32, bf16, n16k2>, %y: memref<?x32xf32>) {
  cria.fused_linear acts(%x : memref<?x32xf32>) weights(%w : !cria.weight<32x32, bf16, n16k2>)
    outs(%y : memref<?x32xf32>) attributes {bf16, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// -----

// q6: a block's two halves have a scale each, an i8 times the f16 of 256, and
// the zero point's share of their own. A word's low bits come from one stored
// vector and the high ones from another.

// CHECK-LABEL: func.func @halves
// CHECK-SAME:    (%[[CODES:[^:]*]]: memref<1x72xi32>, %[[SCALES:[^:]*]]: memref<1x9xf32>, %[[SUMS:[^:]*]]: memref<1x18xi32>,
// CHECK:         %[[W:.*]]:3 = cria.weight_data
// CHECK:         %[[WC:.*]] = memref.collapse_shape %[[W]]#0 {{.*}} into memref<1x9x6x64xi8
// CHECK:         scf.for %[[BLOCK:.*]] = %c0 to %c9
// CHECK:           %[[SUPER:.*]] = arith.divui %[[BLOCK]], %c8
// CHECK:           %[[H:.*]] = vector.load %[[W]]#1[%c0, %[[SUPER]], %c0]
// CHECK:           %[[D:.*]] = arith.extf %[[H]]
// CHECK:           %[[B0:.*]] = vector.load %[[W]]#2[%c0, %[[BLOCK]], %c0, %c0] : {{.*}}, vector<16xi8>
// CHECK:           %[[I0:.*]] = arith.extsi %[[B0]]
// CHECK:           %[[F0:.*]] = arith.sitofp %[[I0]]
// CHECK:           %[[S0:.*]] = arith.mulf %[[F0]], %[[D]]
// CHECK:           %[[B1:.*]] = vector.load %[[W]]#2[%c0, %[[BLOCK]], %c1, %c0]
// CHECK:           %[[S1:.*]] = arith.mulf %{{.*}}, %[[D]]
// CHECK:           %[[FIRST:.*]] = arith.muli %[[BLOCK]], %c2
// CHECK:           memref.load %[[SUMS]][%c0, %[[FIRST]]]
// CHECK:           %[[LOW:.*]] = vector.load %[[WC]][%c0, %[[BLOCK]], %c0, %c0]
// CHECK:           %[[NIBBLE:.*]] = arith.andi %[[LOW]], %cst
// CHECK:           %[[HIGH:.*]] = vector.load %[[WC]][%c0, %[[BLOCK]], %c4, %c0]
// CHECK:           %[[SHIFTED:.*]] = arith.shli %[[HIGH]], %cst
// CHECK:           %[[BITS:.*]] = arith.andi %[[SHIFTED]], %cst
// CHECK:           %[[CODE:.*]] = arith.ori %[[NIBBLE]], %[[BITS]]
// CHECK:           cria.dot4 %{{.*}}, %[[CODE]], %{{.*}} {a_bits = 6 : i64}
// CHECK-COUNT-3:   cria.dot4
// CHECK:           %[[P0:.*]] = arith.mulf %{{.*}}, %[[S0]]
// CHECK:           %[[SECOND:.*]] = arith.addi %[[FIRST]], %c1
// CHECK:           memref.load %[[SUMS]][%c0, %[[SECOND]]]
// CHECK-COUNT-4:   cria.dot4
// CHECK:           %[[P1:.*]] = math.fma %{{.*}}, %[[S1]], %[[P0]]
// CHECK:           %[[A:.*]] = memref.load %[[SCALES]][%c0, %[[BLOCK]]]
// CHECK:           %[[SA:.*]] = vector.broadcast %[[A]]
// CHECK:           math.fma %[[P1]], %[[SA]], %{{.*}}

// Six lines of codes, those of the i8s and of the f16s.
// PREFETCH-LABEL: func.func @halves
// PREFETCH-COUNT-8: memref.prefetch {{.*}}, read, locality<3>, data
// PREFETCH-NOT:     memref.prefetch
// PREFETCH:         return
func.func @halves(%c: memref<1x72xi32>, %s: memref<1x9xf32>, %m: memref<1x18xi32>,
                  %w: !cria.weight<16x270, q6, block = 16, zero_point, n16k4>, %y: memref<1x16xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<1x72xi32>, memref<1x9xf32>, memref<1x18xi32>)
    weights(%w : !cria.weight<16x270, q6, block = 16, zero_point, n16k4>) outs(%y : memref<1x16xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}

// A tile's panels are the halves of blocks.
// TILE-LABEL: func.func @tiled_halves
// TILE:         cria.dot_tile {{.*}} : {{.*}}, memref<2x8x64xi8>, memref<2x16x16xi32>
func.func @tiled_halves(%c: memref<?x72xi32>, %s: memref<?x9xf32>, %m: memref<?x18xi32>,
                  %w: !cria.weight<16x270, q6, block = 16, zero_point, n16k4>, %y: memref<?x16xf32>) {
  cria.fused_linear acts(%c, %s, %m : memref<?x72xi32>, memref<?x9xf32>, memref<?x18xi32>)
    weights(%w : !cria.weight<16x270, q6, block = 16, zero_point, n16k4>) outs(%y : memref<?x16xf32>)
    attributes {extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  }
  return
}
