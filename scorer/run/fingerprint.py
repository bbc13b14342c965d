"""Fingerprints: everything that a run's output depends on, and the differences between two of them."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import tokenizers

from scorer.base.version import __version__
from scorer.engine.runtime import onnxruntime_version
from scorer.model.loaded import LoadedModel
from scorer.rows.formats import PARQUET
from scorer.run.options import ScoreOptions
from scorer.run.resolve import Plan
from scorer.storage.output import same_place

REJECTS = "the rejects file"
UNCERTAIN_ROWS = "--uncertain-rows"


def fingerprint(
    options: ScoreOptions, scorer: LoadedModel, plan: Plan, rows: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return everything that shapes the output except the input's content, by its name in messages.

    Threads are left out because they change nothing. Limits are left out so that a run can be resumed with others.

    Args:
        options: options of the command.
        scorer: loaded model.
        plan: plan that the options resolve to.
        rows: first and last row of a shard, which change if the input grows; None without --shard.
    """
    shaping = options.shaping()
    if scorer.choice.provider != "cpu":
        shaping["--batch-tokens"] = scorer.batch_tokens
    if rows is not None:
        shaping["the shard's rows"] = list(rows)
    if plan.output_format.kind == PARQUET:  # another version writes the same rows as other bytes
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
        UNCERTAIN_ROWS: None if plan.uncertain is None else same_place(plan.uncertain.place),
        **shaping,
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the changed values, each as a phrase for a message.

    >>> differences({"--text": None, "--keep": ["id"]}, {"--text": "body", "--keep": ["id"]})
    ['--text was not set, now "body"']
    >>> differences({"the inputs": ["a.csv"]}, {"the inputs": ["b.csv"]})
    ['the inputs were ["a.csv"], now ["b.csv"]']
    """
    return [
        f"{name} {'were' if name.endswith('s') and name.startswith('the ') else 'was'} {_shown(before.get(name))}, now {_shown(now.get(name))}"
        for name in {**before, **now}
        if _shown(before.get(name)) != _shown(now.get(name))
    ]


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
