"""Cleaned texts: what --clean-text makes of markup, entities and invisible characters, and that no text grows."""

import html
import json
import re

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_tokenizer_kinds import MARKUP
from tokenizers import normalizers

from scorer.model.cleaning import CLEANING, CLEANING_NORMALIZERS, EMOJI_VARIANTS, opened_before


def library(steps):
    return normalizers.Sequence([normalizers.Replace(tokenizers.Regex(step.pattern), step.content) for step in steps])


CLEANER = library([*CLEANING, EMOJI_VARIANTS])


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("good<br />film<BR>x<br/>", "good film x "),
        ("<p class=\"a b\">good</p><div id=x>film</div><h1>x</h1>", " good  film  x "),
        ("so <b>good</b>, <i>very</i> <a href='http://x.y/z?q=1' target=_blank>good</a>", "so good, very good"),
        ("good&lt;br /&gt;film&#60;BR&#62;x &amp;lt;i&amp;gt;y&lt;/i&gt;", "good film x y"),
        ("&quot;it&#39;s&quot; &ldquo;good&rdquo; isn&#x27;t", "\"it's\" \"good\" isn't"),
        ("B&amp;W, R&B &amp;amp; AT&T, &amp;quot;x&amp;quot;", 'B&W, R&B & AT&T, "x"'),
        ("good&nbsp;film&#160;x&#xA0;y&#13;&#10;z", "good film x y  z"),
        ("good&hellip; 3 &lt; 4 &gt; 2 &mdash; x&#8211;y", "good... 3 < 4 > 2 - x-y"),
        ("school&quot he said &quot", 'school" he said "'),
        ("&QUOT;GOOD&QUOT; &NBSP;", '"GOOD"  '),
        ("great\x0cmovie\x0bwas\x1cso\x85very\u200bgood\u2028x", "great movie was so very good x"),
        ("\x93good\x94 \x96 isn\x92t \u2018a\u2019 \u201cb\u201d \u2014", "\"good\" - isn't 'a' \"b\" -"),
        ("\U0001f44d\U0001f3fd \u2764\ufe0f \U0001f937\U0001f3fe\u200d\u2640\ufe0f", "\U0001f44d \u2764 \U0001f937"),
    ],
)  # fmt: skip
def test_a_text_reads_as_people_see_it(text, cleaned):
    assert CLEANER.normalize_str(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "I <3 it",
        "a < b > c",
        "<i am not sure> he said",
        "<grin>",
        "x<y",
        "&quoted",
        "R&B;",
        "AT&T",
        "&#99999;",
        "<b c d>",
        "&lt3",
    ],
)
def test_what_only_looks_like_markup_stays(text):
    assert CLEANER.normalize_str(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("<b<br/> >x", "<b  >x"), ("<<b>b>x", "<b>x"), ("&qu<b></b>ot;", "&quot;"), ("&lt;<i></i>br&gt;", "<br>"),
     ("<p<i></i> a=b>", "<p a=b>"), ("&lt;b<br/>&gt;", "<b >")],
)  # fmt: skip
def test_what_is_left_around_a_tag_is_no_other_tag_or_entity(text, cleaned):
    assert CLEANER.normalize_str(text) == cleaned


def test_full_width_letters_become_ordinary_ones():
    file = {
        "normalizer": {"type": "Sequence", "normalizers": CLEANING_NORMALIZERS},
        "version": "1.0",
        "added_tokens": [],
    }
    model = {"type": "WordLevel", "vocab": {"x": 0}, "unk_token": "x"}
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(file | {"model": model}))
    assert tokenizer.normalizer.normalize_str("\uff27\uff4f\uff4f\uff44\uff01\u3000film\u2026") == "Good! film..."


ANY = st.one_of(st.sampled_from(MARKUP), st.characters(codec="utf-8"), st.sampled_from(["br", "i", "/", ">", "<", " "]))


@settings(max_examples=300)
@given(st.lists(ANY, max_size=40).map("".join))
@example("&#0;" * 9)
@example("".join(map(chr, range(1, 0x300))))
def test_no_step_makes_a_text_longer(text):
    for step in (*CLEANING, EMOJI_VARIANTS):
        cleaned = library([step]).normalize_str(text)
        assert len(cleaned) <= len(text)
        assert len(cleaned.encode()) <= len(text.encode())
        text = cleaned


PLAIN = st.one_of(
    st.sampled_from(MARKUP), st.characters(codec="ascii"), st.sampled_from(["br", "i", "/", ">", "<", " "])
)


@settings(max_examples=300)
@given(st.lists(PLAIN, max_size=40).map("".join))
@example(html.escape('<br class="x">&amp;"\'') * 3)
def test_each_pattern_means_the_same_to_python(text):
    for step in CLEANING:
        assert re.sub(step.pattern, step.content, text) == library([step]).normalize_str(text), step


@settings(max_examples=300)
@given(st.lists(ANY, max_size=40).map("".join), st.integers(0, 200))
@example("&lt;br     />", 10)
@example("x &amp;lt;blockquote  /&amp;gt;", 30)
@example("<p a='b' c='d'>", 14)
def test_a_cut_tears_no_tag_or_entity_beyond_the_place_that_is_named(text, cut):
    cut = min(cut, len(text))
    opened = opened_before(text, cut)
    for step in CLEANING:
        torn = [match.start() for match in re.finditer(step.pattern, text) if match.start() < cut < match.end()]
        assert not torn or (opened is not None and opened <= torn[0]), step


def test_only_the_beginning_of_what_may_still_be_a_tag_is_named():
    assert opened_before("<p a=b" + " x" * 20, 46) == 0
    assert opened_before("<p a=b" + " x" * 22, 50) is None
    assert opened_before("<p " * 100_000, 299_999) == 299_997
    assert opened_before("a & b <c> d", 11) is None
