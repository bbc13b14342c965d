"""Lines: cut exactly, with their numbers and offsets, in bounded memory."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.rows.lines import RAW_LIMIT, lines


@pytest.mark.parametrize(
    ("data", "returns", "expected"),
    [
        (b"a\nb\n", False, [(1, 0, b"a\n"), (2, 2, b"b\n")]),
        (b"a\r\nb", False, [(1, 0, b"a\r\n"), (2, 3, b"b")]),
        (b"a\rb\n", False, [(1, 0, b"a\rb\n")]),
        (b"a\rb\nc\r", True, [(1, 0, b"a\r"), (2, 2, b"b\n"), (3, 4, b"c\r")]),
        (b"a\r\n\rb", True, [(1, 0, b"a\r\n"), (2, 3, b"\r"), (3, 4, b"b")]),
        (b"\xef\xbb\xbfa\nb", False, [(1, 3, b"a\n"), (2, 5, b"b")]),
        (b"\xef\xbb\xbf", False, []),
        (b"", False, []),
        (b"a\xe2\x80\xa8b\x0b\x0c\x85\n", True, [(1, 0, b"a\xe2\x80\xa8b\x0b\x0c\x85\n")]),
    ],
)
def test_lines_have_their_numbers_and_offsets(data, returns, expected):
    found = [(line.number, line.offset, line.data) for line in lines(io.BytesIO(data), 100, carriage_returns=returns)]
    assert found == expected


def test_a_byte_order_mark_does_not_count_towards_the_limit():
    for limit in (4, 5, 6, 7):
        (line,) = lines(io.BytesIO(b"\xef\xbb\xbfabcde"), limit)
        assert (line.length, line.too_long) == (5, limit < 5)


def test_a_line_over_the_limit_is_shortened_and_the_next_one_is_intact():
    data = b"x" * 200_000 + b"\nnext\n"
    long, following = lines(io.BytesIO(data), 1000)
    assert long.too_long
    assert (long.length, len(long.data)) == (200_001, RAW_LIMIT)
    assert (following.number, following.offset, following.data) == (2, 200_001, b"next\n")


@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\r").replace(b"y", b"\n")), st.integers(1, 12))
def test_lines_of_any_bytes_cover_them_exactly(data, limit):
    for returns in (False, True):
        found = list(lines(io.BytesIO(data), limit, carriage_returns=returns))
        at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        for number, line in enumerate(found, start=1):
            assert (line.number, line.offset) == (number, at)
            assert data[at : at + len(line.data)] == line.data
            assert line.too_long == (line.length > limit)
            at += line.length
        assert at == len(data)


@given(st.text(alphabet="ab\r\n", max_size=40))
def test_carriage_returns_cut_lines_as_universal_newlines_do(text):
    found = [line.data for line in lines(io.BytesIO(text.encode()), 7, carriage_returns=True) if not line.too_long]
    expected = [part for part in text.encode().splitlines(keepends=True) if len(part) <= 7]
    assert found == expected
