"""Digests cover exactly the bytes that were read, and never wait for more than a pipe has."""

import hashlib
import io
import os

from scorer.storage.digest import Content, DigestingReader

DATA = b"one\ntwo\nthree"


def test_a_digest_of_lines_has_no_byte_of_lines_that_are_not_read_yet():
    consumed = hashlib.sha256()
    stream = DigestingReader(io.BufferedReader(io.BytesIO(DATA)), consumed)
    assert (stream.readline(100), stream.readline(2)) == (b"one\n", b"tw")
    assert consumed.hexdigest() == hashlib.sha256(b"one\ntw").hexdigest()
    assert (stream.read(1), stream.read(), stream.readline(5)) == (b"o", b"\nthree", b"")
    assert consumed.hexdigest() == hashlib.sha256(DATA).hexdigest()


def test_content_is_counted_until_it_ends():
    content = Content()
    stream = DigestingReader(io.BufferedReader(io.BytesIO(DATA)), content)
    assert (stream.read(5), content.count, content.ended) == (b"one\nt", 5, False)
    assert (stream.read(100), content.count, content.ended) == (b"wo\nthree", len(DATA), False)
    assert (stream.read(1), content.ended) == (b"", True)
    assert content.digest == hashlib.sha256(DATA).hexdigest()


def test_a_line_in_a_pipe_is_read_without_waiting_for_the_next():
    out, into = os.pipe()
    content = Content()
    with open(out, "rb") as pipe, open(into, "wb", buffering=0) as writer:
        buffered = io.BufferedReader(DigestingReader(pipe, content), 1 << 17)
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            assert buffered.readline() == line
            assert content.digest == hashlib.sha256(DATA[: content.count]).hexdigest()
    assert content.count == 8
