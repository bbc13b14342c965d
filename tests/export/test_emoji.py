"""Emoji: pieces of their own in free places of the vocabulary, with embeddings to begin with."""

import json

import numpy as np
import pytest
import tiny_tokenizers
from factories import tiny_model, tiny_tokenizer

from export.encoder.emoji import EMOJI, add_emoji, words
from export.encoder.load import load_encoder, save
from export.errors import UnsupportedEncoder
from scorer.model.tokenizer import Tokenizer

FREE = len(EMOJI) + 5


def with_places(number):
    """The file of a tiny tokenizer with free places at the end of its vocabulary."""
    settings = json.loads(tiny_tokenizer("bert").backend_tokenizer.to_str())
    vocabulary = settings["model"]["vocab"]
    first = max(vocabulary.values()) + 1
    vocabulary |= {f"[unused{place}]": first + place for place in range(number)}
    return json.dumps(settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder whose vocabulary has free places."""
    found = tmp_path_factory.mktemp("encoder")
    tiny_tokenizer("bert").save_pretrained(found)
    file = with_places(FREE)
    (found / "tokenizer.json").write_text(file)
    tiny_model("bert", max(json.loads(file)["model"]["vocab"].values()) + 1).save_pretrained(found)
    return str(found)


def load(folder, **more):
    return load_encoder(folder, max_length=16, **more)


def rows(encoder):
    return encoder.model.get_input_embeddings().weight.numpy()


def ids(encoder, text):
    return encoder.tokenizer.encode([text]).ids[0].tolist()[1:-1]


def test_every_emoji_takes_the_next_free_place():
    settings = json.loads(with_places(FREE))
    first = settings["model"]["vocab"]["[unused0]"]
    pieces = add_emoji(json.dumps(settings), "tiny")
    assert pieces.ids == tuple(range(first, first + len(EMOJI)))
    vocabulary = json.loads(pieces.tokenizer_json)["model"]["vocab"]
    assert [vocabulary[emoji] for emoji in EMOJI] == list(pieces.ids)
    assert vocabulary[f"[unused{FREE - 1}]"] == first + FREE - 1
    assert len(vocabulary) == len(settings["model"]["vocab"])
    assert pieces.words == {number: words(emoji) for number, emoji in zip(pieces.ids, EMOJI, strict=True)}


def test_no_emoji_is_listed_twice_or_is_a_letter():
    assert len(set(EMOJI)) == len(EMOJI) >= 200
    assert not [emoji for emoji in EMOJI if emoji.isalnum() or emoji != emoji.lower()]


@pytest.mark.parametrize("clean_text", [True, False])
def test_an_emoji_is_found_wherever_it_stands_and_whatever_its_skin_is(folder, clean_text):
    encoder = load(folder, clean_text=clean_text, emoji=True)
    angry, up, heart, shrug = (encoder.emoji_ids[EMOJI.index(one)] for one in "😡👍❤🤷")
    good, film = ids(encoder, "good film")
    assert ids(encoder, "good😡film") == ids(encoder, "good 😡 film") == [good, angry, film]
    assert ids(encoder, "👍🏽👍good") == [up, up, good]
    assert ids(encoder, "film ❤\ufe0f") == ids(encoder, "film❤") == [film, heart]
    assert ids(encoder, "🤷🏾\u200d♀\ufe0f good") == [shrug, good]


def test_a_new_piece_begins_as_the_mean_of_the_pieces_of_its_words(folder):
    plain, encoder = load(folder), load(folder, emoji=True)
    assert plain.emoji_ids == ()
    for emoji in "😂🤮★":
        own = rows(plain)[ids(plain, words(emoji))]
        np.testing.assert_allclose(rows(encoder)[encoder.emoji_ids[EMOJI.index(emoji)]], own.mean(axis=0), rtol=1e-6)
    others = [number for number in range(len(rows(plain))) if number not in encoder.emoji_ids]
    assert np.array_equal(rows(plain)[others], rows(encoder)[others])
    assert encoder.sha256 == load(folder, emoji=True).sha256 != plain.sha256


def test_a_saved_encoder_keeps_its_pieces_and_their_embeddings(folder, tmp_path):
    encoder = load(folder, clean_text=True, emoji=True)
    encoder.model.get_input_embeddings().weight.data[encoder.emoji_ids[0]] = 7.0
    save(encoder, tmp_path)
    for options in ({}, {"clean_text": True}, {"clean_text": True, "emoji": True}):
        again = load(str(tmp_path), **options)
        assert json.loads(again.tokenizer_json) == json.loads(encoder.tokenizer_json)
        assert (rows(again)[encoder.emoji_ids[0]] == 7.0).all()
        assert again.emoji_ids == (encoder.emoji_ids if options.get("emoji") else ())


def test_an_emoji_that_the_vocabulary_has_keeps_its_piece():
    settings = json.loads(with_places(FREE))
    settings["model"]["vocab"]["♥"] = settings["model"]["vocab"].pop("[unused3]")
    pieces = add_emoji(json.dumps(settings), "tiny")
    own = settings["model"]["vocab"]["♥"]
    assert own in pieces.ids
    assert own not in pieces.words
    found = Tokenizer(pieces.tokenizer_json.encode(), 9).encode(["good♥film"]).ids[0].tolist()
    assert (found[2], len(found)) == (own, 5)


def test_a_vocabulary_without_places_or_of_another_kind_is_refused():
    with pytest.raises(UnsupportedEncoder, match=rf"needs {len(EMOJI)} free places .* has 3 .*Leave out --emoji"):
        add_emoji(with_places(3), "tiny")
    with pytest.raises(UnsupportedEncoder, match="needs a WordPiece vocabulary, and the tokenizer of 'tiny' is BPE"):
        add_emoji(tiny_tokenizers.tiny_tokenizer("bpe").backend_tokenizer.to_str(), "tiny")


def test_emoji_are_no_part_of_an_encoder_that_is_loaded_without_them(folder):
    assert "😡" not in load(folder, clean_text=True).tokenizer_json.decode()
