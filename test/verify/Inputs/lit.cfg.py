# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A suite of what cria verify wrote: cria-verify is found on PATH."""
import os

import lit.formats

config.name = "reproducers"
config.test_format = lit.formats.ShTest()
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.environment["CRIA_BUG"] = os.environ.get("CRIA_BUG", "")
