"""Encodings: a file in any accepted encoding is read exactly, and nothing is guessed."""

import _multibytecodec
import codecs
import encodings.aliases
import io
import json

import pytest
from encoding_samples import LANGUAGES, sample
from reading import read, texts

from scorer.base.errors import InputError, UsageError
from scorer.rows.dialect import Dialect
from scorer.rows.encodings import check_encoding
from scorer.storage.digest import Content
from scorer.storage.inputs import is_recoded, opened


def test_files_in_other_encodings_are_read_if_the_encoding_is_named(tmp_path):
    for encoding in ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"):
        data = 'id,text\n1,"café\nnoir"\n2,naïve\n'.encode(encoding)
        items = read(tmp_path, "a.csv", data, dialect=Dialect(encoding=encoding))
        assert texts(items) == ["café\nnoir", "naïve"], encoding


def test_half_a_pair_of_utf_16_costs_its_record_and_a_cut_file_ends_the_run(tmp_path):
    utf_16 = Dialect(encoding="utf-16")
    data = "id,text\n1,a\n2,b".encode("utf-16") + b"\x00\xd8" + "\n3,c\n".encode("utf-16-le")
    assert texts(read(tmp_path, "a.csv", data, dialect=utf_16)) == ["a", "invalid_encoding", "c"]
    with pytest.raises(InputError, match=r"or is incomplete: .*Check --encoding\."):
        read(tmp_path, "a.csv", data[:-1], dialect=utf_16)


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_kr", "hz"])
def test_bytes_that_are_invalid_in_a_stateful_encoding_cost_their_record(tmp_path, encoding):
    data = b"id,text\n1,good\n2,\x1b$Zbad\xff~{\n3,fine\n"
    for escape in ("", "\\"):
        items = read(tmp_path, "a.csv", data, dialect=Dialect(encoding=encoding, escape_char=escape))
        assert texts(items) == ["good", "invalid_encoding", "fine"]


@pytest.mark.parametrize("encoding", sorted({*encodings.aliases.aliases.values(), "unicode-escape", "utf-7"}))
def test_a_file_in_any_accepted_encoding_is_read_exactly(tmp_path, encoding):
    try:
        name = check_encoding(encoding)
    except UsageError:
        assert not encoding.startswith(
            ("utf_8", "utf_16", "utf_32", "latin", "cp125", "iso8859", "shift", "gb", "big5")
        )
        return
    data = 'id,text\n1,"so, so\nlala"\n2,fine\n'.encode(name)
    assert texts(read(tmp_path, "a.csv", data, dialect=Dialect(encoding=name))) == ["so, so\nlala", "fine"]


ACCEPTED = sorted({*LANGUAGES, "ascii", "utf-8"})
STATEFUL = ["hz", *(name for name in ACCEPTED if name.startswith("iso2022"))]


def test_every_accepted_encoding_has_a_sample():
    accepted = set()
    for name in {*encodings.aliases.aliases.values(), *LANGUAGES}:
        try:
            accepted.add(check_encoding(name))
        except UsageError:
            continue
    assert accepted == {check_encoding(name) for name in ACCEPTED}


@pytest.mark.parametrize("encoding", sorted(LANGUAGES))
def test_a_text_in_the_language_of_its_encoding_is_read_wholly_equal(tmp_path, encoding):
    for language in LANGUAGES[encoding]:
        _, text = sample(encoding, language)
        rows = [line.split(",", 1)[1][1:-1].replace('""', '"') for line in text.splitlines()[1:]]
        dialect = Dialect(encoding=check_encoding(encoding))
        for end in ("\n", "\r\n"):
            broken = [f'{row}{end}"{row}", {row}' for row in rows]  # a line end, quotes and commas inside quotes
            quoted = [value.replace('"', '""') for value in broken]
            data = end.join(["id,text", *(f'{row},"{value}"' for row, value in enumerate(quoted)), ""]).encode(encoding)
            assert texts(read(tmp_path, "a.csv", data, dialect=dialect)) == broken, (encoding, language)
        data = "".join(json.dumps({"text": row}, ensure_ascii=False) + "\n" for row in rows).encode(encoding)
        assert texts(read(tmp_path, "a.jsonl", data, dialect=dialect)) == rows, (encoding, language)


def is_multibyte(encoding):
    return issubclass(codecs.lookup(encoding).incrementaldecoder, _multibytecodec.MultibyteIncrementalDecoder)


FILLER = 0x3164  # begins a syllable of eight bytes in EUC-KR, so it cannot stand before a line end there
CUT_BY_LINE = [name for name in ACCEPTED if not is_recoded(check_encoding(name))]


@pytest.mark.parametrize("encoding", [name for name in CUT_BY_LINE if is_multibyte(name)])
def test_lines_of_characters_of_several_bytes_can_be_cut_and_decoded_one_by_one(encoding):
    everything = "".join(
        f"{chr(code)}\n" for code in range(0x20, 0x30000) if not 0xD800 <= code < 0xE000 and code != FILLER
    )
    data = everything.encode(encoding, "ignore")
    assert data.count(b"\n") == everything.count("\n")
    assert b"\r" not in data
    by_line = "".join(line.decode(encoding, "replace") for line in data.splitlines(keepends=True))
    assert by_line == data.decode(encoding, "replace")


def test_line_ends_of_characters_of_one_byte_are_those_of_ascii():
    others = [name for name in CUT_BY_LINE if not is_multibyte(name)]
    assert len(others) > 50
    for encoding in others:
        line_ends = [byte for byte in range(256) if bytes([byte]).decode(encoding, "replace") in ("\n", "\r")]
        assert line_ends == [0x0A, 0x0D], encoding


class Drops(io.RawIOBase):
    """Stream that gives one byte at a time."""

    def __init__(self, data):
        self._bytes = iter(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        for byte in self._bytes:
            buffer[0] = byte
            return 1
        return 0


def recoded(monkeypatch, data, encoding):
    """Return the UTF-8 form of a stream that gives one byte at a time."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Drops(data), 1)))
    with opened("-", None, encoding, Content()) as (stream, name):
        assert name == "utf-8"
        return stream.read().decode()


@pytest.mark.parametrize("encoding", [name for name in ACCEPTED if is_recoded(check_encoding(name))])
def test_a_recoded_stream_may_pause_anywhere(monkeypatch, encoding):
    data, text = sample(encoding, LANGUAGES[encoding][0])
    assert recoded(monkeypatch, data, encoding) == text


@pytest.mark.parametrize("encoding", STATEFUL)
def test_a_stateful_file_is_read_as_a_whole(tmp_path, encoding):
    words = {"hz": ["很好", "不好"], "iso2022_kr": ["좋아요", "별로"]}.get(encoding, ["良い", "悪い"])
    data = f"id,text\n1,{words[0]}\n2,fine\n3,{words[1]}\n".encode(encoding)
    assert texts(read(tmp_path, "a.csv", data, dialect=Dialect(encoding=encoding))) == [words[0], "fine", words[1]]


def test_a_shift_may_stand_once_a_file_and_hz_may_continue_a_line(tmp_path):
    kanji = "一二".encode("iso2022_jp")[3:-3]
    shifted = b"id,text\n1,\x1b$B" + kanji + b"\n" + kanji + b"\x1b(B\n"
    assert texts(read(tmp_path, "a.csv", shifted, dialect=Dialect(encoding="iso2022_jp"))) == ["一二", "column_count"]
    korean = b"\x1b$)Cid,text\n1,\x0e>F\x0f\n2,\x0e>F\x0f\n"
    assert len(set(texts(read(tmp_path, "b.csv", korean, dialect=Dialect(encoding="iso2022_kr"))))) == 1
    assert texts(read(tmp_path, "c.csv", b"id,text\n1,so ~\nlong\n", dialect=Dialect(encoding="hz"))) == ["so long"]


@pytest.mark.parametrize(
    ("encoding", "bad"), [("cp424", b"\xff"), ("iso2022_kr", b"\x0e\x41\xff\x0f"), ("hz", b"~{\xff~}")]
)
def test_bytes_that_are_undefined_in_a_recoded_file_cost_their_record(tmp_path, encoding, bad):
    good = ["id,text\n1,a\n2,".encode(encoding), "\n3,c\n".encode(encoding)]
    if encoding == "cp424":
        bad = bytes([next(byte for byte in range(256) if not bytes([byte]).decode(encoding, "ignore"))])
    items = read(tmp_path, "a.csv", bad.join(good), dialect=Dialect(encoding=encoding))
    assert texts(items) == ["a", "invalid_encoding", "c"]


def test_an_error_in_utf_16_has_its_place_in_the_file(tmp_path):
    data = ("id,text\n" + "1,some text\n" * 50_000).encode("utf-16-le")
    with pytest.raises(InputError, match=rf"truncated data at byte {len(data):,}\. Check --encoding\."):
        read(tmp_path, "a.csv", data + b"\x00", dialect=Dialect(encoding="utf-16-le"))
