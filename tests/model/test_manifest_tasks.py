"""The manifest by task: what must be there, what must not, and what an older release reports."""

import json

import pytest

from scorer.base.errors import BundleError
from scorer.model.confidence import CONFIDENCES
from scorer.model.manifest import parse_manifest

BINS = len(CONFIDENCES) - 1
NOTHING = {"texts": [0] * BINS, "right": [0] * BINS, "confidence": [0.0] * BINS}
ONE = {"texts": [0] * (BINS - 1) + [1], "right": [0] * BINS, "confidence": [0.0] * (BINS - 1) + [0.9995]}


def changed(bundle, change, needs=None):
    """Return the bytes of a bundle's manifest with other fields, and with the needs that follow from them."""
    fields = json.loads(bundle.manifest.to_json()) | change
    return json.dumps(fields | ({} if needs is None else {"needs": needs, "format_version": 2})).encode()


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("bundle", ("confidence",)),
        ("multi_label_bundle", ("multi_label",)),
        ("regression_bundle", ("regression",)),
        ("ordered_bundle", ("ordered", "confidence")),
    ],
)
def test_a_manifest_is_read_as_it_was_written(request, name, needs):
    manifest = request.getfixturevalue(name).manifest
    written = manifest.to_json()
    assert parse_manifest(written) == manifest
    fields = json.loads(written)
    assert tuple(fields.get("needs", ())) == needs == manifest.needs
    assert fields["format_version"] == (2 if needs else 1)
    new = {"task", "thresholds", "unit", "ordered", "confidence"}
    assert (
        new & fields.keys()
        == {
            ("confidence",): {"confidence"},
            ("multi_label",): {"task", "thresholds"},
            ("regression",): {"task", "unit"},
            ("ordered", "confidence"): {"ordered", "confidence"},
        }[needs]
    )


def test_confidence_is_a_need_of_its_own(bundle):
    found = parse_manifest(changed(bundle, {"confidence": {"int8": NOTHING, "fp32": ONE}}, ["confidence"]))
    assert found.confidence["fp32"].confidence[-1] == 0.9995
    assert parse_manifest(found.to_json()) == found


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("bundle", {"task": "translation"}, "task has an invalid value: 'translation'"),
        (
            "bundle",
            {"thresholds": [0.5, 0.5]},
            "thresholds must be above 0 and at most 1, one for each of several labels",
        ),
        ("bundle", {"unit": {"scale": [1.0], "offset": [0.0]}}, "unit must be set for a regression, and only for one"),
        ("bundle", {"ordered": True}, "ordered labels must be different numbers, of which one is chosen"),
        (
            "bundle",
            {"calibration": {"temperature": [1.0]}},
            "in a list with one for each label if a text can get several",
        ),
        ("bundle", {"confidence": {"int8": {**ONE, "right": [1] * BINS}}}, "more right texts than texts"),
        ("multi_label_bundle", {"thresholds": [0.5, 0.5]}, "thresholds must be above 0 and at most 1, one for each"),
        ("multi_label_bundle", {"thresholds": [0.5, 0.0, 0.5]}, "thresholds must be above 0 and at most 1"),
        (
            "multi_label_bundle",
            {"calibration": {"temperature": 1.0}},
            "in a list with one for each label if a text can get",
        ),
        ("multi_label_bundle", {"calibration": {"temperature": [1.0]}}, "one temperature for each label, not 1"),
        ("multi_label_bundle", {"calibration": {"temperature": [1.0, 0.0, 1.0]}}, "a temperature must be between"),
        ("multi_label_bundle", {"positive_label": "good"}, "positive_label must be set for two labels of which one is"),
        ("multi_label_bundle", {"confidence": {"fp32": NOTHING}}, "confidence need a model that chooses one label"),
        ("regression_bundle", {"unit": None}, "unit must be set for a regression"),
        ("regression_bundle", {"unit": {"scale": [0.0], "offset": [1.0]}}, "unit must have a scale above 0"),
        (
            "regression_bundle",
            {"unit": {"scale": [1.0, 1.0], "offset": [1.0]}},
            "unit must have a scale above 0 and an",
        ),
        ("regression_bundle", {"labels": []}, "labels must be one or more"),
        ("ordered_bundle", {"labels": ["1", "2.5", "2.50"]}, "ordered labels must be different numbers"),
    ],
)
def test_fields_that_contradict_the_task_are_refused(request, name, change, message):
    bundle = request.getfixturevalue(name)
    with pytest.raises(BundleError, match=r"manifest\.json cannot be used: ") as caught:
        parse_manifest(changed(bundle, change))
    assert message in str(caught.value)


def test_the_score_histogram_of_probabilities_has_their_bins(regression_bundle, multi_label_bundle):
    reference = json.loads(regression_bundle.manifest.to_json())["reference"]
    with pytest.raises(BundleError, match="the histogram score has the wrong bins"):
        parse_manifest(changed(multi_label_bundle, {"reference": reference}))


def test_an_older_release_names_what_it_does_not_know(multi_label_bundle):
    fields = json.loads(multi_label_bundle.manifest.to_json()) | {"needs": ["several_languages"], "format_version": 2}
    with pytest.raises(BundleError) as caught:
        parse_manifest(json.dumps(fields).encode())
    assert (
        str(caught.value) == "manifest.json needs several_languages, which this release does not know; use a newer one."
    )
