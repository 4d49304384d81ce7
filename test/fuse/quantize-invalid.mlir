// RUN: not cria-opt %s --cria-quantize=spec=q5 2>&1 | FileCheck %s --check-prefix=TYPE
// RUN: not cria-opt %s --cria-quantize=spec=q4,heda=q8 2>&1 | FileCheck %s --check-prefix=KEY
// RUN: not cria-opt %s --cria-quantize=spec=q4,head=q8 2>&1 | FileCheck %s --check-prefix=ABSENT
// RUN: not cria-opt %s --cria-quantize=spec=up=q4,up=q8 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not cria-opt %s --cria-quantize=spec=q4,q8 2>&1 | FileCheck %s --check-prefix=ALL
// RUN: not cria-opt %s --cria-quantize=spec=q4,=q8 2>&1 | FileCheck %s --check-prefix=EMPTY

// TYPE: error: quantize: 'q5': no type 'q5'; accepted: q4, q4_0, q6, q8, bf16, f16, f32, keep, alone or after KEY=
// KEY: error: quantize: 'heda=q8': the model has no such weight; accepted: embed, head, q, {{.*}}parameters: ffn_up
// ABSENT: error: quantize: 'head=q8': the model has no such weight
// TWICE: error: quantize: 'up=q8': the key 'up' is given twice; accepted: once
// ALL: error: quantize: 'q8': a type for all weights is given twice
// EMPTY: error: quantize: '=q8' has no proper key before the '='
cria.param @ffn_up : !cria.weight<2x96x64, bf16, rows>
cria.param @ffn_norm stacked : tensor<2x64xf32>
