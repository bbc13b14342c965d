"""Encodings: a file in any accepted encoding is read exactly, and nothing is guessed."""

import encodings.aliases

import pytest
from reading import read, texts

from scorer.base.errors import InputError, UsageError
from scorer.rows.dialect import Dialect
from scorer.rows.encodings import check_encoding


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
