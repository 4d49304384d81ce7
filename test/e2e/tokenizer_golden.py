# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Golden token ids, made with Hugging Face's tokenizers package.

    tokenizer_golden.py FILE           write test/runtime/data/tokenizer_golden.json
    tokenizer_golden.py --check FILE   exit 1 unless FILE has what tokenizers says

The models are small: trained here on the test texts. The file holds them once
and each case's other components beside its ids; the C++ test puts the parts of
a tokenizer.json together again. --check encodes with the models in FILE, so
that a change of the trainer does not matter.
"""

import json
import pathlib
import sys

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

TEXTS = [
    "",
    " ",
    "Hello, world! I'm sure they'LL say it's fine; don't you?",
    "  leading and trailing  ",
    "a  b   c    d \t\t e\n\n\nf\r\n g \n",
    "\n",
    "1234567890 3.14159 1,000,000 x86 \u00bd \u2167 \u00b2 \u0661\u0662\u0663",
    "def f(x):\n    return x ** 2  # comment\n\n\tif x:\r\n\t\tpass",
    "Caf\u00e9 na\u00efve \u00c5ngstr\u00f6m e\u0301 A\u030a\u0323 o\u0323\u0302 \u212b",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u8fd9\u662f\u4e00\u4e2a\u6d4b\u8bd5\u3002",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \u30ab\u30bf\u30ab\u30ca\u30fc",
    "\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8 \u1112\u1161\u11ab\u1100\u116e\u11a8",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\U0001f600\U0001f44d\U0001f3fd\U0001f1fa\U0001f1f8\u2764\ufe0f \U0001d4b3 \U00020000",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "a<|endoftext|>b <|endoftext|> c<s>d</s> <unk>",
    "\u180e\u200b\ufeff\u00a0x\u2003y\u3000z\u0085w\u2028v",
    "https://example.com/a?b=c&d=%20#f <b>&amp;</b> camelCaseWord HTTPServer",
    "\u0000\u0001\u001f\u007f\u0080",
    "'s 't 'S \u017fs 'ſ !!!???...---((( 100% $5",
    "\u2581already\u2581 \u2581\u2581x",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" + " " * 30 + "abababababababab",
    "foo food  foo  [MASK]  bar  xfoo foo",
]

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPACE = "\u2581"


def byte_level(use_regex=True, prefix=False):
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def split(expression, behavior="Isolated", kind="Regex", invert=False):
    return {
        "type": "Split",
        "pattern": {kind: expression},
        "behavior": behavior,
        "invert": invert,
    }


def pre(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def metaspace(scheme, do_split):
    return {
        "type": "Metaspace",
        "replacement": SPACE,
        "prepend_scheme": scheme,
        "split": do_split,
    }


def template(before, after):
    def special(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}

    single = [special(n) for n in before]
    single.append({"Sequence": {"id": "A", "type_id": 0}})
    single += [special(n) for n in after]
    return {"type": "TemplateProcessing", "single": single, "names": before + after}


def added(content, special=True, **flags):
    token = {"content": content, "special": special, "normalized": False}
    token.update({"single_word": False, "lstrip": False, "rstrip": False})
    token.update(flags)
    return token


CHAT = [added("<|endoftext|>"), added("<|im_start|>"), added("<|im_end|>")]
SPM = [added("<unk>"), added("<s>"), added("</s>")]
SPM_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}
TO_SPACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
LLAMA2 = {
    "type": "Sequence",
    "normalizers": [{"type": "Prepend", "prepend": SPACE}, TO_SPACE],
}
ODD = [
    added("foo", special=False, single_word=True),
    added("[MASK]", lstrip=True, rstrip=True),
    added("bar", special=False, normalized=True),
]


def case(name, model, pre_tokenizer, tokens, decoder, **parts):
    result = {"name": name, "model": model, "added": tokens}
    result.update({"pre_tokenizer": pre_tokenizer, "decoder": decoder})
    result.update({"normalizer": None, "post_processor": None, "options": {}})
    result.update(parts)
    return result


def cases():
    bytes_decoder = byte_level()
    digits = {"type": "Digits", "individual_digits": True}

    def b(name, pre_tokenizer, **parts):
        return case(name, "bytes", pre_tokenizer, CHAT, bytes_decoder, **parts)

    return [
        b("gpt2", byte_level()),
        b(
            "gpt2_prefix_and_template",
            byte_level(prefix=True),
            post_processor=template(["<|endoftext|>"], ["<|im_end|>"]),
        ),
        b("smollm", pre(digits, byte_level())),
        b(
            "llama3",
            pre(split(LLAMA3), byte_level(False)),
            options={"ignore_merges": True},
        ),
        b(
            "nfc",
            pre(split(GPT2), byte_level(False)),
            normalizer={"type": "NFC"},
        ),
        b("tekken", pre(split(TEKKEN), byte_level(False))),
        b(
            "many_splits",
            pre(
                split(r"[\r\n]"),
                split(r"\s+$"),
                split("a", "Removed", "String"),
                split(r"\p{N}{1,3}+", "MergedWithNext"),
                {"type": "Digits", "individual_digits": False},
                split(r"\w", "Contiguous", invert=True),
                {"type": "Punctuation", "behavior": "Contiguous"},
                byte_level(False),
            ),
        ),
        case("llama2", "fallback", None, SPM, SPM_DECODER, normalizer=LLAMA2,
             post_processor=template(["<s>"], [])),
        case("metaspace_first", "fallback", metaspace("first", False), SPM,
             metaspace("first", False)),
        case("metaspace_always", "fallback", metaspace("always", True), SPM,
             metaspace("always", True)),
        case("gemma", "fallback", split(" ", "MergedWithPrevious", "String"), SPM,
             SPM_DECODER, normalizer=TO_SPACE),
        case("no_fallback", "fallback", metaspace("never", True), SPM, None,
             options={"byte_fallback": False, "fuse_unk": True}),
        case("odd_added_tokens", "fallback", None, SPM + ODD, SPM_DECODER,
             normalizer=LLAMA2),
    ]  # fmt: skip


def train(fallback):
    tokenizer = Tokenizer(models.BPE(byte_fallback=fallback))
    if fallback:
        tokenizer.normalizer = normalizers.Replace(" ", SPACE)
        specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
        alphabet = []
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    else:
        specials = [t["content"] for t in CHAT]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=len(specials) + len(alphabet) + 160,
        min_frequency=1,
        limit_alphabet=60 if fallback else 256,
        special_tokens=specials,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    model["unk_token"] = "<unk>" if fallback else None
    return model


def complete(parts, all_models):
    """The tokenizer.json that a case stands for."""
    model = dict(all_models[parts["model"]], **parts["options"])
    ids = dict(model["vocab"])
    tokens = []
    for token in parts["added"]:
        ids.setdefault(token["content"], max(ids.values()) + 1)
        tokens.append(dict(token, id=ids[token["content"]]))
    post = parts["post_processor"]
    if post:
        post = dict(post)
        post["special_tokens"] = {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]}
            for name in post.pop("names")
        }
        post["pair"] = post["single"] + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        "normalizer": parts["normalizer"],
        "pre_tokenizer": parts["pre_tokenizer"],
        "post_processor": post,
        "decoder": parts["decoder"],
        "model": model,
    }


def golden(all_models):
    results = []
    for parts in cases():
        text = json.dumps(complete(parts, all_models))
        tokenizer = Tokenizer.from_str(text)
        ids = [tokenizer.encode(t).ids for t in TEXTS]
        decoded = {}
        for index, row in enumerate(ids):
            back = tokenizer.decode(row, skip_special_tokens=False)
            if back != TEXTS[index]:
                decoded[str(index)] = back
        results.append(dict(parts, ids=ids, decoded=decoded))
    return {"texts": TEXTS, "models": all_models, "cases": results}


def main():
    check = sys.argv[1] == "--check"
    path = pathlib.Path(sys.argv[-1])
    if check:
        have = json.loads(path.read_text(encoding="utf-8"))
        want = golden(have["models"])
        if have == want:
            return 0
        for old, new in zip(have["cases"], want["cases"]):
            if old != new:
                print(f"{path}: case {old['name']} differs", file=sys.stderr)
        return 1
    data = golden({"bytes": train(False), "fallback": train(True)})
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
