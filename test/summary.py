# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Adds up test results: summary.py FILE...

A FILE is ctest's JUnit file (*.xml) or lit's result file (*.json). Prints the
tests that were skipped or failed and, as the last line, the sums. Exits 1 where
a test failed, a file is missing or nothing passed.
"""

import json
import re
import sys
import xml.etree.ElementTree as xml

PASSED = {"PASS", "FLAKYPASS", "XFAIL"}
SKIPPED = {"UNSUPPORTED", "SKIPPED", "EXCLUDED"}


def read_junit(path):
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.get("status") == "run":
            yield case.get("name"), "passed", ""
        elif case.get("status") in ("notrun", "disabled"):
            found = case.find("skipped")
            why = found.get("message", "") if found is not None else ""
            # A program that was not built is a failure, not a choice.
            kind = "skipped" if "SKIP" in why or why == "Disabled" else "failed"
            yield case.get("name"), kind, skip_reason(case) or why
        else:
            yield case.get("name"), "failed", ""


def skip_reason(case):
    """What GTEST_SKIP() << ... said: the line before the verdict."""
    out = case.findtext("system-out") or ""
    found = re.search(r"Skipped\n(.+)", out)
    return found.group(1).strip() if found else ""


def read_lit(path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    for test in results["tests"]:
        kind = ("passed" if test["code"] in PASSED else
                "skipped" if test["code"] in SKIPPED else "failed")
        # Of an unsupported test lit gives the features that it lacks.
        why = test.get("output", "").strip() if kind == "skipped" else ""
        yield test["name"], kind, why.splitlines()[0] if why else ""


def main():
    sums = {"passed": 0, "failed": 0, "skipped": 0}
    listed = []
    for path in sys.argv[1:]:
        try:
            read = read_lit if path.endswith(".json") else read_junit
            for name, kind, why in read(path):
                sums[kind] += 1
                if kind != "passed":
                    listed.append((kind, name, why))
        except (OSError, ValueError, KeyError, xml.ParseError) as error:
            sums["failed"] += 1
            listed.append(("failed", path, f"no results: {error}"))
    # Failures last, where they are seen.
    for kind, name, why in sorted(listed, key=lambda item: item[0] == "failed"):
        print(f"{kind}: {name}" + (f" ({why})" if why else ""))
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**sums))
    return 1 if sums["failed"] or not sums["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
