# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tokenizers of the families, against tokenizers and sentencepiece.

    tokenizer_families.py LIBRARY WORK_DIR [FAMILY ...]

LIBRARY is libcria_text as a shared object. For every family a small tokenizer
is trained here, with exactly the components that the family's tokenizer.json
has; cria must give the ids and the texts that the packages give:

  - from that tokenizer.json, against tokenizers;
  - from the tokenizer.json that cria's import makes of a GGUF file with the
    same vocabulary and the family's tokenizer.ggml.pre, against the same;
  - for the SentencePiece families from a tokenizer.model trained with their
    options: read by the runtime, and as the tokenizer.json that `cria compile`
    makes of it, against sentencepiece; the latter also against tokenizers.

Bytes that are not UTF-8 are nothing that the packages take: there the tokens'
bytes must be the text.
"""

import ctypes
import io
import json
import os
import struct
import subprocess
import sys

import models as small
import sentencepiece
import tokenizer_golden as golden
from tokenizer_golden import GPT2, LLAMA3, SPACE, TEKKEN, TO_SPACE
from tokenizer_golden import added, byte_level, metaspace, pre, split
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# As it stands in the file: a class inside a class, of which only Oniguruma
# makes sense.
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DIGITS = {"type": "Digits", "individual_digits": True}
NFC = {"type": "NFC"}
LLAMA2 = golden.LLAMA2

TEXTS = golden.TEXTS + [
    "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u0532\u0561\u0580\u0587 \u12a5\u1295\u12f4\u121d\u1295 \u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd\u0964 \u0f56\u0f0b\u0f51\u0f0d \u1793\u17b7\u1784 \u06d4\u060c",
    "Ti\u1ebfng Vi\u1ec7t, T\u00fcrk\u00e7e \u0130\u0131, \u0141\u00f3d\u017a, stra\u00dfe, \ufb01ne \u01c5 \u2160\u2161",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f4\U000e0067\U000e0062\U000e007f 1\ufe0f\u20e3 \u263a\ufe0e\U0001f926\U0001f3fc\u200d\u2642\ufe0f!!",
    "#include <stdio.h>\nint main(void) {\n\tprintf(\"%d\\n\", 0x1F);\n        return 0; // ok\n}\n",
    '{"key": [1, 2.5e-3, null, true], "other": {"a": "b\\u00e9"}}',
    "SELECT * FROM t WHERE a>=10 AND b!='x'; -- \u00bfqu\u00e9? \u00ab\u00bb \u2018q\u2019 \u201cq\u201d \u2014 \u2026",
    "          ten\t\ttabs\n\n\n\n   \r\n\r\n x\u3000\u3000y \u2009z ",
    "x = {  'a':1,   \"b\" :  2 }   ;    y=12345678901 007 1.000.000,00 \u0967\u0968\u0969 \u2462 \u00b2\u00b3\u00b9\u00bc",
    "I'LL we'Ve don\u2019t 'tis rock'n'roll HTTPServerXML fooBarBaz snake_case_name ALLCAPS",
    "$5 + 3 = 8 <=> ~5 ^ 2 | 7 `code` a@b.c #tag 50% \u20ac3 \u00a310 \u221a2 \u2260 \u2192",
    "e\u0301\u0323\u0308 \u1e9b\u0323 \uac00\u11a8 \u0344 \u2126 \U0001d15e q\u0307\u0323",
    "\ufffd \ufffe \U0010ffff \u200d\u200c \u202eabc\u202c \ufeffbom",
    # Newer than the tables of the tokenizers package.
    "x\u0c3c\u0334 \u0e01\u1ac5\u0323 \U00011935\U00011930 a\u2e45b \u2e52? \u166d. \U000111c9!",
    "foo\u200dbar \u2461foo \u00b9foo foo\u2462 foo_ foo\u0301 (foo) foo\u24b6 xfoo",
    " a", "a ", "\na", "\t", "a\n", "  \n  ", ".", "1", "\u00e9",
]  # fmt: skip
BROKEN = [
    b"\xff", b"a\xffb", b"caf\xc3", b"\xe4\xbd \xa0", b"ok \xf0\x9f\x98 \xf0\x9f\x98\x80",
    b"\xc0\x80\xed\xa0\x80 x\xf5\x80", b"\x80\x81\x82 tail", b"12\xfe34\n\xff\xff",
]  # fmt: skip


def text_of(*specials):
    """Special tokens in the places that matter."""
    out = []
    for name in specials:
        out += [name, f"a{name}b", f"a {name} b", f"{name}{name}", f"\n{name}\n x"]
    return out + ["".join(specials), " ".join(specials)]


def bpe(name, pre_tokenizer, specials, normalizer=None, before=(), after=(), **more):
    family = dict(name=name, pre_tokenizer=pre_tokenizer, normalizer=normalizer)
    family.update(specials=specials, before=list(before), after=list(after))
    family.update(options={}, tokens=[], decoder=byte_level(), gguf=None)
    family.update(more)
    return family


def runs(character, low, high, **flags):
    return [added(character * n, special=False, **flags) for n in range(high, low, -1)]


def byte_level_families():
    pieces = pre(split(LLAMA3), byte_level(False))
    inverted = pre(split(LLAMA3, "Removed", invert=True), byte_level(False))
    one_digit = pre(split(QWEN2), byte_level(False))
    digits = pre(DIGITS, byte_level())
    end = ["<|endoftext|>"]
    chat = end + ["<|im_start|>", "<|im_end|>"]
    llama3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>"]
    neox_spaces = runs(" ", 1, 24, normalized=True)
    think = [added(t, special=False) for t in ("<think>", "</think>", "<tool_call>")]
    merged = dict(options={"ignore_merges": True})
    return [
        bpe("gpt2", byte_level(), [], gguf="gpt-2",
            tokens=[added(end[0], normalized=True)]),
        bpe("gptj", byte_level(), end, gguf="gpt-2",
            tokens=[added("<|extratoken_1|>", False, normalized=True)]),
        bpe("gpt_neox", byte_level(), end + ["<|padding|>"], NFC, tokens=neox_spaces),
        bpe("mpt", byte_level(), end + ["<|padding|>"], NFC, gguf="mpt",
            tokens=neox_spaces + [added(t) for t in chat[1:]]),
        bpe("olmo", byte_level(), end + ["<|padding|>"], NFC, gguf="olmo", after=end,
            tokens=[added("|||IP_ADDRESS|||", False)] + neox_spaces),
        bpe("olmo2", inverted, end, gguf="dbrx",
            tokens=[added("<|fim_prefix|>"), added("|||PHONE_NUMBER|||", False)]),
        bpe("phi2", byte_level(), end, gguf="phi-2",
            tokens=runs(" ", 1, 31, normalized=True) + runs("\t", 1, 9, normalized=True)),
        bpe("falcon",
            pre({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")),
            [">>TITLE<<", ">>ABSTRACT<<", "<|endoftext|>"], gguf="falcon"),
        bpe("bloom", pre(split(BLOOM), byte_level(False)),
            ["<unk>", "<s>", "</s>", "<pad>"], gguf="bloom"),
        bpe("llama3", pieces, llama3, before=llama3[:1], gguf="llama-bpe", **merged),
        bpe("smollm", digits, chat, gguf="smollm"),
        bpe("smollm3", pieces, llama3 + chat[1:], tokens=think, gguf="llama-bpe", **merged),
        bpe("qwen2", one_digit, chat, NFC, gguf="qwen2"),
        bpe("qwen3", one_digit, chat, NFC, tokens=think, gguf="qwen2"),
        bpe("mistral_tekken", pre(split(TEKKEN), byte_level(False)),
            ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], before=["<s>"],
            gguf="tekken", **merged),
        bpe("stablelm2", one_digit, chat, NFC, gguf="stablelm2"),
        bpe("stablelm2_instruct", pre(split(QWEN2, "Removed", invert=True), byte_level(False)),
            chat),
        bpe("cohere", digits, ["<PAD>", "<UNK>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"], NFC,
            before=["<BOS_TOKEN>"], gguf="command-r"),
        bpe("granite", digits, ["<|end_of_text|>", "<fim_prefix>", "<|start_of_role|>"],
            gguf="refact"),
        # No family's, but what its neighbours may hold.
        bpe("classes_inside_classes",
            pre(*map(split, [r"[[a-c]-z]", r"[x[-.]/]+", r"[\d[()\]]k-m]{2,3}", 
                             r"[^[\s[A-Z]]\w]+", "[[q]]"]), byte_level(False)), end,
            tokens=[added("foo", False, single_word=True), added("|", False, lstrip=True)]),
    ]  # fmt: skip


def fallback_families():
    """SentencePiece BPE with byte fallback, in Hugging Face's form."""
    tail = golden.SPM_DECODER["decoders"]
    kept = {"type": "Sequence", "decoders": tail[:3]}
    spm = ["<unk>", "<s>", "</s>"]
    gemma = ["<pad>", "<eos>", "<bos>", "<unk>"]
    phi3 = [added(t, rstrip=True) for t in ("<|assistant|>", "<|user|>", "<|end|>")]
    gemma_texts = runs("\n", 1, 8) + runs(SPACE, 1, 8)
    gemma_texts += [added(t, False) for t in ("<table>", "</table>", "<b>")]
    turns = [added("<start_of_turn>"), added("<end_of_turn>")]

    def f(name, normalizer, pre_tokenizer, before, **more):
        return bpe(name, pre_tokenizer, more.pop("specials", spm), normalizer, before,
                   decoder=more.pop("decoder", golden.SPM_DECODER),
                   options={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
                   **more)  # fmt: skip

    llama = dict(split_digits=True, add_dummy_prefix=True)
    no_prefix = dict(split_digits=True, add_dummy_prefix=False)
    return [
        f("llama2", LLAMA2, None, ["<s>"], spm=llama),
        f("mistral_v1", LLAMA2, None, ["<s>"], spm=llama),
        f("llama2_not_legacy", None, metaspace("first", False), ["<s>"]),
        f("mistral_v3", None, metaspace("first", False), ["<s>"],
          tokens=[added(t) for t in ("[INST]", "[/INST]", "[TOOL_CALLS]")],
          spm=dict(llama, control_symbols=["[INST]", "[/INST]", "[TOOL_CALLS]"])),
        f("phi3", LLAMA2, None, [], tokens=[added("<|endoftext|>")] + phi3, spm=llama),
        f("gemma", TO_SPACE, None, ["<bos>"], specials=gemma, decoder=kept,
          tokens=turns + gemma_texts,
          spm=dict(no_prefix, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>",
                   bos_piece="<bos>", eos_piece="<eos>",
                   user_defined_symbols=[t["content"] for t in turns + gemma_texts])),
        f("gemma2", TO_SPACE, split(" ", "MergedWithPrevious", "String"), ["<bos>"],
          specials=gemma, decoder=kept, tokens=turns + gemma_texts),
        f("gemma3", TO_SPACE, split(" ", "MergedWithPrevious", "String"), ["<bos>"],
          specials=gemma, decoder=kept,
          tokens=turns + [added("<start_of_image>")] + gemma_texts),
    ]  # fmt: skip


def train(family):
    """The tokenizer.json of a family."""
    fallback = family["options"].get("byte_fallback")
    tokenizer = Tokenizer(models.BPE(byte_fallback=bool(fallback)))
    specials = [added(name) for name in family["specials"]]
    names = [token["content"] for token in specials]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if fallback:
        names += [f"<0x{byte:02X}>" for byte in range(256)]
        names += [t["content"] for t in family["tokens"] if SPACE in t["content"]]
        alphabet = []
        parts = {"normalizer": TO_SPACE, "pre_tokenizer": split(SPACE, "MergedWithNext", "String")}
    else:
        parts = {key: family[key] for key in ("normalizer", "pre_tokenizer")}
    empty = json.loads(tokenizer.to_str())
    tokenizer = Tokenizer.from_str(json.dumps({**empty, **parts}))
    trainer = trainers.BpeTrainer(
        vocab_size=len(names) + len(alphabet) + 500,
        min_frequency=1,
        limit_alphabet=120 if fallback else 256,
        special_tokens=names,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if fallback:  # runs of spaces are tokens that merges make, as in Gemma's file
        spaces = [t["content"] for t in family["tokens"] if SPACE in t["content"]]
        model["merges"] = [
            [run[:n], run[n:]]
            for run in sorted(spaces, key=len)
            for n in range(len(run) - 1, 0, -1)
            if SPACE * n in model["vocab"]
        ] + model["merges"]
        model["vocab"].setdefault(SPACE, max(model["vocab"].values()) + 1)
    model.update(family["options"])
    post = None
    if family["before"] or family["after"]:
        post = golden.template(family["before"], family["after"])
    return golden.complete(
        dict(model="it", options={}, added=specials + family["tokens"],
             post_processor=post, **{k: family[k] for k in ("normalizer", "pre_tokenizer", "decoder")}),
        {"it": model},
    )  # fmt: skip


class Cria:
    """The C interface of libcria_text."""

    ADD_SPECIAL, PLAIN_TEXT = 1, 2

    class Error(ctypes.Structure):
        _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 1020)]

    def __init__(self, library):
        self.c = ctypes.CDLL(library)
        self.c.cria_tokenizer_token_bytes.restype = ctypes.POINTER(ctypes.c_ubyte)

    def check(self, status, error):
        if status:
            raise ValueError(error.message.decode("utf-8", "replace"))

    def load(self, path, kind=None):
        handle, error = ctypes.c_void_p(), self.Error()
        if kind == "sentencepiece":
            self.check(self.c.cria_tokenizer_load_sentencepiece(
                path.encode(), None, ctypes.byref(handle), ctypes.byref(error)), error)
        else:
            self.check(self.c.cria_tokenizer_load(
                path.encode(), ctypes.byref(handle), ctypes.byref(error)), error)
        return handle

    def encode(self, handle, data, flags=ADD_SPECIAL):
        ids, count, error = (ctypes.c_int32 * (8 * len(data) + 16))(), ctypes.c_size_t(), self.Error()
        self.check(self.c.cria_tokenizer_encode(
            handle, data, ctypes.c_size_t(len(data)), flags, ids, ctypes.c_size_t(len(ids)),
            ctypes.byref(count), ctypes.byref(error)), error)
        return ids[:count.value]

    def decode(self, handle, ids, flags=1):
        text = ctypes.create_string_buffer(256 * len(ids) + 16)
        size, error = ctypes.c_size_t(), self.Error()
        self.check(self.c.cria_tokenizer_decode(
            handle, (ctypes.c_int32 * len(ids))(*ids), ctypes.c_size_t(len(ids)), flags, text,
            ctypes.c_size_t(len(text)), ctypes.byref(size), ctypes.byref(error)), error)
        return text.raw[:size.value].decode()

    def bytes_of(self, handle, ids):
        size, out = ctypes.c_size_t(), b""
        for token in ids:
            start = self.c.cria_tokenizer_token_bytes(handle, token, ctypes.byref(size))
            out += ctypes.string_at(start, size.value)
        return out


class Report:
    def __init__(self):
        self.failures = self.checks = 0

    def equal(self, what, text, have, want):
        self.checks += 1
        if have == want:
            return
        self.failures += 1
        if self.failures <= 40:
            print(f"{what}: {text!r}\n  cria {have}\n  want {want}", file=sys.stderr)

    def fail(self, what):
        self.equal(what, "", "error", "none")


def compare(report, name, cria, handle, reference, texts):
    """cria against tokenizers, both ways."""
    for text in texts:
        want = reference.encode(text).ids
        have = cria.encode(handle, text.encode())
        report.equal(name, text, have, want)
        for skip in (False, True):
            report.equal(f"{name}, decoded", text, cria.decode(handle, want, 0 if skip else 1),
                         reference.decode(want, skip_special_tokens=skip))  # fmt: skip


def check_broken(report, name, cria, handle):
    for data in BROKEN:
        ids = cria.encode(handle, data, 0)
        back = cria.bytes_of(handle, ids)
        # A space may have been put in front.
        report.equal(f"{name}, not UTF-8", data, back.lstrip(b" "), data)


def check_json(report, cria, family, work):
    name, file = family["name"], os.path.join(work, family["name"] + ".json")
    document = train(family)
    family["document"] = document
    with open(file, "w", encoding="utf-8") as out:
        json.dump(document, out, ensure_ascii=False)
    family["reference"] = Tokenizer.from_str(json.dumps(document))
    family["texts"] = TEXTS + text_of(*[t["content"] for t in document["added_tokens"]][:12])
    try:
        handle = cria.load(file)
    except ValueError as error:
        report.fail(f"{name}: {error}")
        return
    compare(report, name, cria, handle, family["reference"], family["texts"])
    check_broken(report, name, cria, handle)


SIZES = dict(layers=1, hidden=32, heads=2, kv_heads=1, ffn=32, context=64)
NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4  # as in GGUF


def imported(model):
    """The tokenizer.json that cria's import makes of a model."""
    path = model + ".tokenizer.json"
    result = subprocess.run(["cria-import-test", "--no-module", model, "--tokenizer", path],
                            capture_output=True, text=True)  # fmt: skip
    if result.returncode:
        raise ValueError(result.stderr.strip())
    return path


def array(kind, values):
    """A GGUF array of strings (8), int32 (5) or float32 (6)."""
    if kind == 8:
        data = b"".join(struct.pack("<Q", len(v)) + v for v in (t.encode() for t in values))
    else:
        data = struct.pack(f"<{len(values)}" + {5: "i", 6: "f"}[kind], *values)
    return 9, struct.pack("<IQ", kind, len(values)) + data


def write_gguf(path, keys, vocab):
    file = small.Gguf({**SIZES, "vocab": vocab})
    file.values.update({"tokenizer.ggml." + key: value for key, value in keys.items()})
    with open(path, "wb") as out:
        out.write(file.bytes())


def check_gguf(report, cria, family, work):
    document, name = family["document"], f"{family['name']}, GGUF"
    vocab = dict(document["model"]["vocab"])
    types = [NORMAL] * (1 + max(t["id"] for t in document["added_tokens"] + [{"id": len(vocab) - 1}]))
    for token in document["added_tokens"]:
        vocab[token["content"]] = token["id"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    tokens = sorted(vocab, key=vocab.get)
    merges = [m if isinstance(m, str) else " ".join(m) for m in document["model"]["merges"]]
    keys = {
        "model": (8, "gpt2"), "pre": (8, family["gguf"]), "tokens": array(8, tokens),
        "token_type": array(5, types), "merges": array(8, merges),
        "add_bos_token": (7, bytes([bool(family["before"])])),
        "add_eos_token": (7, bytes([bool(family["after"])])),
    }  # fmt: skip
    for key, names in (("bos_token_id", "before"), ("eos_token_id", "after")):
        if family[names]:
            keys[key] = small.U32, vocab[family[names][0]]
    path = os.path.join(work, family["name"] + ".gguf")
    write_gguf(path, keys, len(tokens))
    try:
        handle = cria.load(imported(path))
    except ValueError as error:
        report.fail(f"{name}: {error}")
        return
    compare(report, name, cria, handle, family["reference"], family["texts"])


def train_sentencepiece(options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t for t in TEXTS if "\0" not in t] * 2), model_writer=out,
        model_type="bpe", vocab_size=900, character_coverage=0.98, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, minloglevel=2, num_threads=1,
        **options)  # fmt: skip
    return out.getvalue()


def check_pieces(report, name, cria, handle, processor, texts):
    """cria against sentencepiece, which looks for no control pieces."""
    for text in texts:
        want = processor.encode(text)
        report.equal(name, text, cria.encode(handle, text.encode(), cria.PLAIN_TEXT), want)
        if want:
            report.equal(f"{name}, decoded", text, cria.decode(handle, want),
                         processor.decode(want))  # fmt: skip


def check_sentencepiece(report, cria, family, work):
    name, folder = family["name"], os.path.join(work, family["name"])
    data = train_sentencepiece(family["spm"])
    processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    count = processor.get_piece_size()
    # What the model does not have stands in tokenizer_config.json.
    more = [t for t in family["tokens"] if processor.piece_to_id(t["content"]) == processor.unk_id()]
    more = {str(count + index): token for index, token in enumerate(more)}
    small.write_hf(folder, {**SIZES, "vocab": count + len(more)})
    path = os.path.join(folder, "tokenizer.model")
    with open(path, "wb") as out:
        out.write(data)
    settings = {"added_tokens_decoder": more, "add_bos_token": bool(family["before"])}
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as out:
        json.dump(settings, out)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config.update(bos_token_id=processor.bos_id(), eos_token_id=processor.eos_id())
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out)
    texts = family["texts"]
    try:
        handle = cria.load(path, "sentencepiece")
        check_pieces(report, f"{name}, tokenizer.model", cria, handle, processor, texts)
        converted = imported(folder)
        handle = cria.load(converted)
    except ValueError as error:
        report.fail(f"{name}, tokenizer.model: {error}")
        return
    check_pieces(report, f"{name}, imported", cria, handle, processor, texts)
    reference = Tokenizer.from_file(converted)
    compare(report, f"{name}, imported", cria, handle, reference, texts)
    check_broken(report, f"{name}, imported", cria, handle)
    start = [processor.bos_id()] if family["before"] else []
    report.equal(f"{name}, imported", "bos", cria.encode(handle, b""), start)

    pieces = range(count)
    types = [UNKNOWN if processor.is_unknown(i) else CONTROL if processor.is_control(i)
             else 6 if processor.is_byte(i) else NORMAL for i in pieces]  # fmt: skip
    for symbol in family["spm"].get("user_defined_symbols", []):
        types[processor.piece_to_id(symbol)] = USER_DEFINED
    keys = {
        "model": (8, "llama"),
        "tokens": array(8, [processor.id_to_piece(i) for i in pieces]),
        "scores": array(6, [processor.get_score(i) for i in pieces]),
        "token_type": array(5, types),
        "add_space_prefix": (7, bytes([family["spm"]["add_dummy_prefix"]])),
    }
    path = folder + ".gguf"
    write_gguf(path, keys, count)
    try:
        handle = cria.load(imported(path))
    except ValueError as error:
        report.fail(f"{name}, GGUF: {error}")
        return
    check_pieces(report, f"{name}, GGUF", cria, handle, processor, texts)


def check_settings(report, cria, family, work):
    """Ends of a text that a folder's other files name."""
    document, name = family["document"], f"{family['name']}, folder"
    folder = os.path.join(work, family["name"])
    ids = {t["content"]: t["id"] for t in document["added_tokens"]}
    begin, end, turn = family["specials"][:3]
    small.write_hf(folder, {**SIZES, "vocab": len(document["model"]["vocab"]) + 16})

    def write(file, what):
        with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
            json.dump(what, out)

    write("tokenizer.json", document)
    write("generation_config.json", {"eos_token_id": [ids[end], ids[turn]]})
    # With a tokenizer.json that alone decides what is added, as transformers
    # has it.
    write("tokenizer_config.json",
          {"add_bos_token": False, "bos_token": begin, "add_eos_token": True, "eos_token": end})
    try:
        handle = cria.load(imported(folder))
    except ValueError as error:
        report.fail(f"{name}: {error}")
        return
    report.equal(name, "", cria.encode(handle, b""), [ids[t] for t in family["before"]])
    ends = [i for i in ids.values() if cria.c.cria_tokenizer_is_eos(handle, i)]
    report.equal(name, "generation_config.json", sorted(ends), sorted({2, ids[end], ids[turn]}))


def main():
    library, work, *only = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    cria, report = Cria(library), Report()
    families = [f for f in byte_level_families() + fallback_families()
                if not only or f["name"] in only]  # fmt: skip
    for family in families:
        check_json(report, cria, family, work)
        if family["gguf"]:
            check_gguf(report, cria, family, work)
        if family["name"] in ("llama3", "cohere", "qwen2"):
            check_settings(report, cria, family, work)
        if family.get("spm"):
            check_sentencepiece(report, cria, family, work)
    print(f"{len(families)} families, {report.checks} comparisons, {report.failures} differ")
    return report.failures != 0


if __name__ == "__main__":
    sys.exit(main())
