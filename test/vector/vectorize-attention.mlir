// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --cria-vectorize-attention --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s
// RUN: cria-opt %s --cria-vectorize-attention=halves=true --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s --check-prefix=HALVES

// One token: its two heads share each load of K and V. What it reads next is
// fetched into L1: the chunk's next page, behind its last keys its first values,
// behind its last values the next chunk's first keys. What it reads 16 KB later,
// 8 of these small pages, is fetched into L2.

// CHECK-LABEL: func @decode
// CHECK-SAME: %[[Q:.*]]: memref<1x32xf32>, %[[K:.*]]: memref<2x?x1x4x16x16xf16>, %[[V:.*]]: memref<2x?x1x64x16xf16>, %[[P:.*]]: memref<1xi32>, %[[S:.*]]: memref<1xi32>, %[[T:.*]]: memref<?x?xi32>, %[[LAYER:.*]]: index, %[[O:.*]]: memref<1x32xf32>
func.func @decode(%q: memref<1x32xf32>, %k: memref<2x?x1x4x16x16xf16>,
    %v: memref<2x?x1x64x16xf16>, %p: memref<1xi32>, %s: memref<1xi32>,
    %t: memref<?x?xi32>, %layer: index, %o: memref<1x32xf32>) {
  // CHECK: %[[SCORES:.*]] = memref.alloca() {{.*}} : memref<2x272xf32>
  // CHECK-NOT: scf.while
  // CHECK: %[[POSITION:.*]] = memref.load %[[P]]
  // Chunks of four pages, up to the position's own.
  // CHECK: arith.divui
  // CHECK: %[[END:.*]] = arith.addi %{{.*}}, %c1 : index
  // CHECK: scf.for %[[CHUNK:.*]] = %c0 to %[[END]] step %c4 {
  // CHECK: scf.for %[[PAGE:.*]] =
  // CHECK: memref.load %[[T]][%{{.*}}, %[[PAGE]]]
  // CHECK: %[[FOLLOWING:.*]] = arith.addi %[[PAGE]], %c1
  // CHECK: %[[PAST:.*]] = arith.subi %[[FOLLOWING]],
  // CHECK: %[[LAST:.*]] = arith.cmpi sge, %[[PAST]], %c0
  // CHECK: %[[AFTER:.*]] = arith.select %[[LAST]], %{{.*}}, %{{.*}} : index
  // CHECK: memref.load %[[T]][%{{.*}}, %[[AFTER]]]
  // CHECK: %[[NEXT:.*]] = arith.index_cast
  // CHECK: arith.addi %[[PAGE]], %c9
  // CHECK: %[[FAROTHER:.*]] = arith.cmpi sge
  // CHECK: memref.load %[[T]]
  // CHECK: %[[FAR:.*]] = arith.index_cast
  // Four blocks of 16 positions by two heads.
  // CHECK: %[[ACC:.*]]:8 = scf.for %[[D:.*]] = %c0 to %c16 step %c4
  // CHECK: scf.if %[[LAST]] {
  // CHECK-COUNT-8: memref.prefetch %[[V]][%[[LAYER]], %[[NEXT]], %c0, %c0, %{{.*}}], read, locality<3>, data
  // CHECK-NEXT: } else {
  // CHECK: memref.prefetch %[[K]][%[[LAYER]], %[[NEXT]], %c0, %c0, %c0, %{{.*}}], read, locality<3>, data
  // CHECK: scf.if %[[FAROTHER]] {
  // CHECK-COUNT-8: memref.prefetch %[[V]][%[[LAYER]], %[[FAR]], %c0, %c0, %{{.*}}], read, locality<2>, data
  // CHECK-NEXT: } else {
  // CHECK-COUNT-8: memref.prefetch %[[K]][%[[LAYER]], %[[FAR]], %c0, %c0, %c0, %{{.*}}], read, locality<2>, data
  // CHECK: %[[K0:.*]] = vector.load %[[K]][%[[LAYER]], %{{.*}}, %c0, %{{.*}}, %[[D]], %c0]
  // CHECK: %[[KEY:.*]] = arith.extf %[[K0]] : vector<16xf16> to vector<16xf32>
  // CHECK: %[[QD:.*]] = vector.broadcast %{{.*}} : f32 to vector<16xf32>
  // CHECK: math.fma %[[KEY]], %[[QD]], %{{.*}} : vector<16xf32>
  // CHECK-NOT: math.tanh
  // Positions past the token's own: in its last page.
  // CHECK: %[[SCALED:.*]] = arith.mulf %[[ACC]]#0,
  // CHECK: %[[LASTPOS:.*]] = arith.addi %{{.*}}, %c63
  // CHECK: %[[EDGE:.*]] = arith.cmpi sgt, %[[LASTPOS]],
  // CHECK: scf.if %[[EDGE]]
  // CHECK: %[[SEEN:.*]] = arith.cmpi sle
  // CHECK: arith.select %[[SEEN]], %[[SCALED]],
  // CHECK: vector.store %{{.*}}, %[[SCORES]]
  // The values' loop ends at the token's own position.
  // CHECK: scf.for %[[PAGE2:.*]] =
  // CHECK: memref.load %[[T]][%{{.*}}, %[[PAGE2]]]
  // CHECK: %[[LAST2:.*]] = arith.cmpi sge
  // CHECK: %[[AFTER2:.*]] = arith.select %[[LAST2]], %{{.*}}, %{{.*}} : index
  // CHECK: memref.load %[[T]][%{{.*}}, %[[AFTER2]]]
  // CHECK: %[[NEXT2:.*]] = arith.index_cast
  // CHECK: memref.load %[[T]]
  // CHECK: %[[FAR2:.*]] = arith.index_cast
  // CHECK: %[[STOP:.*]] = arith.minsi
  // CHECK: scf.for %{{.*}} = %{{.*}} to %[[STOP]] step %c1 iter_args
  // CHECK: vector.load %[[V]][%[[LAYER]],
  // CHECK: scf.if %[[LAST2]] {
  // CHECK: memref.prefetch %[[K]][%[[LAYER]], %[[NEXT2]], %c0, %c0, %c0, %{{.*}}], read, locality<3>, data
  // CHECK: } else {
  // CHECK: memref.prefetch %[[V]][%[[LAYER]], %[[NEXT2]], %c0, %c0, %{{.*}}], read, locality<3>, data
  // CHECK: memref.prefetch %[[K]][%[[LAYER]], %[[FAR2]], %c0, %c0, %c0, %{{.*}}], read, locality<2>, data
  // CHECK: memref.prefetch %[[V]][%[[LAYER]], %[[FAR2]], %c0, %c0, %{{.*}}], read, locality<2>, data
  // CHECK: arith.divf
  // CHECK: vector.store %{{.*}}, %[[O]]
  // CHECK-NOT: cria.
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<1x32xf32>,
      memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<1x32xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

// Codes are converted for longer than they take to arrive: the values of the
// page, then the next chunk's keys, into L2.

// CHECK-LABEL: func @decode_i8
// CHECK-SAME: %[[K:[^:]*]]: memref<2x?x1x1280xi8>, %[[V:[^:]*]]: memref<2x?x1x1280xi8>
// CHECK-NOT: locality<3>
// CHECK: memref.prefetch %[[V]][%{{.*}}, %{{.*}}, %c0, %{{.*}}], read, locality<2>, data
// CHECK: arith.sitofp
// CHECK-NOT: locality<3>
// CHECK: memref.prefetch %[[K]][%{{.*}}, %{{.*}}, %c0, %{{.*}}], read, locality<2>, data
// CHECK-NOT: locality<3>
func.func @decode_i8(%q: memref<1x32xf32>, %k: memref<2x?x1x1280xi8>,
    %v: memref<2x?x1x1280xi8>, %p: memref<1xi32>, %s: memref<1xi32>,
    %t: memref<?x?xi32>, %layer: index, %o: memref<1x32xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<1x32xf32>,
      memref<2x?x1x1280xi8>, memref<2x?x1x1280xi8>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<1x32xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

// Codes of 16 bits are multiplied as they are, 32 a vector, with words of two
// codes of a query, and of p times the scales of values. They are read ahead.

// CHECK-LABEL: func @decode_i16
// CHECK-SAME: %[[Q:[^:]*]]: memref<1x32xf32>, %[[K:[^:]*]]: memref<2x?x1x1152xi16>, %[[V:[^:]*]]: memref<2x?x1x1152xi16>
// CHECK-DAG: %[[OUT:.*]] = memref.alloca() {{.*}} : memref<2x16xi32>
// CHECK-DAG: %[[QUERIES:.*]] = memref.alloca() {{.*}} : memref<2x8xi32>
// CHECK-DAG: %[[WEIGHTS:.*]] = memref.alloca() {{.*}} : memref<2x136xi32>
// CHECK: vector.load %[[Q]]
// CHECK: math.absf
// CHECK: %[[QWORDS:.*]] = vector.bitcast %{{.*}} : vector<16xi16> to vector<8xi32>
// CHECK: vector.store %[[QWORDS]], %[[QUERIES]]
// A pair of elements of four blocks by two heads.
// CHECK: scf.for %[[D:.*]] = %c0 to %c8 step %c1 iter_args({{.*}}) -> (vector<16xi32>,
// CHECK: memref.prefetch %[[V]]{{.*}} locality<3>
// CHECK: memref.prefetch %[[K]]{{.*}} locality<3>
// CHECK: %[[KEYS:.*]] = vector.load %[[K]]{{.*}} vector<32xi16>
// CHECK: %[[WORD:.*]] = memref.load %[[QUERIES]][%{{.*}}, %[[D]]]
// CHECK: %[[ALL:.*]] = vector.broadcast %[[WORD]] : i32 to vector<16xi32>
// CHECK: %[[QUERY:.*]] = vector.bitcast %[[ALL]] : vector<16xi32> to vector<32xi16>
// CHECK: cria.dot2_i16 %{{.*}}, %[[KEYS]], %[[QUERY]]
// CHECK: %[[SCALES:.*]] = vector.load %[[K]][%{{.*}}, %{{.*}}, %c0, %c1024] : {{.*}} vector<32xi16>
// CHECK: vector.bitcast %[[SCALES]] : vector<32xi16> to vector<16xf32>
// CHECK: arith.sitofp
// Of p; behind it the scales of values.
// CHECK: vector.load %[[V]]{{.*}} vector<32xi16>
// CHECK: vector.store %{{.*}}, %[[WEIGHTS]]{{.*}} vector<8xi32>
// Up to the pair that has the token's own position.
// CHECK: %[[BEGIN:.*]] = arith.divui %{{.*}}, %c2
// CHECK: %[[END:.*]] = arith.divui %{{.*}}, %c2
// CHECK: scf.for %[[PAIR:.*]] = %[[BEGIN]] to %[[END]] step %c1 iter_args
// CHECK: %[[VALUES:.*]] = vector.load %[[V]]{{.*}} vector<32xi16>
// CHECK: memref.load %[[WEIGHTS]]
// CHECK: cria.dot2_i16 %{{.*}}, %[[VALUES]],
// CHECK: vector.store %{{.*}}, %[[OUT]]{{.*}} vector<16xi32>
// CHECK: arith.sitofp
// CHECK: vector.store %{{.*}} memref<1x32xf32>
// CHECK-NOT: cria.
func.func @decode_i16(%q: memref<1x32xf32>, %k: memref<2x?x1x1152xi16>,
    %v: memref<2x?x1x1152xi16>, %p: memref<1xi32>, %s: memref<1xi32>,
    %t: memref<?x?xi32>, %layer: index, %o: memref<1x32xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<1x32xf32>,
      memref<2x?x1x1152xi16>, memref<2x?x1x1152xi16>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<1x32xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

// Many tokens: tiles of two, up to eight of them together where 16 tokens fit,
// else one token. Tiles read K and V from a page of f32, a single token the
// cache itself.

// CHECK-LABEL: func @prefill
// CHECK-SAME: %[[Q:[^ ]*]]: memref<?x32xf32>, %[[K:[^ ]*]]: memref
// CHECK: %[[SCORES:.*]] = memref.alloca() {{.*}} : memref<32x272xf32>
// CHECK: %[[STAGE:.*]] = memref.alloca() {{.*}} : memref<1024xf32>
// CHECK: %[[N:.*]] = memref.dim %[[Q]], %c0
// CHECK: scf.while (%[[I:.*]] = %c0)
// CHECK: arith.cmpi slt, %[[I]], %[[N]]
// CHECK: %[[COUNT:.*]] = scf.for
// CHECK: %[[IS_TILE:.*]] = arith.cmpi sge, %[[COUNT]], %c2
// CHECK: scf.if %[[IS_TILE]] -> (index) {
// CHECK: %[[TILES:.*]] = arith.divui %[[COUNT]], %c2
// CHECK: %[[KEYS:.*]] = vector.load %[[K]]
// CHECK: %[[WIDE:.*]] = arith.extf %[[KEYS]]
// CHECK: vector.store %[[WIDE]], %[[STAGE]]
// CHECK: scf.for %{{.*}} = %c0 to %[[TILES]]
// CHECK: :16 = scf.for
// CHECK: vector.load %[[STAGE]]
// CHECK: scf.yield %{{.*}} : index
// CHECK-NEXT: } else {
// CHECK: :8 = scf.for
// CHECK: vector.load %[[K]]
// CHECK: scf.yield %{{.*}} : index
// CHECK: scf.yield %{{.*}} : index
func.func @prefill(%q: memref<?x32xf32>, %k: memref<2x?x1x4x16x16xf16>,
    %v: memref<2x?x1x64x16xf16>, %p: memref<?xi32>, %s: memref<?xi32>,
    %t: memref<?x?xi32>, %layer: index, %o: memref<?x32xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<?x32xf32>,
      memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<?xi32>,
      memref<?xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<?x32xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

// CHECK-LABEL: func @window_softcap_sinks
// CHECK-SAME: %[[SINK:[^ ]*]]: memref<1xf32>
// The lowest position is p - 99, at least 0; its chunk is the first.
// CHECK: %[[LOW:.*]] = arith.addi %{{.*}}, %c-99
// CHECK: %[[FIRST:.*]] = arith.maxsi %[[LOW]], %c0
// CHECK: arith.divui %[[FIRST]], %c64
// CHECK: math.tanh %{{.*}} : vector<16xf32>
// CHECK: arith.cmpi sge
// The head of 6 elements has a vector of 6.
// CHECK: vector.load %{{.*}} : memref<2x?x1x64x6xbf16>, vector<6xbf16>
// CHECK: memref.load %[[SINK]]
func.func @window_softcap_sinks(%sink: memref<1xf32>, %q: memref<1x6xf32>,
    %k: memref<2x?x1x4x6x16xbf16>, %v: memref<2x?x1x64x6xbf16>,
    %p: memref<1xi32>, %s: memref<1xi32>, %t: memref<?x?xi32>, %layer: index,
    %o: memref<1x6xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<1x6xf32>,
      memref<2x?x1x4x6x16xbf16>, memref<2x?x1x64x6xbf16>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>) sinks(%sink : memref<1xf32>)
    layer %layer outs(%o : memref<1x6xf32>)
    {heads = 1 : i64, kv_heads = 1 : i64, head_dim = 6 : i64, scale = 0.4 : f32,
     window = 100 : i64, softcap = 5.0 : f32}
  return
}

// -----

// Partials: no running state; the chunk's output, sums and maximum are stored
// where the second of the token's chunks belongs.

// CHECK-LABEL: func @partials
// CHECK-SAME: %[[FIRST:[^:]*]]: index, %[[PARTS:[^:]*]]: memref<1x2x1x48xf32>
// CHECK: memref.alloca() {{.*}} : memref<2x272xf32>
// CHECK: %[[SUM:.*]] = memref.alloca() {{.*}} : memref<2x16xf32>
// CHECK: %[[OUT:.*]] = memref.alloca() {{.*}} : memref<2x16xf32>
// CHECK: %[[MAX:.*]] = memref.alloca() {{.*}} : memref<1x16xf32>
// CHECK-NOT: memref.alloca
// CHECK: %[[END:.*]] = arith.minsi
// CHECK: scf.for %[[CHUNK:.*]] = %[[FIRST]] to %[[END]]
// CHECK: %[[PLACE:.*]] = arith.subi %[[CHUNK]], %[[FIRST]]
// CHECK: arith.muli %[[CHUNK]], %c4
// CHECK: scf.for %{{.*}} = %c0 to %c2 step %c1 {
// CHECK: memref.store %{{.*}}, %[[MAX]]
// CHECK: scf.for %[[ROW:.*]] = %c0 to %c2 step %c1 {
// CHECK: %[[HEAD:.*]] = arith.remui %[[ROW]], %c2
// CHECK: %[[O:.*]] = vector.load %[[OUT]][%[[ROW]], %c0]
// CHECK: vector.store %[[O]], %[[PARTS]][%{{.*}}, %[[HEAD]], %[[PLACE]], %c0]
// CHECK: %[[L:.*]] = vector.load %[[SUM]][%[[ROW]], %c0]
// CHECK: vector.store %[[L]], %[[PARTS]][%{{.*}}, %{{.*}}, %[[PLACE]], %c16]
// CHECK: %[[M:.*]] = memref.load %[[MAX]][%c0, %[[ROW]]]
// CHECK: memref.store %[[M]], %[[PARTS]][%{{.*}}, %{{.*}}, %[[PLACE]], %c32]
// CHECK-NOT: cria.
func.func @partials(%first: index, %parts: memref<1x2x1x48xf32>, %q: memref<1x32xf32>, %k: memref<2x?x1x4x16x16xf16>,
    %v: memref<2x?x1x64x16xf16>, %p: memref<1xi32>, %s: memref<1xi32>,
    %t: memref<?x?xi32>, %layer: index) {
  cria.attention_partials ins(%q, %k, %v, %p, %s, %t : memref<1x32xf32>,
      memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>)
    layer %layer first %first outs(%parts : memref<1x2x1x48xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

func.func @strided(%q: memref<1x16xf32, strided<[32, 2]>>, %k: memref<2x?x1x4x16x16xf16>,
    %v: memref<2x?x1x64x16xf16>, %p: memref<1xi32>, %s: memref<1xi32>,
    %t: memref<?x?xi32>, %layer: index, %o: memref<1x16xf32>) {
  // expected-error@+1 {{operand of type 'memref<1x16xf32, strided<[32, 2]>>' needs unit stride in its last dimension}}
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<1x16xf32, strided<[32, 2]>>,
      memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<1x16xf32>)
    {heads = 1 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

// What the distance adds: ALiBi's slope times t - p, and one load from a bias
// whose rows run from the last of 9 distances to the first.

// CHECK-LABEL: func @distances
// CHECK-SAME: %[[SLOPES:[^ ]*]]: memref<2xf32>, %[[BIAS:[^ ]*]]: memref<2x41xf32>
// CHECK: %[[S:.*]] = arith.mulf
// CHECK: %[[D:.*]] = arith.subi %{{.*}}, %{{.*}} : vector<16xi32>
// CHECK: %[[DF:.*]] = arith.sitofp %[[D]]
// CHECK: %[[H0:.*]] = memref.load %[[SLOPES]][%c0]
// CHECK: %[[SLOPE:.*]] = vector.broadcast %[[H0]]
// CHECK: %[[FALLING:.*]] = math.fma %[[SLOPE]], %[[DF]], %[[S]]
// CHECK: %[[AT:.*]] = arith.addi %{{.*}}, %c24 : index
// CHECK: %[[LOW:.*]] = arith.maxsi %[[AT]], %c0
// CHECK: %[[IN:.*]] = arith.minsi %[[LOW]], %c25
// CHECK: %[[B:.*]] = vector.load %[[BIAS]][%c0, %[[IN]]]
// CHECK: %[[SUM:.*]] = arith.addf %[[FALLING]], %[[B]]
// CHECK: memref.load %[[SLOPES]][%c1]
// CHECK: vector.load %[[BIAS]][%c1,
// CHECK: arith.select %{{.*}}, %[[SUM]],
func.func @distances(%q: memref<1x32xf32>, %k: memref<2x?x1x4x16x16xf16>,
    %v: memref<2x?x1x64x16xf16>, %p: memref<1xi32>, %s: memref<1xi32>,
    %t: memref<?x?xi32>, %slopes: memref<2xf32>, %bias: memref<2x41xf32>, %layer: index, %o: memref<1x32xf32>) {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<1x32xf32>,
      memref<2x?x1x4x16x16xf16>, memref<2x?x1x64x16xf16>, memref<1xi32>,
      memref<1xi32>, memref<?x?xi32>)
    slopes(%slopes : memref<2xf32>) bias(%bias : memref<2x41xf32>)
    layer %layer outs(%o : memref<1x32xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 16 : i64, scale = 0.25 : f32}
  return
}

// -----

// In halves: queries become words of twice the same f16; K's page has 32
// positions side by side; scores are in f16, p in words; V is read as it is.

// HALVES-LABEL: func @halves
// HALVES-SAME: %[[V:[^ ]*]]: memref<2x?x1x64x32xf16>
// HALVES-DAG: %[[WORDS:.*]] = memref.alloca() {{.*}} : memref<32x272xf32>
// HALVES-DAG: %[[PAGE:.*]] = memref.alloca() {{.*}} : memref<2048xf16>
// HALVES-DAG: %[[SCORES:.*]] = memref.alloca() {{.*}} : memref<32x288xf16>
// HALVES: scf.while
// HALVES: vector.shuffle %{{.*}}, %{{.*}} [0, 0, 1, 1, 2, 2,
// HALVES: vector.store %{{.*}}, %[[QUERIES:[a-z0-9_]+]][{{.*}}] : memref<32x32xf32>, vector<16xf32>
// HALVES: vector.store %{{.*}}, %[[PAGE]][%{{.*}}] : memref<2048xf16>, vector<16xf16>
// Two vectors of positions by two heads of four tokens.
// HALVES: scf.for {{.*}} -> (vector<32xf16>, {{.*}}) {
// HALVES: vector.load %[[PAGE]][%{{.*}}] : memref<2048xf16>, vector<32xf16>
// HALVES: %[[WORD:.*]] = memref.load %[[QUERIES]]
// HALVES: %[[ALL:.*]] = vector.broadcast %[[WORD]] : f32 to vector<16xf32>
// HALVES: %[[QUERY:.*]] = vector.bitcast %[[ALL]] : vector<16xf32> to vector<32xf16>
// HALVES: math.fma %{{.*}}, %[[QUERY]], %{{.*}} : vector<32xf16>
// HALVES: vector.store %{{.*}}, %[[SCORES]]{{.*}} vector<32xf16>
// HALVES: scf.if
// HALVES: arith.select %{{.*}} : vector<16xi1>, vector<16xf16>
// HALVES: vector.store %{{.*}}, %[[WORDS]]
// HALVES: vector.load %[[V]]{{.*}} vector<32xf16>
// HALVES: math.fma {{.*}} : vector<32xf16>
// HALVES: arith.extf {{.*}} : vector<16xf16> to vector<16xf32>
func.func @halves(%q: memref<16x64xf32>, %k: memref<2x?x1x4x32x16xf16>, %v: memref<2x?x1x64x32xf16>,
    %p: memref<16xi32>, %s: memref<16xi32>, %t: memref<?x?xi32>, %layer: index, %o: memref<16x64xf32>)
    attributes {cria.version = "prefill"} {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<16x64xf32>,
      memref<2x?x1x4x32x16xf16>, memref<2x?x1x64x32xf16>, memref<16xi32>,
      memref<16xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<16x64xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, scale = 0.25 : f32}
  return
}

// -----

// A decode step stays exact.

// HALVES-LABEL: func @step
// HALVES-NOT: vector<32xf16>
// HALVES: return
func.func @step(%q: memref<4x64xf32>, %k: memref<2x?x1x4x32x16xf16>, %v: memref<2x?x1x64x32xf16>,
    %p: memref<4xi32>, %s: memref<4xi32>, %t: memref<?x?xi32>, %layer: index, %o: memref<4x64xf32>)
    attributes {cria.version = "decode"} {
  cria.fused_attention ins(%q, %k, %v, %p, %s, %t : memref<4x64xf32>,
      memref<2x?x1x4x32x16xf16>, memref<2x?x1x64x32xf16>, memref<4xi32>,
      memref<4xi32>, memref<?x?xi32>)
    layer %layer outs(%o : memref<4x64xf32>)
    {heads = 2 : i64, kv_heads = 1 : i64, head_dim = 32 : i64, scale = 0.25 : f32}
  return
}
