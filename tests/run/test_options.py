"""The options of a run: each is defined once, with its default and whether it shapes the output."""

from dataclasses import fields, replace

import pytest

from scorer.cli.score import command
from scorer.cli.score_ray import command as score_ray
from scorer.run.options import DEFAULTS, Band, Devices, ScoreOptions, Shard

OTHER_VALUES = {"uncertain": Band(0.4, 0.6), "shard": Shard(1, 2), "devices": Devices((0, 1)), "keep": ("stars",)}


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
    given = ["--uncertain", "0.40,0.6", "--shard", "1/8", "--devices", "0, 2", "--keep", "a"]
    options = ScoreOptions(**command.make_context("score", given, auto_envvar_prefix=None).params)
    assert (options.uncertain, options.shard, options.gpus) == ((0.4, 0.6), Shard(1, 8), (0, 2))
    found = options.as_json()
    assert [found[name] for name in ("uncertain", "shard", "devices", "keep")] == ["0.4,0.6", "1/8", "0,2", ["a"]]
