"""Texts read in windows, in every gate of the export: PyTorch, batches, whole texts, int8, fp16 and golden rows."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from factories import MAX_LENGTH, reviews

from export.bundle.apart import with_wide_apart
from export.bundle.bundle import load_classifier
from export.bundle.golden import golden_rows, tolerances_of
from export.bundle.parity_check import check_bundle
from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.classifier.settings import HeadSettings, WideSettings, WindowOptions
from export.classifier.wide import Wide
from export.data import Dataset, Split
from export.encoder.load import load_encoder
from export.encoder.pooling import pooled
from export.encoder.weights import encoder_weights
from export.errors import ParityError
from export.graph.classifier import graph_logits
from export.graph.fp16 import to_half
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import to_float32
from export.graph.int8 import calibration_rows
from export.graph.parity import compare, compare_half, compare_texts, edge_rows, torch_logits
from export.training.fit import fit
from export.training.graphs import export_graphs
from export.training.manifest import unpublished
from export.training.run import Run
from export.training.settings import FitSettings, Settings
from scorer import Scorer
from scorer.engine.batches import pad
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.wide import Keys
from scorer.engine.windows import Windows
from scorer.model.interpretation import SingleLabel
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WIDE

STRIDE, MOST = 16, 4
WIDTH = MAX_LENGTH - 2
REACH = MAX_LENGTH + (MOST - 1) * STRIDE
OWN = REACH - 2  # own tokens of the longest text that is not cut

# Own tokens at each boundary: one window and its neighbours, two windows and their neighbours, the most windows.
EDGES = (1, WIDTH - 1, WIDTH, WIDTH + 1, WIDTH + STRIDE, WIDTH + STRIDE + 1, OWN - 1, OWN)


def windows(stride=STRIDE, combination="mean"):
    return Windows(MAX_LENGTH, 1, 1, stride, combination)


@pytest.fixture(scope="module")
def frozen(encoder_folder):
    return load_encoder(str(encoder_folder("bert")), max_length=MAX_LENGTH, max_tokens=REACH)


def classifier_of(frozen, reading, *, logits=1, wide=False):
    generator = np.random.default_rng(5)
    head = LinearHead(
        generator.normal(size=(logits, frozen.hidden_size)).astype(np.float32),
        generator.normal(size=logits).astype(np.float32),
    )
    keys = Keys(frozen.config.vocab_size, 64)
    weight = generator.normal(size=(keys.count, logits)).astype(np.float16)
    return Classifier(head, "mean", reading, Wide(keys, weight) if wide else None)


def session_of(frozen, classifier):
    graph = to_float32(encoder_weights(frozen), classifier.encoders_part)
    return open_session(graph.SerializeToString(), "cpu")


def words(count, seed=0):
    """Return a text of so many words, each of which is one token."""
    return " ".join(np.random.default_rng(seed).choice(["good", "bad", "film", "plot", "very", "warm"], size=count))


def rows_of(frozen, *counts):
    found = frozen.tokenizer.encode([words(count, count) for count in counts])
    return found.ids


def by_hand(frozen, classifier, ids, stride, combination):
    """Compute a text's logits by the definition alone: each window by itself, and a token's weight shared by its windows."""
    first, own, last = ids[:1], ids[1:-1], ids[-1:]
    start = max(0, len(own) - WIDTH)
    spans = [range(begin, min(len(own), begin + WIDTH)) for begin in (*range(0, start, stride), start)]
    having = [sum(token in span for span in spans) for token in range(len(own))]
    assert min(having) >= 1
    total, each = 0.0, []
    for span in spans:
        window = np.concatenate([first, own[span.start : span.stop], last])
        given, mask = map(torch.from_numpy, pad([window]))
        with torch.inference_mode():
            layers = frozen.model(input_ids=given, attention_mask=mask, output_hidden_states=True).hidden_states[1:]
        logits = classifier.head.logits(pooled(layers, mask, classifier.pooling, {}).numpy())[0].astype(np.float64)
        total = total + logits * sum(1 / having[token] for token in span)
        each.append(logits)
    return total / len(own) if combination == "mean" else np.max(each, axis=0)


# PyTorch


@pytest.mark.parametrize("combination", ["mean", "max"])
@pytest.mark.parametrize("stride", [STRIDE, 7, WIDTH])
def test_pytorch_reads_windows_as_defined(frozen, stride, combination):
    classifier = classifier_of(frozen, windows(stride, combination), logits=3, wide=True)
    for ids in rows_of(frozen, *EDGES):
        expected = by_hand(frozen, classifier, ids, stride, combination) + classifier.wide.sums([ids])[0]
        np.testing.assert_allclose(torch_logits(frozen, classifier, *pad([ids]))[0], expected, atol=2e-5, rtol=0)


def test_pytorch_reads_a_batch_of_texts_as_it_reads_each(frozen):
    classifier = classifier_of(frozen, windows(), wide=True)
    rows = rows_of(frozen, *EDGES, *EDGES)  # more windows than are computed at a time
    each = np.concatenate([torch_logits(frozen, classifier, *pad([ids])) for ids in rows])
    np.testing.assert_allclose(torch_logits(frozen, classifier, *pad(rows)), each, atol=2e-5, rtol=0)


# The gate of fp32


def test_texts_at_the_boundaries_have_exactly_as_many_tokens(frozen):
    found = edge_rows(windows(), frozen.tokenizer, reviews(5, 2, 1).texts)
    assert [len(ids) - 2 for ids in found] == [WIDTH, WIDTH + 1, WIDTH + STRIDE, OWN, OWN]
    assert [len(windows().rows(ids)) for ids in found] == [1, 2, 2, MOST, MOST]
    begin, end = frozen.tokenizer.encode(["good"]).ids[0][[0, -1]]
    assert {(ids[0], ids[-1]) for ids in found} == {(begin, end)}
    assert not any({begin, end} & set(ids[1:-1].tolist()) for ids in found)


def test_texts_at_the_boundaries_need_only_one_short_text(frozen):
    found = edge_rows(windows(), frozen.tokenizer, ["good"])
    assert [len(ids) - 2 for ids in found] == [WIDTH, WIDTH + 1, WIDTH + STRIDE, OWN, OWN]


def test_the_gate_compares_windows_in_batches_and_whole_texts_at_each_boundary(frozen):
    classifier = classifier_of(frozen, windows(), wide=True)
    texts = [*reviews(10, 2, 5).texts, words(40)]
    rows = frozen.tokenizer.encode(texts).ids
    parity = compare(
        session_of(frozen, classifier), frozen, classifier, rows,
        longest=MAX_LENGTH, edges=edge_rows(windows(), frozen.tokenizer, texts),
    )  # fmt: skip
    assert parity.shapes[1] == (1, MAX_LENGTH)
    assert parity.rows == 1 + 1 + 7 + 5 + 10 + len(windows().rows(rows[-1]))
    assert (parity.texts.texts, parity.texts.windows) == (16, (1, 2, 3, MOST))
    assert 0 < parity.texts.difference < 1e-4


@pytest.mark.parametrize("other", [windows(15), windows(STRIDE, "max")])
def test_the_gate_refuses_texts_that_are_read_in_other_windows(frozen, other):
    """Each window by itself passes, so only whole texts show it."""
    classifier = classifier_of(frozen, windows(), logits=3)
    session, rows = session_of(frozen, classifier), rows_of(frozen, 3, 60, 5)

    def by_pytorch(texts):
        different = replace(classifier, reading=other)
        return np.concatenate([torch_logits(frozen, different, *pad([ids])) for ids in texts])

    with pytest.raises(
        ParityError, match=r"in a logit of a text of 4 windows \(62 tokens\); at most 0\.0001 is allowed"
    ):
        compare_texts(RowEngine(session, 1), by_pytorch, windows(), rows)


def test_a_logit_that_is_no_number_does_not_pass(frozen):
    classifier = classifier_of(frozen, windows())
    rows = rows_of(frozen, 3, 60)
    expected = np.array([[0.0], [np.nan]], np.float32)
    with pytest.raises(ParityError, match="by nan in a logit of a text of 4 windows"):
        compare_texts(RowEngine(session_of(frozen, classifier), 1), lambda texts: expected, windows(), rows)


# int8 and fp16


def test_int8_is_calibrated_on_windows(frozen):
    classifier = classifier_of(frozen, windows())
    texts = rows_of(frozen, *[60] * 20, *[3] * 20)
    found = calibration_rows(classifier, texts, seed=0)
    assert len(found) == 40
    assert max(map(len, found)) == MAX_LENGTH
    every = {row.tobytes() for ids in texts for row in windows().rows(ids)}
    assert {row.tobytes() for row in found} <= every
    # Four fifths of all windows are of long texts, and so are most of these.
    assert 25 <= sum(len(row) == MAX_LENGTH for row in found) <= 38
    # Texts that are all read at once stay in their order, so that other bundles keep their bytes.
    assert calibration_rows(replace(classifier, reading=None), texts, seed=0) == texts


def test_fp16_is_compared_on_whole_texts(frozen):
    classifier = classifier_of(frozen, windows(), wide=True)
    rows = rows_of(frozen, *EDGES)
    calibration = calibration_rows(classifier, rows, seed=0)
    half = to_half(encoder_weights(frozen), classifier.encoders_part, calibration)
    found = compare_half(half, rows, SingleLabel(("a", "b")), classifier)
    assert found.rows == len(EDGES)
    logits = []
    for function, graph in ((half_logits, half.graph), (graph_logits, half.exact)):
        each = [(windows().rows(ids), windows().weights(len(ids))) for ids in rows]
        means = [np.average(function(graph, some)[:, 0], weights=weights) for some, weights in each]
        logits.append(np.array(means) + classifier.wide.sums(rows)[:, 0])
    lower, exact = (1 / (1 + np.exp(-one)) for one in logits)
    assert found.difference == pytest.approx(np.abs(lower - exact).max(), abs=1e-7)
    assert 0 < found.difference < 5e-3


# Golden rows


@pytest.mark.parametrize("wide", [False, True])
def test_golden_rows_have_a_text_of_several_windows_and_the_logits_of_whole_texts(frozen, wide):
    classifier = classifier_of(frozen, windows(), wide=wide)
    graph = to_float32(encoder_weights(frozen), classifier.encoders_part)
    golden = golden_rows({"fp32": graph}, frozen.tokenizer, classifier)
    ids = frozen.tokenizer.encode([row.text for row in golden]).ids
    assert len(windows().rows(ids[-1])) >= 2
    found = np.array([row.logits["fp32"] for row in golden])
    expected = np.concatenate([torch_logits(frozen, classifier, *pad([one])) for one in ids])
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=0)
    assert (WIDE in golden[0].logits) == wide
    if wide:
        assert np.array([row.logits[WIDE] for row in golden]).tolist() == classifier.wide.sums(ids).tolist()
    assert tolerances_of(golden, frozen.tokenizer, classifier) == {"fp32": 1e-3}


# All gates of a training run


@pytest.fixture(scope="module", params=[None, WideSettings(pairs=512)], ids=["encoder", "wide"])
def trained(request, frozen, tmp_path_factory):
    """A classifier that was fitted on short texts, with the graphs for reading long ones in windows."""
    lines, folder = list[str](), tmp_path_factory.mktemp("trained")
    long = [words(count, count) for count in (30, 50, 69, 70, 71, 200) * 5]
    test = reviews(30, 2, 2)
    test = Split([*test.texts, *long], np.array([*test.labels, *[0] * len(long)]))
    dataset = Dataset("synthetic", ("negative", "positive"), reviews(200, 2, 1), test)
    tokens = {name: frozen.tokenizer.encode(getattr(dataset, name).texts) for name in ("train", "test")}
    fit_settings = FitSettings(
        pooling="mean", wide=request.param, cascade=None, head=HeadSettings(l2=(0.1,)), cache=folder / "f", quiet=True
    )
    fitted = fit(dataset, frozen, tokens["train"].ids, fit_settings, lambda line: None)
    fitted = replace(fitted, classifier=replace(fitted.classifier, reading=windows()))
    settings = Settings(
        folder / "bundle", "trained", fit_settings, max_length=MAX_LENGTH, truncation="windows",
        windows=WindowOptions(STRIDE, MOST), precisions=("fp16", "int8"), parity_rows=20,
    )  # fmt: skip
    run = Run(dataset, tokens, settings, lines.append)
    return run, fitted, export_graphs(run, fitted), lines


def test_a_training_run_compares_windows_and_whole_texts(trained):
    _, fitted, exported, lines = trained
    assert {1, 2, MOST} <= set(exported.parity.texts.windows)
    # Fixed batches, and windows of as many texts as have no more windows than there are rows to compare.
    assert 1 + 1 + 7 + 5 + 10 <= exported.parity.rows <= 1 + 1 + 7 + 5 + 20
    assert any(
        "parity: logits differ from PyTorch by at most" in line and "windows (1e-04 is allowed)" in line
        for line in lines
    )
    assert any("whole texts of 1 to 4 windows: logits differ by at most" in line for line in lines)
    assert "int8: rounding the weights, with 64 windows of training texts for calibration" in lines
    assert (exported.wide is not None) == (fitted.wide is not None)
    if exported.wide_parity is not None:
        assert exported.wide_parity.shapes[1] == (1, REACH)  # the wide part reads whole texts
    assert exported.half.rows == exported.parity.texts.texts - 5  # all but the texts at the boundaries


def test_a_training_run_knows_the_logits_of_whole_texts_with_the_weights_of_fp16(trained):
    run, fitted, exported, _ = trained
    ids = run.tokens["test"].ids
    expected = np.concatenate([torch_logits(fitted.encoder, fitted.classifier, *pad([one])) for one in ids])
    assert exported.half_logits.shape == expected.shape
    # int8 rounds the weights.
    np.testing.assert_allclose(exported.half_logits, expected, atol=0.3)
    assert np.corrcoef(exported.half_logits[:, 0], expected[:, 0])[0, 1] > 0.99


def test_a_bundle_of_a_training_run_scores_whole_texts(trained):
    run, fitted, exported, _ = trained
    bundle = unpublished(run, fitted, exported)
    assert bundle.manifest.parity["texts"] == asdict(exported.parity.texts)
    scorer = LoadedModel(bundle, provider="cpu", precision="int8")  # checks the golden rows
    assert scorer.golden_difference < 1e-3
    counts = scorer.submit(scorer.tokenizer.encode([row.text for row in bundle.manifest.golden])).result().windows
    assert counts[-1] >= 2


# Bundles


def texts_of(*counts):
    return [words(count, count) for count in counts]


def own_tokens(bundle):
    return bundle.manifest.tokens_kept - 2


@pytest.mark.parametrize(("name", "family"), [("windows_bundle", "distilbert"), ("staged_windows_bundle", "bert")])
def test_a_bundle_is_compared_with_pytorch_at_each_boundary(name, family, encoder, request):
    bundle = request.getfixturevalue(name)
    most, stride = bundle.manifest.windows.most, bundle.manifest.windows.stride
    texts = texts_of(1, WIDTH, WIDTH + 1, WIDTH + stride, own_tokens(bundle), own_tokens(bundle) + 1, 500)
    parity, agreements = check_bundle(bundle, encoder(family), [*reviews(20, 2, 9).texts, *texts], threads=1)
    assert parity.texts.windows == (1, 2, most)
    assert parity.shapes[1] == (1, MAX_LENGTH)
    fp32 = next(one for one in agreements if one.precision == "fp32")
    assert fp32.difference < 1e-4
    assert fp32.labels == 1.0


@pytest.mark.parametrize("name", ["windows_bundle", "staged_windows_bundle"])
def test_the_scorer_gives_the_logits_of_pytorch_for_a_text_of_any_number_of_windows(name, encoder, request):
    bundle = request.getfixturevalue(name)
    family = "bert" if name.startswith("staged") else "distilbert"
    own, stride = own_tokens(bundle), bundle.manifest.windows.stride
    texts = texts_of(1, WIDTH - 1, WIDTH, WIDTH + 1, WIDTH + stride, WIDTH + stride + 1, own - 1, own, own + 1)
    scorer = LoadedModel(bundle, provider="cpu", precision="fp32", cascade=False)
    tokens = scorer.tokenizer.encode(texts)
    assert tokens.truncated == [False] * 8 + [True]
    classifier = load_classifier(bundle)
    expected = np.concatenate([torch_logits(encoder(family), classifier, *pad([ids])) for ids in tokens.ids])
    np.testing.assert_allclose(scorer.whole.logits(tokens.ids), expected, atol=2e-5, rtol=0)
    found = scorer.submit(tokens).result()
    assert found.windows.tolist() == [1, 1, 1, 2, 2, 3, 4, 4, 4]


def test_parity_of_the_command_names_whole_texts(windows_bundle, encoder_folder, score_model, tmp_path):
    data = tmp_path / "texts.csv"
    data.write_text("\n".join(["text", *(f'"{text}"' for text in [*reviews(20, 2, 3).texts, words(70)])]))
    result = score_model("parity", windows_bundle.path, "--data", data, "--encoder", encoder_folder("distilbert"))
    assert result.code == 0, result.err
    assert "fp32, 26 whole texts of 1 to 4 windows: largest logit difference" in result.out
    assert "int8, one window per run: largest logit difference" in result.out


def test_a_cascade_is_added_to_a_bundle_whose_wide_part_is_apart_already(staged_windows_bundle, tmp_path):
    cascade = staged_windows_bundle.manifest.cascade
    manifest = replace(staged_windows_bundle.manifest, cascade=None, reference=None, confidence=None)
    without = replace(staged_windows_bundle, manifest=manifest)
    found = with_wide_apart(without, load_classifier(without).wide, cascade, tmp_path / "with")
    assert found.manifest == replace(manifest, cascade=cascade)
    assert found.files == without.files
    texts = [*reviews(30, 2, 4).texts, words(70)]
    expected, scores = (
        Scorer(one, provider="cpu", precision="fp32").score(texts) for one in (staged_windows_bundle, found)
    )
    assert scores.labels == expected.labels
    assert scores.probabilities.tobytes() == expected.probabilities.tobytes()
