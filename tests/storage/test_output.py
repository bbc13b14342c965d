"""Destinations of output."""

import io

from scorer.storage.output import StreamDestination


def test_a_stream_that_is_converted_sends_nothing_before_it_is_published():
    sent = io.BytesIO()
    place = StreamDestination(sent, close=False, convert=lambda stream, write: write(stream.read().upper()))
    place.write(b"abc")
    assert sent.getvalue() == b""
    place.publish()
    assert sent.getvalue() == b"ABC"
    assert place.published == (3, "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78")
