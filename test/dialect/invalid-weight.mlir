// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
//
// One case per constraint label of !cria.weight.

// expected-error @below {{weight_t1: rank is 1, expected 2 (NxK) or 3 (LxNxK)}}
"test.use"() {a = !cria.weight<64, f32, rows>} : () -> ()

// -----

// expected-error @below {{weight_t1: rank is 4, expected 2 (NxK) or 3 (LxNxK)}}
"test.use"() {a = !cria.weight<2x2x64x64, f32, rows>} : () -> ()

// -----

// expected-error @below {{weight_t2: block of q4 is 64, expected 32}}
"test.use"() {a = !cria.weight<64x64, q4, block = 64, min, rows>} : () -> ()

// -----

// expected-error @below {{weight_t3: layout n16 does not hold bf16}}
"test.use"() {a = !cria.weight<64x64, bf16, n16>} : () -> ()

// -----

// expected-error @below {{weight_t3: layout n16k2 does not hold f16}}
"test.use"() {a = !cria.weight<64x64, f16, n16k2>} : () -> ()

// -----

// expected-error @below {{weight_t3: layout n16k4 does not hold f32}}
"test.use"() {a = !cria.weight<64x64, f32, n16k4>} : () -> ()

// -----

// expected-error @below {{weight_t4: q4 rows needs offset zero_point or min}}
"test.use"() {a = !cria.weight<64x64, q4, block = 32, none, rows>} : () -> ()

// -----

// expected-error @below {{weight_t4: q8 n16k4 needs offset zero_point or min}}
"test.use"() {a = !cria.weight<64x64, q8, block = 32, none, n16k4>} : () -> ()

// -----

// expected-error @below {{weight_t5: dimension 0 is 0, expected a positive size}}
"test.use"() {a = !cria.weight<0x64, f32, rows>} : () -> ()

// -----

// expected-error @below {{weight_t5: only N may be dynamic}}
"test.use"() {a = !cria.weight<64x?, f32, rows>} : () -> ()

// -----

// expected-error @below {{weight_t5: only N may be dynamic}}
"test.use"() {a = !cria.weight<?x64x64, f32, rows>} : () -> ()

// -----

// expected-error @below {{weight_t5: a weight has at most 2^48 elements}}
"test.use"() {a = !cria.weight<4294967296x4294967296x4294967296, f32, rows>} : () -> ()

// -----

// expected-error @below {{weight_t2: block of q6 is 32, expected 16}}
func.func private @t(!cria.weight<64x64, q6, block = 32, zero_point, n16k4>)

// -----

// expected-error @below {{weight_t4: q6 needs offset zero_point}}
func.func private @t(!cria.weight<64x64, q6, block = 16, min, n16k4>)

// -----

// expected-error @below {{weight_t3: layout n16k2 does not hold q6}}
func.func private @t(!cria.weight<64x64, q6, block = 16, zero_point, n16k2>)
