"""Explanations: exact amounts of words, the encoder's part, and sentences, which are what leaving them out changes."""

from dataclasses import replace
from itertools import pairwise
from math import exp, fsum, log

import numpy as np
import onnx
import pytest
from factories import make_bundle, reviews, with_fields
from test_tokenizer_kinds import HOSTILE, file_of
from tiny_tokenizers import KINDS, tiny_tokenizer

from export.classifier.settings import WideSettings
from export.graph.split import without_wide
from scorer.base.errors import UsageError
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import Session
from scorer.engine.stages import Whole
from scorer.engine.wide import MULTIPLIER, Keys, WideWeights
from scorer.model.explanation import Contribution, contrast_of, explain, weighed, word_amounts, words_alone
from scorer.model.interpretation import MultiLabel, SingleLabel
from scorer.model.length_calibration import LengthCalibration
from scorer.model.loaded import LoadedModel
from scorer.model.offsets import Characters, Passage, Word, words_of
from scorer.model.sentences import MOST, sentences_of, without
from scorer.model.tokenizer import Tokenizer

TEXTS = [
    "The film was good. It was not bad, and so warm!",
    "dull dull film\nthe actor was superb... the plot was stale",
    "good",
    *reviews(20, 3, 11).texts,
    "a long film. " + "the film was so good and so bad. " * 30 + "It was a lovely scene.",
]


@pytest.fixture(scope="module")
def within(encoder, tmp_path_factory):
    """A bundle of two labels with all precisions, whose graphs include a wide part."""
    folder = tmp_path_factory.mktemp("bundles") / "within"
    return make_bundle(encoder("bert"), folder, wide=WideSettings(pairs=512))


@pytest.fixture(scope="module")
def within_of_three(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "within-three"
    labels = ("bad", "good", "mixed")
    return make_bundle(encoder("bert"), folder, labels, wide=WideSettings(pairs=512), precisions=("fp32",))


@pytest.fixture(scope="module")
def by_length(staged_bundle, tmp_path_factory):
    """The bundle with a cascade, with a calibration by length and a temperature."""
    return with_fields(
        staged_bundle,
        tmp_path_factory.mktemp("bundles") / "by-length",
        calibration_by_length=LengthCalibration((4, 20), (0.5, 2.0), ((0.25,), (-1.0,))),
        calibration={"temperature": 1.75},
        confidence=None,
    )


BUNDLES = [
    "bundle", "bundle_of_three", "multi_label_bundle", "ordered_bundle", "windows_bundle", "staged_bundle",
    "staged_bundle_of_three", "staged_windows_bundle", "within", "within_of_three", "by_length",
]  # fmt: skip


@pytest.fixture(params=BUNDLES)
def any_bundle(request):
    return request.getfixturevalue(request.param)


def encoder_alone(bundle, precision, rows):
    """Compute the encoder's logits by a graph that has no wide part."""
    model = LoadedModel(bundle, provider="cpu", precision=precision)
    graph = onnx.load_from_string(bundle.graph(precision))
    if any(node.output[0] == "wide.logits" for node in graph.graph.node):
        graph = without_wide(graph)
    session = Session(graph.SerializeToString(), "cpu", external=bundle.external(precision))
    return Whole(RowEngine(session, 1), windows=model.windows).logits(rows).astype(np.float64)


def amounts_of(found):
    return [*(word.amount for word in found.words), found.other_words, found.encoder or 0.0, found.constant]


@pytest.mark.parametrize("cascade", [True, False])
def test_all_amounts_add_up_to_the_margin_and_the_parts_are_those_of_the_graphs(any_bundle, cascade):
    model = LoadedModel(any_bundle, provider="cpu", precision="fp32", cascade=cascade)
    outcomes = model.submit_texts(TEXTS).result()
    values = model.interpretation.values(outcomes.logits)
    found = list(weighed(model, TEXTS, outcomes))
    alone = encoder_alone(any_bundle, "fp32", [one.ids for one in found])
    assert outcomes.early.any() == (cascade and any_bundle.manifest.cascade is not None)
    for row, one in enumerate(found):
        explanation = one.explanation
        assert fsum(amounts_of(explanation)) == pytest.approx(
            explanation.margin, abs=2e-6 * (1 + abs(explanation.margin))
        )
        words = fsum([*(word.amount for word in explanation.words), explanation.other_words])
        if model.wide_weights is None:
            assert words == 0
        else:
            assert words == pytest.approx(float(model.wide_weights.sums([one.ids])[0] @ one.factors), abs=1e-12)
        if outcomes.early[row]:
            assert explanation.encoder is None
        else:
            assert explanation.encoder == pytest.approx(float(alone[row] @ one.factors), abs=1e-4)
        names = model.labels
        label = values[row][names.index(explanation.label)]
        if explanation.against is None:
            threshold = model.interpretation.thresholds[names.index(explanation.label)]
            odds = log(label / (1 - label)) - log(threshold / (1 - threshold))
        else:
            odds = log(label / values[row][names.index(explanation.against)])
            assert label == values[row].max() > values[row][names.index(explanation.against)]
        assert explanation.margin == pytest.approx(odds, abs=1e-6)


def test_bundles_have_words_if_and_only_if_they_have_a_wide_part(any_bundle):
    model = LoadedModel(any_bundle, provider="cpu", precision="fp32", cascade=False)
    has_words = any(found.words for found in explain(model, TEXTS[:2]))
    assert has_words == ("wide_pairs" in any_bundle.manifest.head)


def test_a_wide_part_that_does_not_fit_is_not_explained(within, tmp_path):
    for number, pairs in enumerate((None, "512", 10**9, 0)):
        odd = with_fields(within, tmp_path / str(number), head={**within.manifest.head, "wide_pairs": pairs})
        model = LoadedModel(odd, provider="cpu", precision="fp32")
        assert model.wide_weights is None
        [found] = explain(model, ["the film was good"])
        assert (found.words, found.encoder) == ((), found.margin)


PIECES, PAIRS = 10, 5


def test_amounts_by_hand():
    # [CLS] not good, good [SEP], in which three pairs share a weight: those of the comma, and that of [CLS].
    ids = np.array([0, 2, 3, 4, 3, 1])
    pairs = [(int(a) * MULTIPLIER + int(b)) % PAIRS for a, b in pairwise(ids)]
    assert pairs == [2, 0, 2, 2, 4]
    weights = np.zeros((PIECES + PAIRS + 1, 1), dtype=np.float16)
    weights[:5, 0] = 0.5, 0.25, -1.0, 2.0, 0.25  # [CLS] [SEP] not good ,
    weights[PIECES : PIECES + PAIRS, 0] = -4.0, 9.0, 0.375, 9.0, -0.5
    text = "not good, good"
    words = [Word(at, at + 1, Characters(*place)) for at, place in enumerate([(0, 3), (4, 8), (8, 9), (10, 14)])]
    found, others = word_amounts(WideWeights.of(weights, PAIRS), text, ids, 1, words, np.array([2.0]))
    assert others == 2 * (0.5 + 0.25)
    assert found == (
        Contribution("not good", (Characters(0, 8),), 2 * -4.0),
        # Of two occurrences of the piece, and the pair with [SEP].
        Contribution("good", (Characters(4, 8), Characters(10, 14)), 2 * (2.0 - 0.5)),
        # The piece, and a third of the weight that its pair with [CLS] shares.
        Contribution("not", (Characters(0, 3),), 2 * (-1.0 + 0.125)),
        Contribution(",", (Characters(8, 9),), 2 * 0.25),
        Contribution("good,", (Characters(4, 9),), 2 * 0.125),
        Contribution(", good", (Characters(8, 14),), 2 * 0.125),
    )
    sums = WideWeights.of(weights, PAIRS).sums([ids])
    assert 2 * float(sums[0, 0]) == others + fsum(one.amount for one in found)


def test_words_are_whole_and_have_their_characters_where_characters_vanish(staged_bundle):
    model = LoadedModel(staged_bundle, provider="cpu", precision="fp32", cascade=False)
    text = "\x07\x07the \x07film  was\tsuperbly\u200b good"
    [found] = explain(model, [text])
    single = {word.text for word in found.words if " " not in word.text and "\t" not in word.text}
    assert {"the", "film", "was", "superbly", "good"} >= {word.strip("\u200b") for word in single}
    for word in found.words:
        for begin, end in word.places:
            assert text[begin:end] == text[begin:end].strip() != ""
        assert word.text == text[slice(*word.places[0])]


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_with_characters_is_in_one_word(kind):
    tokenizer = Tokenizer(file_of(tiny_tokenizer(kind)), 60)
    for text in ("unbelievably good, isn't it? 電影很好看 schön 다다 Film2", *HOSTILE[:6]):
        own = np.array(tokenizer.with_offsets([text])[0].ids)
        if not len(own):
            continue
        [words] = words_of(tokenizer, [Passage(text, own, 0, len(own))])
        assert words is not None
        tokens = [at for word in words for at in range(word.begin, word.end)]
        assert tokens == sorted(set(tokens))
        for word in words:
            shown = text[word.characters.begin : word.characters.end]
            assert shown == shown.strip() != ""
    text = "goodfilm xyz, bad"
    own = np.array(tokenizer.with_offsets([text])[0].ids)
    [words] = words_of(tokenizer, [Passage(text, own, 0, len(own))])
    assert [text[slice(*word.characters)] for word in words] == ["goodfilm", "xyz", ",", "bad"]


@pytest.mark.parametrize("name", ["bundle", "windows_bundle", "bundle_of_three", "multi_label_bundle"])
def test_the_amount_of_a_sentence_is_what_the_margin_loses_without_it(request, name):
    model = LoadedModel(request.getfixturevalue(name), provider="cpu", precision="fp32")
    for text in (TEXTS[0], TEXTS[1], "good film. bad. the plot was cold and stale."):
        [one] = weighed(model, [text], model.submit_texts([text]).result())
        found = one.with_sentences(model)
        places = sentences_of(text)
        assert [sentence.text for sentence in found.sentences] == [text[slice(*place)].strip() for place in places]
        rests = model.submit_texts([without(text, place) for place in places]).result()
        for sentence, logits in zip(found.sentences, rests.logits, strict=True):
            assert sentence.amount == pytest.approx(
                found.margin - (float(logits @ one.factors) + found.constant), abs=1e-5
            )
            assert sentence.text == text[slice(*sentence.places[0])]


def test_beside_a_wide_part_sentences_have_amounts_of_the_encoder_alone(staged_bundle, within):
    text = TEXTS[0]
    for bundle in (staged_bundle, within):
        model = LoadedModel(bundle, provider="cpu", precision="fp32", cascade=False)
        [one] = weighed(model, [text], model.submit_texts([text]).result())
        rests = model.tokenizer.encode([without(text, place) for place in sentences_of(text)]).ids
        alone = encoder_alone(bundle, "fp32", [one.ids, *rests]) @ one.factors
        amounts = [sentence.amount for sentence in one.with_sentences(model).sentences]
        assert amounts == pytest.approx((alone[0] - alone[1:]).tolist(), abs=1e-4)


def test_a_text_of_one_sentence_and_one_that_the_wide_part_decides_have_no_sentences(staged_bundle):
    model = LoadedModel(staged_bundle, provider="cpu", precision="fp32")
    outcomes = model.submit_texts(TEXTS).result()
    for text, early, found in zip(TEXTS, outcomes.early, explain(model, TEXTS), strict=True):
        assert bool(found.sentences) == (not early and len(sentences_of(text)) > 1)


def test_sentences_beyond_what_the_model_reads_are_not_left_out(bundle):
    model = LoadedModel(bundle, provider="cpu", precision="fp32")
    text = TEXTS[-1]
    [found] = explain(model, [text])
    assert 1 < len(found.sentences) <= MOST
    last = found.sentences[-1].places[0].end
    assert last < len(text) - 100
    # The part that the model reads has the same tokens as the whole.
    [ids], [part] = model.tokenizer.encode([text]).ids, model.tokenizer.encode([text[:last]]).ids
    assert ids.tolist() == part.tolist()


def test_a_sentence_without_which_no_token_is_left_has_no_amount(bundle):
    model = LoadedModel(bundle, provider="cpu", precision="fp32")
    [found] = explain(model, ["good film\n\x07\x07"])
    assert [(sentence.text, sentence.amount) for sentence in found.sentences] == [("\x07\x07", 0.0)]


def test_numbers_and_texts_without_a_token_are_refused(bundle, regression_bundle):
    with pytest.raises(UsageError, match="only labels can be explained, but this model gives numbers"):
        explain(LoadedModel(regression_bundle, provider="cpu"), ["good"])
    with pytest.raises(ValueError, match="which has no tokens"):
        explain(LoadedModel(bundle, provider="cpu"), ["good", "\u200b"])


def test_the_words_of_a_text_alone_are_those_of_its_explanation(staged_bundle, within_of_three, bundle):
    model = LoadedModel(staged_bundle, provider="cpu", precision="fp32", cascade=False)
    for text, found in zip(TEXTS[:2], explain(model, TEXTS[:2]), strict=True):
        [words] = words_alone(model, [text], [found.label])
        [others] = words_alone(model, [text], [found.against])
        assert [(one.text, one.places) for one in words] == [(one.text, one.places) for one in found.words]
        assert [one.amount for one in words] == pytest.approx([one.amount for one in found.words])
        assert sorted(one.amount for one in words) == pytest.approx(sorted(-one.amount for one in others))
    three = LoadedModel(within_of_three, provider="cpu", precision="fp32")
    each = words_alone(three, [TEXTS[0]] * 3, three.labels)
    by_word = [{one.text: one.amount for one in words} for words in each]
    for word in by_word[0]:
        assert sum(words.get(word, 0.0) for words in by_word) == pytest.approx(0, abs=1e-6)
    assert words_alone(three, ["\u200b"], ["good"]) == [()]
    assert words_alone(LoadedModel(bundle, provider="cpu"), TEXTS[:2], ["positive"] * 2) == [(), ()]


def test_the_labels_of_an_explanation():
    three = SingleLabel(("a", "b", "c"), 2.0)
    found = contrast_of(three, "b", np.array([0.2, 0.5, 0.3]))
    assert (found.label, found.against, found.direction.tolist()) == ("b", "c", [0.0, 0.5, -0.5])
    unsure = contrast_of(three, "uncertain", np.array([0.2, 0.3, 0.5]))
    assert (unsure.label, unsure.against) == ("c", "b")
    strict = contrast_of(SingleLabel(("no", "yes")), "no", np.array([0.3, 0.7]))  # with --threshold 0.8
    assert (strict.label, strict.against, strict.direction.tolist()) == ("no", "yes", [-1.0])
    several = MultiLabel(("a", "b"), (1.0, 1.0), (0.5, 1.0))
    found = contrast_of(several, (), np.array([0.1, 0.9]))
    assert (found.label, found.against) == ("b", None)
    assert np.isfinite(found.offset)
    quarter = contrast_of(replace(several, thresholds=(0.25, 0.9)), (), np.array([0.3, 0.1]))
    assert exp(-quarter.offset) == pytest.approx(0.25 / 0.75)


def test_the_json_form_has_the_largest_words_and_one_amount_for_all_others(staged_bundle):
    model = LoadedModel(staged_bundle, provider="cpu", precision="fp32", cascade=False)
    for found in explain(model, TEXTS):
        content = found.shortened(3).as_json()
        shown = [word["amount"] for word in content["words"]]
        assert len(shown) == min(3, len(found.words))
        assert [abs(one) for one in shown] == sorted(map(abs, shown), reverse=True)
        total = fsum([*shown, content["other_words"], content["encoder"], content["constant"]])
        assert total == pytest.approx(content["margin"], abs=5e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One", ["One"]),
        ("One. Two", ["One. ", "Two"]),
        ("  One!! 'Two?' (Three.) e.g. 3.5", ["  One!! ", "'Two?' ", "(Three.) ", "e.g. ", "3.5"]),
        ("\n\nOne\r\n\r\nTwo\n", ["\n\nOne\r\n\r\n", "Two\n"]),
        ("很好。不好\uff01\u300c好\uff1f\u300d對", ["很好。", "不好\uff01", "\u300c好\uff1f\u300d", "對"]),
        ("word " * 50, ["word " * 25, "word " * 25]),
    ],
)  # fmt: skip
def test_sentences_end_at_marks_and_lines(text, expected):
    assert [text[begin:end] for begin, end in sentences_of(text)] == expected


@pytest.mark.parametrize("text", ["One. " * 500, "word " * 5000, "a\n" * 99, "x" * 10_000, ". " * 1000, *HOSTILE])
def test_there_are_few_sentences_and_they_are_the_whole_text(text):
    found = sentences_of(text)
    assert len(found) <= MOST
    assert "".join(text[begin:end] for begin, end in found) == (text if text.strip() else "")


def test_the_pairs_of_a_text_have_the_same_numbers_alone_and_among_all_keys():
    keys, ids = Keys(50, 7), np.array([3, 9, 9, 4, 1])
    numbers, _ = keys.of([ids])
    assert numbers.tolist() == sorted({*ids.tolist(), *keys.of_pairs(ids).tolist()})
