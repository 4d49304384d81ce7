// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -cria-lower-dot2=isa=avx512bf16 | FileCheck %s --check-prefix=BF16
// RUN: cria-opt %s -cria-lower-dot2 | FileCheck %s --check-prefix=GENERIC
// RUN: not cria-opt %s -cria-lower-dot2=isa=sve 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: cria-opt %s -cria-lower-dot2=isa=avx512bf16 -convert-func-to-llvm -reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir | llc -mtriple=x86_64-linux -mcpu=znver4 -O2 | FileCheck %s --check-prefix=ASM
// UNKNOWN: cria-lower-dot2: isa = sve is not one of generic, avx512bf16

// BF16-LABEL: func.func @dot
// BF16-SAME:    (%[[ACC:.*]]: vector<16xf32>, %[[A:.*]]: vector<32xbf16>, %[[B:.*]]: vector<32xbf16>)
// BF16-NEXT:    %[[R:.*]] = llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%[[ACC]], %[[A]], %[[B]])
// BF16-NEXT:    return %[[R]]

// The even columns are the lower halves of words.
// GENERIC-LABEL: func.func @dot
// GENERIC-SAME:    (%[[ACC:.*]]: vector<16xf32>, %[[A:.*]]: vector<32xbf16>, %[[B:.*]]: vector<32xbf16>)
// GENERIC:         %[[WA:.*]] = vector.bitcast %[[A]] : vector<32xbf16> to vector<16xi32>
// GENERIC:         %[[SA:.*]] = arith.shli %[[WA]],
// GENERIC:         %[[A0:.*]] = arith.bitcast %[[SA]]
// GENERIC:         %[[B0:.*]] = arith.bitcast
// GENERIC:         %[[EVEN:.*]] = math.fma %[[A0]], %[[B0]], %[[ACC]]
// GENERIC:         %[[MA:.*]] = arith.andi
// GENERIC:         %[[A1:.*]] = arith.bitcast %[[MA]]
// GENERIC:         %[[B1:.*]] = arith.bitcast
// GENERIC:         %[[R:.*]] = math.fma %[[A1]], %[[B1]], %[[EVEN]]
// GENERIC-NEXT:    return %[[R]]

// ASM-LABEL: dot:
// ASM:         vdpbf16ps %zmm2, %zmm1, %zmm0
func.func @dot(%acc: vector<16xf32>, %a: vector<32xbf16>, %b: vector<32xbf16>) -> vector<16xf32> {
  %0 = cria.dot2 %acc, %a, %b : vector<16xf32>, vector<32xbf16>, vector<32xbf16>
  return %0 : vector<16xf32>
}
