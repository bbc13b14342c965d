"""Tokenizing: the beginning of a long text gives the same first tokens as the whole, at the cost of a beginning."""

import json
import tracemalloc

import pytest
import tokenizers
from factories import tiny_tokenizer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_tokenizer_kinds import MARKUP
from tokenizers import models, pre_tokenizers, processors

from export.encoder.emoji import EMOJI, add_emoji
from export.encoder.load import plain_tokenizer
from scorer.base.errors import BundleError
from scorer.model.cleaning import BR_TAG
from scorer.model.cutting import cutting
from scorer.model.tokenizer import Tokenizer

LENGTH = 12


def wordpiece(clean_text: bool = True) -> bytes:
    return plain_tokenizer(tiny_tokenizer("bert").backend_tokenizer.to_str(), clean_text=clean_text)


def earlier(content: str = " ") -> bytes:
    """A tokenizer of the releases that only replaced <br> tags."""
    file = json.loads(wordpiece(clean_text=False))
    step = {"type": "Replace", "pattern": {"Regex": BR_TAG}, "content": content}
    file["normalizer"] = {"type": "Sequence", "normalizers": [step, file["normalizer"]]}
    return json.dumps(file).encode()


def with_emoji() -> bytes:
    """A tokenizer that cleans texts and has pieces for emoji."""
    file = json.loads(wordpiece(clean_text=False))
    free = {f"[unused{number}]": len(file["model"]["vocab"]) + number for number in range(len(EMOJI))}
    file["model"]["vocab"] |= free
    return plain_tokenizer(add_emoji(json.dumps(file), "tiny").tokenizer_json, clean_text=True)


def byte_level() -> bytes:
    """An untrained tokenizer like RoBERTa's, in which every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1} | {letter: number for number, letter in enumerate(alphabet, 2)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return tokenizer.to_str().encode()


KINDS = {"cleaned": wordpiece, "emoji": with_emoji, "earlier": earlier, "byte level": byte_level}


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    """The tokenizer under test, and the library's own for whole texts."""
    data = KINDS[request.param]()
    whole = tokenizers.Tokenizer.from_buffer(data)
    whole.no_padding()
    whole.enable_truncation(LENGTH)
    return Tokenizer(data, LENGTH), whole


PIECES = st.sampled_from(
    ["good", "film", " ", " ", " ", "\n", "\t", "\u00a0", "\u3000", "<br />", "<br", "br", "/>", ">", "<", "!", ",", "é",
     "e\u0301", "\u0301", "電", "影", "x" * 40, "a" * 300, " " * 300, "🎬", "\u200b", "\x00", "[SEP]", "'s", "\u1680", "ß",
     *MARKUP, "😡", "👍🏽", "❤\ufe0f", "\u200d♀", "\uff27\uff4f\uff4f\uff44", "\ufdfa"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, min_size=1, max_size=120).map("".join))
@example("<br" + " " * 400 + "/>" + " good film" * 60)
@example("good " * 9 + "<br" + " " * 400 + "/>" + " film" * 60)
@example("x" * 3000 + " good" * 50)
@example("good film " * 300)
@example("\n" * 5000 + "good")
@example("!" * 9000)
@example("電影" * 3000 + "good")
@example("good," * 2000)
@example("e\u0301!" * 3000)
@example("!" * 290 + "<br" + " " * 600 + "/>" + "!" * 3000)
@example(("x" * 99 + "!") * 200)
@example("!" * 287 + "\u0301" * 3000 + "!" * 3000)
@example("good " * 30 + "<p a='" + "x " * 18 + "'>" + " film" * 60)
@example("good " * 30 + "<b<i></i>" + " " * 400 + ">" + " film" * 60)
@example("good " * 30 + "&lt;br" + " " * 400 + "/&gt;" + " film" * 60)
@example("!" * 280 + "<p a=" + "'!' " * 20 + ">" + "!" * 3000)
@example("!" * 283 + "&amp;amp;amp;quot;" * 20 + "!" * 3000)
@example("<i a=b " * 2000)
@example("good&nbsp;" * 2000)
def test_the_tokens_are_those_of_the_whole_text(pair, text):
    ours, whole = pair
    expected = whole.encode(text)
    found = ours.encode([text])
    assert found.ids[0].tolist() == expected.ids
    assert found.truncated == [bool(expected.overflowing)]


ASCII = st.sampled_from(
    ["Good", "FILM", "good", " ", " ", "\n", "\t", "\r\n", "\x0b", "\x0c", "\x00", "\x7f", "\x1b[1m", "<br />", "<BR>", "<bR\t/>",
     "<br", "BR />", ">", "!", "'S", "[SEP]", "[sep]", "[", "]", "[PAD", "X" * 40, "a1B2", "7.50", "WasN't"]
)  # fmt: skip


ALONE = st.characters(codec="utf-8", max_codepoint=0x2FFF)  # among them those that are plain, and those that are not


@pytest.mark.parametrize("kind", [*KINDS, "as it is", "drops tags"])
@settings(max_examples=300)
@given(
    st.lists(
        st.lists(st.one_of(ASCII, st.sampled_from(MARKUP), ALONE), min_size=1, max_size=40).map("".join),
        min_size=1,
        max_size=6,
    )
)
@example(["good [SEP] film", "GOOD FILM", "good \x00film", "caf\u00e9", "Good<BR/>Film"])
@example(
    [
        "<b<br/> >x",
        "&qu<b></b>ot;",
        "good<br\u00a0/>film",
        "good<br\x0b/>film",
        "<p\x0ba=b>",
        "\u0130<I>x",
        "&\u017fbquo;",
    ]
)
def test_plain_texts_have_the_tokens_of_the_whole_normaliser_among_others(kind, texts):
    others = {"as it is": lambda: wordpiece(clean_text=False), "drops tags": lambda: earlier("")}
    data = (KINDS | others)[kind]()
    ours, whole = Tokenizer(data, 64), tokenizers.Tokenizer.from_buffer(data)
    whole.no_padding()
    whole.enable_truncation(64)
    found, expected = ours.encode(texts), [whole.encode(text) for text in texts]
    assert [ids.tolist() for ids in found.ids] == [one.ids for one in expected]
    assert found.truncated == [bool(one.overflowing) for one in expected]


def test_most_english_is_plain_unless_an_added_token_is_in_it():
    plain = Tokenizer(wordpiece(), LENGTH)._plain
    assert plain.plain("A Film,\n<br />good!") == "a film,\n good!"
    assert plain.plain("Caf\u00e9 [b] isn\u2019t \u201cgood\u201d\x7f\u2026") == 'caf\u00e9 [b] isn\'t "good"...'
    assert [plain.plain(text) for text in ("a [SEP] b", "e\u0301", "\u96fb", "\U0001f3ac", "\u0130", "\ufeff")] == [
        None
    ] * 6


def _cased(settings):
    settings["normalizer"]["normalizers"][-1]["lowercase"] = False


def _with_an_added_word(settings):
    settings["added_tokens"].append({**settings["added_tokens"][0], "id": 90, "content": "Film", "special": False})


def test_a_tokenizer_that_keeps_capitals_gets_them():
    changed = json.loads(wordpiece())
    _cased(changed)
    assert Tokenizer(json.dumps(changed).encode(), LENGTH)._plain.plain("A Film") == "A Film"


def test_an_added_word_is_looked_for_as_it_is_written():
    changed = json.loads(wordpiece())
    _with_an_added_word(changed)
    data = json.dumps(changed).encode()
    ours, whole = Tokenizer(data, LENGTH), tokenizers.Tokenizer.from_buffer(data)
    for text in ("good Film", "good film", "good FILM", "lovely"):
        assert ours.encode([text]).ids[0].tolist() == whole.encode(text).ids[:LENGTH]
    assert ours._plain.plain("good Film") is ours._plain.plain("good film") is None
    assert ours._plain.plain("good") == "good"


def _added(content):
    def change(settings):
        token = {**settings["added_tokens"][0], "id": 90, "content": content, "special": False, "normalized": True}
        settings["added_tokens"].append(token)
        settings["normalizer"]["normalizers"][-1]["strip_accents"] = (
            None  # null strips accents if letters are lowercased
        )

    return change


@pytest.mark.parametrize("content", ["\u00c9cole", "\u0130t", "\u00adgood", "\u0001good", "<br />"])
def test_an_added_token_that_is_cleaned_itself_is_found_in_plain_texts(content):
    changed = json.loads(wordpiece())
    _added(content)(changed)
    data = json.dumps(changed).encode()
    ours, whole = Tokenizer(data, LENGTH), tokenizers.Tokenizer.from_buffer(data)
    for text in ("The ecole was good.", "it was good", "good film", "a b"):
        assert ours.encode([text]).ids[0].tolist() == whole.encode(text).ids[:LENGTH]


@pytest.mark.parametrize("content", ["A", "\u00c9", "\u4e2d", "\x00", ".", " ", ""])
def test_the_replacement_of_a_tag_is_cleaned_as_well(content):
    data = earlier(content)
    ours, whole = Tokenizer(data, LENGTH), tokenizers.Tokenizer.from_buffer(data)
    for text in ("good<br>film", "Good<BR />Film a"):
        assert ours.encode([text]).ids[0].tolist() == whole.encode(text).ids[:LENGTH]


@pytest.mark.parametrize(
    "change",
    [
        _added("two words"),
        _added("\u00ad"),
        lambda settings: settings["normalizer"]["normalizers"][0].update(content="A"),
        lambda settings: settings.update(pre_tokenizer={"type": "Whitespace"}),
        lambda settings: settings.update(normalizer={"type": "Lowercase"}),
        lambda settings: settings.update(normalizer=None),
        lambda settings: settings["normalizer"]["normalizers"].reverse(),
        lambda settings: settings["normalizer"]["normalizers"][0].update(pattern={"String": "BR"}),
        lambda settings: settings["normalizer"]["normalizers"].append({"type": "NFC"}),
    ],
)
def test_a_tokenizer_of_another_kind_has_no_faster_way(change):
    changed = json.loads(wordpiece())
    change(changed)
    assert Tokenizer(json.dumps(changed).encode(), LENGTH)._plain is None


def test_a_text_that_cleaning_empties_is_empty():
    texts = ["<br />", "\u200b", "good", "<br /> \u200d<br />", ""]
    assert Tokenizer(wordpiece(clean_text=True), LENGTH).encode(texts).empty == [True, True, False, True, True]
    assert Tokenizer(wordpiece(clean_text=False), LENGTH).encode(texts).empty == [False, True, False, False, True]
    assert Tokenizer(byte_level(), LENGTH).encode(texts).empty == [False, False, False, False, True]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 19, 20])
def test_many_texts_are_tokenized_in_chunks_with_the_same_tokens_in_order(pair, monkeypatch, count):
    tokenizer, whole = pair
    monkeypatch.setattr("scorer.model.tokenizer._CHUNK", 4)
    texts = [f"good {'film ' * (7 * number % 30)}{number}" for number in range(count)]
    found = tokenizer.encode(texts)
    expected = [whole.encode(text) for text in texts]
    assert [row.tolist() for row in found.ids] == [encoding.ids for encoding in expected]
    assert found.truncated == [bool(encoding.overflowing) for encoding in expected]


def test_an_error_in_a_later_chunk_is_blamed_on_the_bundle(monkeypatch):
    tokenizer = Tokenizer(wordpiece(), LENGTH)
    monkeypatch.setattr("scorer.model.tokenizer._CHUNK", 2)
    encode = Tokenizer._encodings

    def fails(self, texts):
        if "bad" in texts:
            raise BundleError("tokenizer.json cannot be used")
        return encode(self, texts)

    monkeypatch.setattr(Tokenizer, "_encodings", fails)
    with pytest.raises(BundleError, match="cannot be used"):
        tokenizer.encode(["good"] * 5 + ["bad"])


def test_only_the_beginning_of_a_long_text_is_tokenized(monkeypatch):
    seen = []
    original = Tokenizer._encode
    monkeypatch.setattr(Tokenizer, "_encode", lambda self, texts: seen.extend(map(len, texts)) or original(self, texts))
    tokenizer = Tokenizer(wordpiece(), LENGTH)
    for text in (
        "good film " * 1_000_000, "x" * 10_000_000, "good" + " " * 10_000_000, "a,b" * 30_000 + " z", "!" * 10_000_000,
        "電影" * 1_500_000,
    ):  # fmt: skip
        seen.clear()
        assert tokenizer.encode([text]).ids[0].tolist() == tokenizer.encode([text[:4000]]).ids[0].tolist()
        assert sum(seen) < 20_000


def test_a_long_text_costs_no_memory_beyond_itself():
    tokenizer = Tokenizer(wordpiece(), LENGTH)
    text = "good film " * 1_000_000
    tracemalloc.start()
    tokenizer.encode([text])
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_tokenizers_that_are_not_known_to_be_local_get_whole_texts():
    known = json.loads(wordpiece())
    assert allowed(known) == (True, True)
    assert allowed(json.loads(byte_level())) == (True, False)
    replace = {"type": "Replace", "pattern": {"Regex": "a.*b"}, "content": ""}
    for change in (
        {"normalizer": replace},
        {"normalizer": {"type": "Sequence", "normalizers": [replace, known["normalizer"]]}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}},
        {"model": {"type": "Unheard", "vocab": []}},
        {"added_tokens": [{"content": "two words"}]},
        {"added_tokens": [{"content": "good<br/>film"}]},
    ):
        assert allowed({**known, **change}) == (False, False)
    for content in ("word", "don't", "a\u0301", "C++"):
        for normalized in (True, False):
            added = {"added_tokens": [{"content": content, "normalized": normalized}]}
            assert allowed({**known, **added}) == (True, False)
    assert allowed({**known, "added_tokens": [{"content": "[X]", "normalized": False}]}) == (True, True)
    byte_pieces = {"pre_tokenizer": {"type": "ByteLevel", "use_regex": True}}
    assert allowed({**known, **byte_pieces}) == (False, False)
    for missing in ("normalizer", "pre_tokenizer", "model"):
        cutting({name: value for name, value in known.items() if name != missing})


def allowed(settings):
    """Return whether a text may be cut before a blank, and anywhere."""
    found = cutting(settings)
    return found.places is not None, found.anywhere
