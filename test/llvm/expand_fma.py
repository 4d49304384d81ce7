# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""cria-expand-fma against libm's fmaf, bit for bit, NaNs but for their payload.

Operands are random bits, so that all exponents meet; products that z cancels
but for their last bits; ties between two floats, and next to ties; results
that are subnormal.
"""

import ctypes
import os
import subprocess
import tempfile

import numpy as np

SOURCE = """
func.func @expanded(%a: memref<?xf32>, %b: memref<?xf32>, %c: memref<?xf32>, %y: memref<?xf32>)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %n = memref.dim %y, %c0 : memref<?xf32>
  scf.for %i = %c0 to %n step %c16 {
    %0 = vector.load %a[%i] : memref<?xf32>, vector<16xf32>
    %1 = vector.load %b[%i] : memref<?xf32>, vector<16xf32>
    %2 = vector.load %c[%i] : memref<?xf32>, vector<16xf32>
    %3 = math.fma %0, %1, %2 : vector<16xf32>
    vector.store %3, %y[%i] : memref<?xf32>, vector<16xf32>
  }
  return
}
"""
REFERENCE = """
#include <math.h>
void reference(const float *a, const float *b, const float *c, float *y, long n) {
  for (long i = 0; i < n; ++i) y[i] = fmaf(a[i], b[i], c[i]);
}
"""
LOWERING = ["--cria-expand-fma", "--convert-scf-to-cf", "--convert-vector-to-llvm", "--finalize-memref-to-llvm",
            "--convert-arith-to-llvm", "--convert-cf-to-llvm", "--convert-func-to-llvm", "--reconcile-unrealized-casts"]


class MemRef(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("data", ctypes.c_void_p), ("offset", ctypes.c_int64),
                ("size", ctypes.c_int64), ("stride", ctypes.c_int64)]


def build(folder):
    def path(name):
        return os.path.join(folder, name)
    for name, text in (("in.mlir", SOURCE), ("reference.c", REFERENCE)):
        with open(path(name), "w", encoding="utf-8") as file:
            file.write(text)
    subprocess.run(["cria-opt", path("in.mlir"), "-o", path("out.mlir"), *LOWERING], check=True)
    subprocess.run(["mlir-translate", "--mlir-to-llvmir", path("out.mlir"), "-o", path("out.ll")], check=True)
    subprocess.run(["clang", "-O2", "-fPIC", "-shared", "-w", "-ffp-contract=off", path("out.ll"), path("reference.c"),
                    "-o", path("fma.so"), "-lm"], check=True)
    return ctypes.CDLL(path("fma.so"))


def operands(rng, n):
    bits = lambda: rng.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32)
    near = lambda low, high: np.ldexp(rng.uniform(1, 2, n), rng.integers(low, high, n)).astype(np.float32)
    sign = rng.choice([-1, 1], n).astype(np.float32)
    a, b = near(-20, 20), near(-20, 20)
    product = a.astype(np.float64) * b
    yield "random bits", bits(), bits(), bits()
    yield "cancellation", a, b, -product.astype(np.float32)
    yield "far apart", a, b, sign * (product * np.exp2(rng.integers(-60, 60, n))).astype(np.float32)
    # z + ulp / 2, and that plus or minus a product's last bits.
    z = near(0, 1)
    half = np.float32(2.0 ** -12) * (1 + rng.integers(-2, 3, n) * np.float32(2.0 ** -23))
    yield "ties", half, np.full(n, 2.0 ** -12, np.float32), sign * z
    yield "subnormal", near(-80, -60), near(-85, -65), sign * near(-149, -120)


def main():
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
        rng = np.random.default_rng(7)
        n = 1 << 20
        np.seterr(all="ignore")
        for name, *arrays in operands(rng, n):
            arrays = [np.ascontiguousarray(x) for x in arrays]
            mine, libm = np.empty(n, np.float32), np.empty(n, np.float32)
            refs = [MemRef(x.ctypes.data, x.ctypes.data, 0, n, 1) for x in (*arrays, mine)]
            library._mlir_ciface_expanded(*[ctypes.byref(ref) for ref in refs])
            library.reference(*[ctypes.c_void_p(x.ctypes.data) for x in (*arrays, libm)], ctypes.c_long(n))
            wrong = (mine.view(np.uint32) != libm.view(np.uint32)) & ~(np.isnan(mine) & np.isnan(libm))
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                raise SystemExit(f"{name}: fma({', '.join(float(x[i]).hex() for x in arrays)}) = "
                                 f"{float(mine[i]).hex()}, libm has {float(libm[i]).hex()}; {wrong.sum()} of {n}")
            print(f"PASS {name}")


main()
