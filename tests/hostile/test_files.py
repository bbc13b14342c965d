"""Bad files by name (files/), and the outcome of each (outcomes.jsonl): nothing is lost, and no neighbour changes."""

import base64
import csv
import json
from pathlib import Path

import pytest

from scorer import Scorer

HERE = Path(__file__).parent
OUTCOMES = [json.loads(line) for line in (HERE / "outcomes.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def tiny(bundle):
    return Scorer(bundle, provider="cpu")


def test_every_file_has_its_outcome():
    assert sorted(path.name for path in (HERE / "files").iterdir()) == [outcome["file"] for outcome in OUTCOMES]
    assert len(OUTCOMES) >= 150


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome["file"])
def test_a_bad_file_has_its_expected_outcome(outcome, score, tiny, tmp_path):
    source, out, rejects = HERE / "files" / outcome["file"], tmp_path / "out.csv", tmp_path / "rejects.jsonl"
    options = [*outcome.get("options", []), "--rejects", rejects]
    result = score(source, "-o", out, *options)
    assert "Error: unexpected" not in result.err
    assert "Traceback" not in result.err
    assert outcome.get("says", "") in result.err
    assert result.code == outcome["code"], result.err
    assert out.exists() == (result.code in (0, 3))
    if "rows" not in outcome:
        return
    rows = outcome["rows"]
    rejected = [json.loads(line) for line in rejects.read_text().splitlines()] if rejects.exists() else []
    expected = {number: row["rejected"] for number, row in enumerate(rows, start=1) if not isinstance(row, str)}
    assert {reject["row"]: reject["reason"] for reject in rejected} == expected
    if "utf-16" not in outcome.get("options", ()) and "utf-16-le" not in outcome.get("options", ()):
        data = source.read_bytes()
        for reject in rejected:
            raw = reject["raw"].encode() if "raw" in reject else base64.b64decode(reject["raw_base64"])
            assert data[reject["offset"] :].startswith(raw)
            assert reject["raw_truncated"] == (reject["length"] > len(raw))
    if result.code in (0, 3):
        with out.open(newline="") as stream:
            found = list(csv.DictReader(stream))
        texts = {number: row for number, row in enumerate(rows, start=1) if isinstance(row, str)}
        assert [int(row["row"]) for row in found] == list(texts)
        if texts:  # the score shows that each record's text was read exactly
            probabilities = tiny.score(list(texts.values())).probabilities[:, 1]
            assert [row["score"] for row in found] == [f"{probability:.6f}" for probability in probabilities]
