"""The options of a run: each is defined once, with its default and whether it shapes the output."""

import json
from dataclasses import fields, replace

import pytest

from scorer.base.errors import UsageError
from scorer.cli.score import command
from scorer.cli.score_ray import command as score_ray
from scorer.run.options import DEFAULTS, Band, ScoreOptions, Shard

OTHER_VALUES = {
    "uncertain": Band(0.4, 0.6), "shard": Shard(1, 2), "keep": ("stars",), "inputs": ("a", "b"),
    "threshold": 0.25, "max_error": 0.05, "max_reject_ratio": 0.5, "max_drift": 1, "max_rejects": 3, "limit": 4, "threads": 5,
    "batch_tokens": 6, "ragged": "pad", "null": ("NULL",), "min_rows": 9, "gpu_mem_limit": 7, "cache_max_rows": 8, "max_seconds": 2.5, "price_per_hour": 0.4,
}  # fmt: skip


def another(option):
    """Return a value of an option other than its default."""
    if option.name in OTHER_VALUES:
        return OTHER_VALUES[option.name]
    default = getattr(DEFAULTS, option.name)
    return not default if isinstance(default, bool) else 7 if isinstance(default, int) else f"{default}x"


@pytest.mark.parametrize("option", fields(ScoreOptions), ids=lambda option: option.name)
def test_every_option_says_whether_it_shapes_the_output(option):
    assert option.metadata["shapes_output"] in (True, False)
    changed = replace(DEFAULTS, **{option.name: another(option)}).shaping() != DEFAULTS.shaping()
    assert changed == option.metadata["shapes_output"]


def test_the_command_line_has_every_option_with_its_default():
    parameters = {parameter.name: parameter for parameter in command.params if parameter.expose_value}
    assert set(parameters) == {option.name for option in fields(ScoreOptions)}
    assert ScoreOptions(**command.make_context("score", [], auto_envvar_prefix=None).params) == DEFAULTS


def test_score_ray_gives_the_options_that_it_shares_the_same_defaults():
    own = {"output", "output_format", "workers", "gpus_per_worker", "address", "inputs"}
    given = score_ray.make_context("score-ray", ["-o", "out"], auto_envvar_prefix=None).params
    shared = {name: value for name, value in given.items() if name not in own}
    assert shared == {name: getattr(DEFAULTS, name) for name in shared}


def test_options_that_are_more_than_text_are_recorded_as_the_command_line_has_them():
    given = ["--uncertain", "0.40,0.6", "--shard", "1/8", "--keep", "a"]
    options = ScoreOptions(**command.make_context("score", given, auto_envvar_prefix=None).params)
    assert (options.uncertain, options.shard) == ((0.4, 0.6), Shard(1, 8))
    found = options.as_json()
    assert [found[name] for name in ("uncertain", "shard", "keep")] == ["0.4,0.6", "1/8", ["a"]]


@pytest.mark.parametrize("option", fields(ScoreOptions), ids=lambda option: option.name)
def test_an_option_is_read_again_from_the_record_of_a_run(option):
    options = replace(DEFAULTS, **{option.name: another(option)})
    assert ScoreOptions.from_json(json.loads(json.dumps(options.as_json()))) == options


@pytest.mark.parametrize("devices", [None, "0,1"])
def test_a_record_with_a_removed_option_that_chose_only_the_gpus_is_read(devices):
    assert ScoreOptions.from_json({"text": "body", "devices": devices}) == ScoreOptions(text="body")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"plans": True}, "this version has no option 'plans'."),
        ({"limit": "7"}, "the option limit has an invalid value: '7'."),
        ({"limit": True}, "the option limit has an invalid value: 'True'."),
        ({"keep": [1]}, "the option keep has an invalid value: '(1,)'."),
        ({"model": ["a"]}, "the option model has an invalid value: \"('a',)\"."),
        ({"shard": "3/2"}, "--shard 3/2: I must be from 1 to N."),
        ({"shard": 3}, "the option shard has an invalid value: '3'."),
        ({"uncertain": "0.4"}, "--uncertain takes LOW,HIGH, as in 0.4,0.6, not '0.4'."),
    ],
)
def test_what_is_no_option_of_a_record_is_named(values, message):
    with pytest.raises(UsageError) as caught:
        ScoreOptions.from_json(values)
    assert str(caught.value).startswith(message)
