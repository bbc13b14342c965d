"""Tokenizers of every family: the ids are those of transformers, for hostile texts and for beginnings of long ones."""

import base64
import json
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import tokenizers
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_tokenizers import GPT2_PIECES, KINDS, tiny_tokenizer
from tokenizers import models

from export.encoder.load import plain_tokenizer
from scorer.base.errors import BundleError
from scorer.model.cleaning import BR_TAG
from scorer.model.cutting import NOWHERE, Cutting, cutting
from scorer.model.tokenizer import Tokenizer

LENGTH = 12
SPACE = "\u2581"


def file_of(tokenizer: Any, clean_text: bool = False) -> bytes:
    """The tokenizer's file as a bundle has it."""
    return plain_tokenizer(tokenizer.backend_tokenizer.to_str(), clean_text=clean_text)


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory):
    """The tokenizer under test, and that of transformers, loaded from a saved checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_tokenizer(request.param).save_pretrained(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    return Tokenizer(file_of(theirs), LENGTH), theirs


SPECIAL = [
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<mask>",
    "[MASK]",
    "[CLS]",
    "[SEP]",
    "[PAD]",
    "[UNK]",
    "<extra_id_0>",
    "<0x0A>",
]
MARKS = [
    "\u0301",
    "e\u0301",
    "\u0338",
    "\u0600",
    "\u0e33",
    "\u0d4e",
    "\uff76",
    "\uff9e",
    "\u304b\u3099",
    "\u1100",
    "\u1161",
    "\u11a8",
]
INVISIBLE = ["\u200b", "\u200d", "\ufeff", "\u202e", "\u2028", "\x00", "\x1c", "\x7f", "\x85", "\xad"]
BLANKS = [" ", " ", " ", "  ", "\n", "\t", "\r", "\r\n", "\u00a0", "\u3000", "\u1680", " " * 300, "\n\n \t" * 90]
WORDS = [
    "good",
    "film",
    "Lovely",
    ",",
    "!",
    "'s",
    "``",
    "''",
    '"',
    "1999",
    "\u00bd",
    "x" * 40,
    "goodfilm" * 40,
    "!" * 50,
    SPACE,
]
SCRIPTS = [
    "\u96fb\u5f71",
    "\u96fb\u5f71\u3001" * 30,
    "\uc601\ud654",
    "\u0444\u0438\u043b\u044c\u043c",
    "\u0627\u0644\u0641",
    "\ufdfa",
    "\ufb01",
]
EMOJI = [
    "\U0001f3ac",
    "\U0001f468\u200d\U0001f469",
    "\U0001f3fd",
    "\U0001f1e9",
    "\U0001f1ea",
    "\u00b4",
    "\u203e",
    "\u0130",
    "\u00df",
]
# Parts of tags and entities, and what separates or joins them.
MARKUP = [
    "<p", "<p>", "</b", "<b>", "</b>", "<b<i></i>", "<i<br/>", "</", "<i a=b", " class='x y'", "=", ' href="', '"', "&lt;", "&lt;br",
    "&#60;b", "/&gt;", "&gt;", "&gt", "&quot;", "&quot", "&amp;", "&amp", "&", ";", "&#39;", "#", "39;", "&nbsp;", "&#x27;", "&hellip;",
    "quot;", "lt;", "\x07", "\x0b", "\x0c", "\x1c", "\x85", "\x93", "\u2019", "\u2014",
]  # fmt: skip
TAGS = ["<br />", "<br", "br", "/>", "<", ">", "\uff1cbr \uff1e"]
PIECES = st.sampled_from([*SPECIAL, *MARKS, *INVISIBLE, *BLANKS, *WORDS, *SCRIPTS, *EMOJI, *TAGS, *MARKUP])
TEXTS = st.one_of(
    st.lists(PIECES, min_size=1, max_size=60).map("".join),
    # Few different pieces, again and again, as in texts that defeat a cut.
    st.lists(PIECES, min_size=1, max_size=4, unique=True).flatmap(
        lambda few: st.lists(st.sampled_from(few), min_size=40, max_size=200).map("".join)
    ),
)
HOSTILE = [
    "", " ", "\n", SPACE, SPACE * 3, f"good{SPACE}film", "\u0301", "\u0301" * 500, "\u200b", "\u200b" * 500, "\x00", "\x00" * 500,
    "\u202e\u0627\u0644\u0641\u064a\u0644\u0645 \u062c\u064a\u062f", "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 200, "x" * 5000,
    "good" + " " * 5000, " " * 5000 + "good", "\t" * 5000, "\r\n" * 2500, "\r" * 5000, "good\u00a0film", "good\u3000film" * 300,
    *SPECIAL, *(f"good {token} film{token}" for token in SPECIAL), *(token * 200 for token in SPECIAL),
    "goodfilm" * 500, "!" * 5000, "\u96fb\u5f71" * 2000, "\u96fb\u5f71\u3001" * 2000, "good " * 2000, "good\nfilm\n" * 1000,
    "\U0001f3ac " * 1000, "\u0444\u0438\u043b\u044c\u043c " * 500, "<br />" * 500, "a <br" + " " * 400 + "/> b" * 300,
]  # fmt: skip


def is_the_same(ours: Tokenizer, theirs: Any, text: str) -> None:
    expected = theirs(text, truncation=True, max_length=LENGTH)["input_ids"]
    found = ours.encode([text])
    assert found.ids[0].tolist() == expected
    assert found.truncated == [len(theirs(text)["input_ids"]) > LENGTH]


@settings(max_examples=150)
@given(TEXTS)
@example("good <mask>" + " " * 400 + "[MASK] film" * 60)
@example("\u0600 good " * 100)
@example("good'' ``film " * 100)
def test_the_ids_are_those_of_transformers(both, text):
    is_the_same(*both, text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_the_ids_of_a_hostile_text_are_those_of_transformers(both, text):
    is_the_same(*both, text)


class Variant(NamedTuple):
    """A kind of tokenizer, changed as some published ones are."""

    kind: str
    change: Callable[[dict[str, Any]], Any]


def metaspace(**options: Any) -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True, **options}


def sequence(kind: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", kind: list(steps)}


def replace(pattern: str, content: str, regex: bool = False) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": pattern}, "content": content}


def split(pattern: str) -> dict[str, Any]:
    pieces = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return sequence("pretokenizers", pieces, byte_level)


LATER_PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PREPENDED = sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE))


def with_an_added_token(content: str, **options: Any) -> Callable[[dict[str, Any]], Any]:
    def change(file: dict[str, Any]) -> None:
        file["added_tokens"].append(
            {**file["added_tokens"][0], "id": 500, "content": content, "special": False, **options}
        )

    return change


VARIANTS = {
    "uncased deberta": Variant("deberta", lambda file: file["normalizer"]["normalizers"].insert(0, {"type": "Lowercase"})),
    "deberta by punctuation": Variant(
        "deberta",
        lambda file: file["pre_tokenizer"]["pretokenizers"].insert(0, {"type": "Punctuation", "behavior": "Isolated"}),
    ),
    "t5 without prefix": Variant("t5", lambda file: file.update(pre_tokenizer=metaspace(prepend_scheme="never"))),
    "t5 of runs": Variant(
        "t5", lambda file: file.update(normalizer=sequence("normalizers", file["normalizer"], replace(" {2,}", SPACE, True)))
    ),
    "unigram as one piece": Variant("unigram", lambda file: file.update(pre_tokenizer=metaspace(split=False))),
    "unigram of NFKC": Variant("unigram", lambda file: file.update(normalizer={"type": "NFKC"})),
    "llama of replacements": Variant("llama", lambda file: file.update(normalizer=PREPENDED, pre_tokenizer=None)),
    "later byte-level": Variant("neox", lambda file: file.update(pre_tokenizer=split(LATER_PIECES))),
    "word of letters": Variant("unigram", with_an_added_token("goodfilmgood", normalized=True)),
    "single word": Variant("unigram", with_an_added_token("film", single_word=True)),
    "token of two words": Variant("bpe", with_an_added_token("good film", normalized=False)),
    "token with punctuation": Variant("bpe", with_an_added_token("d,d", normalized=False)),
}  # fmt: skip


@pytest.fixture(scope="module", params=[*VARIANTS, *(f"{kind}, cleaned" for kind in KINDS)])
def variant(request):
    """The tokenizer under test, and the library's own for whole texts."""
    if request.param in VARIANTS:
        file = json.loads(file_of(tiny_tokenizer(VARIANTS[request.param].kind)))
        VARIANTS[request.param].change(file)
        data = json.dumps(file).encode()
    else:
        data = file_of(tiny_tokenizer(request.param.removesuffix(", cleaned")), clean_text=True)
    whole = tokenizers.Tokenizer.from_buffer(data)
    whole.enable_truncation(LENGTH)
    return Tokenizer(data, LENGTH), whole


@settings(max_examples=150)
@given(TEXTS)
@example("goodfilm" * 300)
@example("goodfilm<br" + " " * 300 + "/>" + " film" * 60)
@example("film\n\n!\n\ngood," * 100)
@example("good film" * 300)
def test_a_long_text_has_the_tokens_of_the_whole_whatever_the_tokenizer_does(variant, text):
    ours, whole = variant
    expected, found = whole.encode(text), ours.encode([text])
    assert found.ids[0].tolist() == expected.ids
    assert found.truncated == [bool(expected.overflowing)]


def unigram(*tokens: tuple[str, float]) -> bytes:
    tokenizer = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), (SPACE, -9.0), *tokens], 0, False))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    return tokenizer.to_str().encode()


@pytest.mark.parametrize("count", [3000, 3001])
def test_a_word_whose_first_token_depends_on_its_last_letter_is_not_cut(count):
    data = unigram(("a", -8.0), ("aa", -1.0), (SPACE + "a", -1.0))
    whole = tokenizers.Tokenizer.from_buffer(data)
    expected = whole.encode("a" * count).ids[:LENGTH]
    assert expected != whole.encode("a" * (count + 1)).ids[:LENGTH]
    assert Tokenizer(data, LENGTH).encode(["a" * count]).ids[0].tolist() == expected


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "modernbert", "unigram", "deberta", "llama"])
def test_a_long_added_token_is_not_torn(kind, normalized):
    file = json.loads(file_of(tiny_tokenizer(kind)))
    with_an_added_token("good film " * 60 + "good", normalized=normalized)(file)
    data = json.dumps(file).encode()
    whole = tokenizers.Tokenizer.from_buffer(data)
    whole.enable_truncation(LENGTH)
    text = "good film " * 5000
    assert Tokenizer(data, LENGTH).encode([text]).ids[0].tolist() == whole.encode(text).ids


def allowed(kind: str, change: Callable[[dict[str, Any]], Any] = lambda file: None) -> Cutting:
    """The cuts that a changed tokenizer allows."""
    file = json.loads(file_of(tiny_tokenizer(kind)))
    change(file)
    normalizer = tokenizers.Tokenizer.from_str(json.dumps(file)).normalizer
    return cutting(file, normalizer.normalize_str if normalizer else str)


def places(found: Cutting, text: str) -> list[int]:
    assert found.places is not None
    cuts = [match.start() for match in found.places.finditer(text)]
    return [cut for cut in cuts if found.untorn(text, cut) == cut]


@pytest.mark.parametrize(
    ("kind", "blanks", "runs", "anywhere", "window"),
    [
        ("wordpiece", " \t\n\r", True, True, False),
        ("mpnet", " \t\n\r", True, True, False),
        ("bpe", " \t\n\r", False, False, False),
        ("modernbert", " \t\n\r", False, False, False),
        ("neox", " \t\n\r", False, False, False),
        ("unigram", " \t\n", True, False, True),
        ("camembert", " \t\n", True, False, True),
        ("albert", " \t\n", True, False, True),
        ("deberta", " \t\n\r", True, False, True),
        ("t5", " \t\n", True, False, True),
        ("llama", " ", False, False, False),
        ("sentencepiece", " \t\n", True, False, False),
    ],
)
def test_each_kind_allows_the_cuts_that_are_safe_for_it(kind, blanks, runs, anywhere, window):
    found = allowed(kind)
    assert [blank for blank in " \t\n\r\u00a0" if places(found, f"a{blank}b") == [1]] == [*blanks]
    assert (found.runs is not None, found.anywhere, found.window > 0) == (runs, anywhere, window)


def test_no_text_is_cut_inside_of_what_a_tokenizer_takes_as_one():
    marks = "a \u0600 c \u0301 d\ud7cb e \u0e33 f g"
    assert places(allowed("unigram"), marks) == [len(marks) - 2]
    # Not within a tag or an entity, and not behind one: it may become one with the blank.
    for kind in ("wordpiece", "deberta", "llama", "bpe", "neox"):
        found = allowed(kind, cleaned)
        assert places(found, "a b <br /> c <BR /> d") == [1, 3, 12]
        assert places(found, "a <b c='d' e> f g") == [1, 15]
        assert places(found, "a &lt;br /&gt; b c") == [1, 16]
        assert places(found, "a b&nbsp; c d") == [1, 11]
        assert places(found, "a < b > c") == [1, 5]
    assert places(allowed("wordpiece", removing_br), "a <br /> b c") == [1, 10]
    # Precompiled may join a blank with what follows a tag.
    assert places(allowed("unigram", cleaned), "a b <br />\u0301c d") == [1, 12]
    assert places(allowed("bpe", cleaned), "b.b &quot;\u2488, d") == [1, 3]
    assert places(allowed("neox", lambda file: file.update(pre_tokenizer=split(LATER_PIECES))), "a!\n b\nc d") == [1, 7]
    assert places(allowed("bpe"), "d,d 1,1 'd") == [1, 3, 7]
    assert places(allowed("bpe", with_an_added_token("d,d")), "d,d 1,1") == [3]


def cleaned(file: dict[str, Any]) -> None:
    file.update(json.loads(plain_tokenizer(json.dumps(file), clean_text=True)))


def removing_br(file: dict[str, Any]) -> None:
    """Change a tokenizer to one of the releases that only replaced <br> tags."""
    file["normalizer"] = sequence("normalizers", replace(BR_TAG, " ", True), file["normalizer"])


def joining_words(file: dict[str, Any]) -> None:
    file["model"]["vocab"][f"d{SPACE}f"] = 500


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("llama", joining_words),
        ("llama", lambda file: file["model"].update(ignore_merges=True)),
        ("llama", lambda file: file["pre_tokenizer"].update(replacement="_")),
        ("unigram", lambda file: file.update(pre_tokenizer=split(GPT2_PIECES))),
        ("neox", lambda file: file.update(pre_tokenizer=split(r"\S+"))),
        ("bpe", lambda file: file["pre_tokenizer"].update(use_regex=False)),
        ("bpe", lambda file: file.update(normalizer={"type": "NFKC"})),
        ("bpe", lambda file: file.update(normalizer=replace("a", ""))),
        ("unigram", lambda file: file.update(normalizer=replace("a.*b", "", True))),
        ("unigram", lambda file: file.update(normalizer=replace("a b", "c"))),
        ("unigram", lambda file: file.update(normalizer=sequence("normalizers", {"type": "NFKC"}, replace(r"(?i)<br\s*/?>", " ", True)))),
        ("unigram", lambda file: file.update(pre_tokenizer={"type": "UnicodeScripts"})),
        ("unigram", with_an_added_token("two words")),
        ("unigram", with_an_added_token(f"two{SPACE}words")),
        ("albert", with_an_added_token("two\u200bwords")),
        ("modernbert", with_an_added_token("two  words")),
    ],
)  # fmt: skip
def test_a_tokenizer_that_may_look_across_blanks_gets_whole_texts(kind, change):
    assert allowed(kind, change) == NOWHERE


def test_a_unigram_text_is_cut_anywhere_only_where_each_character_stays_one():
    found = allowed("unigram")
    assert found.neighbours("goodfilm" * 10, 20, 60) == range(21, 21 + found.window)
    # NFKC makes eight letters of the first character, and one of three of the second.
    assert found.neighbours("\ufdfa" * 80, 20, 60) is None
    assert found.neighbours("e\u0301\u0301" * 30, 20, 60) is None
    assert allowed("albert").neighbours("\u0130\uac00" * 40, 20, 60) is None
    for change in (with_an_added_token("film", single_word=True), with_an_added_token("x" * 100)):
        assert allowed("unigram", change).window == 0
    assert allowed("unigram", lambda file: file.update(normalizer=replace("ab", "c"))).window == 0


@pytest.mark.parametrize("kind", ["unigram", "camembert", "albert", "deberta", "t5"])
def test_only_the_beginning_of_a_long_text_is_tokenized(kind, monkeypatch):
    seen = []
    original = Tokenizer._encode
    monkeypatch.setattr(Tokenizer, "_encode", lambda self, texts: seen.extend(map(len, texts)) or original(self, texts))
    tokenizer = Tokenizer(file_of(tiny_tokenizer(kind)), LENGTH)
    for text in (
        "good film " * 1_000_000,
        "goodfilm" * 1_000_000,
        "good" + " " * 10_000_000,
        "!" * 10_000_000,
        "\u96fb\u5f71" * 1_500_000,
    ):
        seen.clear()
        assert tokenizer.encode([text]).ids[0].tolist() == tokenizer.encode([text[:4000]]).ids[0].tolist()
        assert sum(seen) < 60_000


@pytest.mark.parametrize("kind", ["bpe", "modernbert", "neox", "llama", "sentencepiece"])
def test_prose_is_cut_for_byte_level_tokenizers_as_well(kind):
    tokenizer = Tokenizer(file_of(tiny_tokenizer(kind)), LENGTH)
    text = "good film " * 1_000_000
    tracemalloc.start()
    tokenizer.encode([text])
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_run_of_other_blanks_is_trimmed_in_linear_time():
    """As transformers trims it, this text takes minutes, and one of 10 MB weeks."""
    tokenizer = Tokenizer(file_of(tiny_tokenizer("sentencepiece")), LENGTH)
    good = tokenizer.encode(["good"]).ids[0].tolist()
    for text in ("\u00a0" * 300_000 + "good", "good" + "\u00a0" * 300_000, "good" + "\u00a0" * 300_000 + "good"):
        assert tokenizer.encode([text]).ids[0].tolist()[: len(good)] == good


@pytest.mark.parametrize("kind", KINDS)
def test_the_unknown_token_and_the_highest_id_are_those_of_transformers(kind):
    theirs = tiny_tokenizer(kind)
    ours = Tokenizer(file_of(theirs), LENGTH)
    assert ours.highest_id == max(theirs.get_vocab().values())
    assert ours.special_tokens == theirs.num_special_tokens_to_add()
    if kind in ("bpe", "modernbert", "neox", "llama"):  # bytes have no unknown token
        assert ours.unknown_id == -1
    else:
        assert ours.unknown_id == theirs.unk_token_id
    if kind not in ("bpe", "modernbert", "neox", "llama", "sentencepiece"):
        assert ours.unknown_id in ours.encode(["\u2603"]).ids[0]


def test_ids_around_a_text_that_are_not_in_the_vocabulary_count():
    file = json.loads(file_of(tiny_tokenizer("unigram")))
    file["post_processor"]["special_tokens"]["</s>"]["ids"] = [9999]
    assert Tokenizer(json.dumps(file).encode(), LENGTH).highest_id == 9999


@pytest.mark.parametrize(
    "step",
    [
        replace("``", '"'),
        replace(rf"\A{SPACE}", SPACE * 2, regex=True),
        replace(" {2,}", SPACE, regex=True),
        replace("ab", "cd"),
        {"type": "Prepend", "prepend": SPACE},
    ],
)
def test_a_normaliser_of_a_published_tokenizer_is_accepted(step):
    file = json.loads(file_of(tiny_tokenizer("unigram")))
    # More than eight that each insert a character would be refused.
    file["normalizer"] = sequence(
        "normalizers", *[step] * (9 if step.get("pattern") == {"String": "ab"} else 1), file["normalizer"]
    )
    Tokenizer(json.dumps(file).encode(), LENGTH)


def table(entry: bytes) -> dict[str, Any]:
    """A Precompiled normaliser whose strings follow those of a real one."""
    found = json.loads(file_of(tiny_tokenizer("unigram")))["normalizer"]["precompiled_charsmap"]
    return {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(base64.b64decode(found) + entry + b"\0").decode(),
    }


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (replace("a", "bb"), "inserts several characters"),
        (replace("", "b"), None),
        (replace("a|", "bb", regex=True), "inserts several characters"),
        ({"type": "Prepend", "prepend": "abc"}, "inserts several characters"),
        (table(b"x" * 64), None),
        (table(b"x" * 65), "inserts 65 bytes for a character, more than 64"),
    ],
)
def test_a_normaliser_that_makes_a_text_far_longer_is_refused(step, message):
    file = json.loads(file_of(tiny_tokenizer("unigram")))
    file["normalizer"] = step
    if message is None:
        Tokenizer(json.dumps(file).encode(), LENGTH)
    else:
        with pytest.raises(BundleError, match=message):
            Tokenizer(json.dumps(file).encode(), LENGTH)
