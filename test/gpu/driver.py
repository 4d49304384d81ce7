# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the runtime says of drivers and GPUs that do not do.

    driver.py WORK_DIR
"""

import os
import subprocess
import sys

import emulation

TOKENS = "1,2,3"


def attempt(artifact, output, device, **environment):
    return subprocess.run(
        ["cria", "logits", artifact, "--tokens", TOKENS, "-o", output,
         "--device", device], env={**os.environ, **environment}, text=True,
        capture_output=True, check=False)


def main():
    work = sys.argv[1]
    fake = emulation.build_fake(os.path.join(work, "driver"))
    both, alone = os.path.join(work, "both"), os.path.join(work, "alone")
    for folder, target in [(both, "native,sm_90a,sm_80"), (alone, "native")]:
        emulation.run("cria-compile", emulation.MODEL, "--seed", "5",
                      "--context", "256", "--target", target, "-o", folder,
                      stdout=subprocess.DEVNULL)
    output = os.path.join(work, "out.npy")
    driver = {"LD_LIBRARY_PATH": fake}

    def refused(device, words, artifact=both, **environment):
        """Exit code 1, one line with these words; auto takes the CPU."""
        done = attempt(artifact, output, device, **environment)
        lines = done.stderr.splitlines()
        assert done.returncode == 1 and len(lines) == 1, (device, done)
        for word in words:
            assert word in lines[0], (word, lines[0])

    def falls_back(words, **environment):
        done = attempt(both, output, "auto", **environment)
        assert done.returncode == 0, done
        assert "the CPU runs the model" in done.stderr, done
        for word in words:
            assert word in done.stderr, (word, done.stderr)

    cases = [
        # no driver at all
        (["no NVIDIA driver", "libcuda.so.1"],
         {"LD_LIBRARY_PATH": os.path.join(work, "nothing")}),
        # a driver and no GPU
        (["finds no GPU"], {**driver, "FAKE_CUDA_COUNT": "0"}),
        # a driver older than the PTX
        (["make machine code", "sm_80", "CUDA 12.4", "newer",
          "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"],
         {**driver, "FAKE_CUDA_COMPUTE": "86",
          "FAKE_CUDA_FAIL": "cuModuleLoadDataEx=222"}),
        # an older GPU
        (["compute capability 7.5", "sm_90a, sm_80", "at most sm_75"],
         {**driver, "FAKE_CUDA_COMPUTE": "75"}),
        # too little memory: for the weights, and later
        (["no memory for", "of weights", "1000 of 1000 are free"],
         {**driver, "FAKE_CUDA_MEMORY": "1000"}),
        (["no memory for", "of keys"],
         {**driver, "FAKE_CUDA_FAIL": "cuMemAlloc_v2=2@2"}),
        (["cannot make a stream"],
         {**driver, "FAKE_CUDA_FAIL": "cuStreamCreate=999"}),
    ]
    for words, environment in cases:
        refused("cuda", words, **environment)
        falls_back(words, **environment)

    # While it runs, nothing can fall back.
    for function in ["cuLaunchCooperativeKernel=719", "cuStreamSynchronize=700@2"]:
        for device in ["cuda", "auto"]:
            refused(device, ["run the kernel" if "700" in function else
                             "launch the kernel"],
                    **{**driver, "FAKE_CUDA_FAIL": function})

    refused("cuda:1", ["cuda:1", "finds 1 GPU"], **driver)
    refused("gpu", ["\"gpu\"", "cpu, cuda, cuda:N and auto"], **driver)
    refused("cuda", ["has code for no GPU"], artifact=alone, **driver)
    # Without code for a GPU, auto says nothing.
    done = attempt(alone, output, "auto", **driver)
    assert done.returncode == 0 and not done.stderr, done

    # All is given back: the fake stops the program where something is not.
    for compute in ["80", "90", "100"]:
        done = attempt(both, output, "cuda",
                       **{**driver, "FAKE_CUDA_COMPUTE": compute})
        assert done.returncode == 0 and not done.stderr, done
    print("as expected")


main()
