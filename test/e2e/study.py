# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the JSON and the page of `cria bench --study`.

    study.py FILE.json FILE.html
"""

import json
import re
import sys
from html.parser import HTMLParser


class Page(HTMLParser):
    """Counts elements, and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.count = [], {}

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        found = json.load(file)
    figures = [f for s in found["studies"] for f in s["figures"]]
    for figure in figures:
        xs = [[p["x"] for p in line["points"]] for line in figure["lines"]]
        assert all(each == xs[0] and each == sorted(each) for each in xs), xs
        for line in figure["lines"]:
            for p in line["points"]:
                assert 0 < p["min"] <= p["median"] <= p["max"], (figure, p)

    # What is computed is known: the cache of 8, 2 and 1 heads, the recomputed
    # one of one layer of two.
    heads = figures[3]["lines"]
    a, b, c = (line["points"][-1]["median"] for line in heads)
    assert abs(a / b - 4) < 1e-6 and abs(a / c - 8) < 1e-6, (a, b, c)
    kept, passing = (line["points"][0]["median"] for line in figures[1]["lines"])
    assert abs(kept / passing - 2) < 1e-6, (kept, passing)
    # What is measured is noisy, but 257 tokens take longer than one.
    cached, again = (line["points"][-1]["median"] for line in figures[0]["lines"])
    assert again > 2 * cached, (cached, again)

    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open, page.open
    assert page.count["svg"] == page.count["table"] == len(figures), page.count
    assert not re.search(r"<script|https?:|src=|url\(|@import|nan|inf\b", text)
    print(f"{len(found['studies'])} studies, {len(figures)} figures")


main()
