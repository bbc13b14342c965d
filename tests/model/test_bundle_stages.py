"""A bundle with a cascade: the scores of its two stages, and refusals while it is loaded."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from factories import list_again, reviews, with_limits

from scorer.base.errors import BundleError
from scorer.engine.cascade import Cascade
from scorer.model.bundle import load_bundle
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import parse_manifest

TEXTS = [*reviews(200, 2, 11).texts, " ".join(reviews(12, 2, 11).texts)]


@pytest.fixture
def copy(staged_bundle, tmp_path):
    shutil.copytree(staged_bundle.path, tmp_path / "copy")
    return tmp_path / "copy"


def staged(scorer, texts=TEXTS):
    return scorer.submit(scorer.tokenizer.encode(texts)).result()


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_a_row_that_the_encoder_decides_keeps_its_bits_and_an_early_one_has_the_wide_parts(staged_bundle, precision):
    scorer = LoadedModel(staged_bundle, provider="cpu", precision=precision)
    whole = LoadedModel(staged_bundle, provider="cpu", precision=precision, cascade=False)
    found, without = staged(scorer), staged(whole)
    alone = whole.wide_alone(whole.tokenizer.encode(TEXTS))
    early = found.early
    assert 0.2 < early.mean() < 0.8
    assert (early == alone.early).all()
    assert not without.early.any()
    assert (found.values[~early] == without.values[~early]).all()
    assert (found.values[early] == alone.values[early]).all()
    assert (found.values[early] != without.values[early]).any()
    assert (whole.cascade, whole.has_cascade, scorer.cascade) == (None, True, staged_bundle.manifest.cascade)


@pytest.mark.parametrize("name", ["staged_bundle", "staged_bundle_of_three"])
def test_scores_are_the_same_whatever_the_threads_the_neighbours_and_the_order(request, name):
    bundle = request.getfixturevalue(name)
    texts = TEXTS if name == "staged_bundle" else reviews(200, 3, 11).texts
    expected = staged(LoadedModel(bundle, provider="cpu", precision="fp32", threads=1), texts)
    assert 0.1 < expected.early.mean() < 0.9
    scorer = LoadedModel(bundle, provider="cpu", precision="fp32", threads=3)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = staged(scorer, [texts[row] for row in order])
    again = staged(scorer, texts * 2)  # from remembered rows
    anew = LoadedModel(bundle, provider="cpu", precision="fp32", threads=2)
    one_by_one = [staged(anew, [text]) for text in texts[:60]]
    for found, rows in (
        (shuffled, order),
        (again, np.tile(np.arange(len(texts)), 2)),
        (_joined(one_by_one), np.arange(60)),
    ):
        assert (found.early == expected.early[rows]).all()
        assert (found.values == expected.values[rows]).all()
        assert list(found.labels) == [expected.labels[row] for row in rows]


def _joined(parts):
    return type(parts[0])([one.labels[0] for one in parts], *map(np.concatenate, list(zip(*parts, strict=True))[1:]))


def test_the_wide_part_alone_scores_every_text_with_tokens(staged_bundle):
    scorer = LoadedModel(staged_bundle, provider="cpu")
    found = scorer.wide_alone(scorer.tokenizer.encode(["good", "", "bad"]))
    assert found.values.shape == (3, 2)
    assert not np.isnan(found.values).any()


def test_texts_without_a_token_have_gaps_among_early_ones_as_well(staged_bundle):
    scorer = LoadedModel(staged_bundle, provider="cpu")
    found = staged(scorer, ["​", *TEXTS[:20], "​"])
    assert np.isnan(found.values[[0, -1]]).all()
    assert found.early[[0, -1]].tolist() == [False, False]
    assert (found.early[1:-1] == staged(scorer, TEXTS[:20]).early).all()


def test_limits_that_decide_all_or_nothing_are_limits(copy):
    bundle = load_bundle(copy)
    scale, bias = bundle.manifest.cascade.scale, bundle.manifest.cascade.bias
    change = -bias[0] / scale  # the sum at which the label changes
    everything = with_limits(bundle, Cascade(scale, bias, (change, change)))
    assert staged(LoadedModel(everything, provider="cpu")).early.all()
    nothing = with_limits(bundle, Cascade(scale, bias, (-1e9, 1e9)))
    assert not staged(LoadedModel(nothing, provider="cpu")).early.any()


def test_the_manifest_names_its_needs_and_is_read_as_it_was_written(staged_bundle):
    fields = json.loads((staged_bundle.path / "manifest.json").read_bytes())
    assert (fields["format_version"], fields["needs"]) == (2, ["cascade", "confidence"])
    assert parse_manifest(staged_bundle.manifest.to_json()) == staged_bundle.manifest
    assert all({"fp32", "int8", "fp16", "wide"} == row.logits.keys() for row in staged_bundle.manifest.golden)


def test_the_manifest_of_a_bundle_without_a_cascade_does_not_mention_one(bundle):
    fields = json.loads(replace(bundle.manifest, confidence=None).to_json())
    assert fields["format_version"] == 1
    assert not {"needs", "wide", "cascade"} & fields.keys()
    assert "score_without_cascade" not in fields["reference"]
    scorer = LoadedModel(bundle, provider="cpu")
    assert (scorer.cascade, scorer.has_cascade, scorer.reference) == (None, False, bundle.manifest.reference)


def test_each_way_of_scoring_has_its_own_reference(staged_bundle):
    reference = staged_bundle.manifest.reference
    assert LoadedModel(staged_bundle, provider="cpu").reference == reference
    without = LoadedModel(staged_bundle, provider="cpu", cascade=False).reference
    assert without.score == reference.score_without_cascade
    assert (without.tokens, without.unknown) == (reference.tokens, reference.unknown)


# Refusals


def rewrite(folder, change):
    fields = json.loads((folder / "manifest.json").read_bytes())
    change(fields)
    (folder / "manifest.json").write_text(json.dumps(fields))
    list_again(folder)


def rewrite_graph(folder, change):
    model = onnx.load_from_string((folder / "wide.onnx").read_bytes())
    change(model)
    (folder / "wide.onnx").write_bytes(model.SerializeToString())
    list_again(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.update(needs=["cascade", "lookahead", "\x1b[2J"]), "needs lookahead, "),
        (lambda m: m.update(needs=["lookahead"]), "needs lookahead, which this release does not know; use a newer one"),
        (lambda m: m.update(needs=[]), "format version 2 and needs"),
        (lambda m: m.pop("needs"), "format version 2 and needs"),
        (lambda m: m.update(needs="cascade"), "does not know"),
        (lambda m: m.update(needs=7), "cannot be used"),
        (lambda m: m.update(format_version=1), "format version 1 and needs"),
        (lambda m: m.update(cascade=None), "a wide part has its own graph only with a cascade or windows"),
        (lambda m: m.pop("wide"), "a cascade needs a wide part with its own graph"),
        (lambda m: m["cascade"].update(bias=[0.0, 0.0], limits=[1.0]), "2 biases for 2 labels"),
        (lambda m: m["cascade"].update(limits=[1.0]), "two limits for one logit"),
        (lambda m: m["cascade"].update(limits=[5.0, 6.0]), "both sides"),
        (lambda m: m["cascade"].update(limits=[float("-inf"), 6.0]), "not JSON"),
        (lambda m: m["cascade"].update(scale=0), "scale must be above 0"),
        (lambda m: m["cascade"].update(scale=1e39), "at most 1e+06"),
        (lambda m: m["cascade"].update(scale=True), "scale has an invalid value"),
        (lambda m: m["cascade"].update(scale="1"), "cannot be used"),
        (lambda m: m["cascade"].update(more=1), "cannot be used"),
        (lambda m: m["wide"].update(file="../wide.onnx"), "names the graph ../wide.onnx, which"),
        (lambda m: m["wide"].update(file="model.fp32.onnx"), "it has no tensor 'wide.weight'"),
        (lambda m: m["wide"].update(file=1), "file has an invalid value"),
        (lambda m: m["wide"].update(pairs=0), "do not have the type and shape"),
        (lambda m: m["wide"].update(pairs=-5), "do not have the type and shape"),
        (lambda m: m["wide"].update(pairs=10**30), "do not have the type and shape"),
        (lambda m: m["wide"].update(pairs=m["wide"]["pairs"] - 1), "the sums of the wide part differ"),
        (lambda m: m["wide"].update(pairs=m["wide"]["pairs"] + 40), "the tokenizer's highest id is"),
        (lambda m: m["golden"][2]["logits"].update(wide=[0.125]), "the sums of the wide part differ"),
        (lambda m: [row["logits"].pop("wide") for row in m["golden"]], "no golden rows for its wide part"),
        (lambda m: m["reference"].pop("score_without_cascade"), "a reference must have scores without the cascade if"),
        (lambda m: m["reference"]["score_without_cascade"]["counts"].reverse() or m["reference"]["score_without_cascade"]["counts"].append(1), "ascending edges"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_refused(copy, change, says):
    rewrite(copy, change)
    with pytest.raises(BundleError) as caught:
        LoadedModel(copy, provider="cpu")
    assert says in str(caught.value)
    assert "copy" in str(caught.value)


def test_a_weight_that_was_changed_is_noticed_by_the_golden_rows(copy):
    """The golden rows notice a changed weight even if the checksums match."""

    def change(model):
        (table,) = (one for one in model.graph.initializer if one.name == "wide.weight")
        entries = {entry.key: entry.value for entry in table.external_data}
        path = copy / entries["location"]
        data = bytearray(path.read_bytes())
        for at in range(int(entries["offset"]), int(entries["offset"]) + int(entries["length"]) - 2, 2):
            data[at] ^= 1  # the last bit of each weight
        path.write_bytes(data)

    rewrite_graph(copy, change)
    with pytest.raises(BundleError, match="the sums of the wide part differ"):
        LoadedModel(copy, provider="cpu")


def test_a_graph_whose_sums_differ_from_the_tables_is_noticed(copy):
    def change(model):
        (node,) = (one for one in model.graph.node if one.op_type == "Mod")
        node.input[1] = "wide.multiplier"

    rewrite_graph(copy, change)
    with pytest.raises(BundleError, match="the sums of the wide part differ"):
        LoadedModel(copy, provider="cpu")


def test_a_wide_part_without_its_graph_or_its_weights_is_refused(copy):
    (copy / "wide.onnx").unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        LoadedModel(copy, provider="cpu")
