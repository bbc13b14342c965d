"""What a run's output depends on, and in what two runs differ."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import tokenizers

from scorer.base.version import __version__
from scorer.engine.runtime import onnxruntime_version
from scorer.model.scorer import Scorer
from scorer.rows.formats import PARQUET
from scorer.run.options import ScoreOptions
from scorer.run.resolve import Plan
from scorer.storage.output import same_place

REJECTS = "the rejects file"


def fingerprint(
    options: ScoreOptions, scorer: Scorer, plan: Plan, rows: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Everything that shapes the output but the input's content, by the name that messages give it.

    Not threads, which change nothing; not the limits, which may be changed to go on: what was done stays done.

    Args:
        options: the command's.
        scorer: what scores.
        plan: what the options mean.
        rows: the first and the last row, of a shard; where more rows came in the meantime, it has others.
    """
    shaping = options.shaping()
    if scorer.choice.provider != "cpu":
        shaping["--batch-tokens"] = scorer.batch_tokens
    if rows is not None:
        shaping["the shard's rows"] = list(rows)
    if plan.output_format.kind == PARQUET:  # the same rows are other bytes with another writer
        shaping["pyarrow"] = version("pyarrow")
    return {
        "review-scorer": __version__,
        "onnxruntime": onnxruntime_version(),
        "tokenizers": tokenizers.__version__,
        "the model": f"{scorer.manifest.name}, id {scorer.bundle_id}",
        "--provider": scorer.choice.provider,
        "--precision": scorer.choice.precision,
        "the cascade": "on" if scorer.cascade is not None else "off",
        "the inputs": list(options.inputs),
        REJECTS: same_place(plan.rejects),
        **shaping,
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed, in words.

    >>> differences({"--text": None, "--keep": ["id"]}, {"--text": "body", "--keep": ["id"]})
    ['--text was null, now "body"']
    """
    return [
        f"{name} was {_shown(before.get(name))}, now {_shown(now.get(name))}"
        for name in {**before, **now}
        if _shown(before.get(name)) != _shown(now.get(name))
    ]


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
