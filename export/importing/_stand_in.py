"""Stand-in until the families have heads; deleted then."""

from typing import Any, NamedTuple

from export.encoder.families import Family, family_of
from export.errors import UnsupportedEncoder


class HeadModules(NamedTuple):
    dense: str
    activation: str
    out: str


def family(config: Any) -> Family | None:
    try:
        return family_of(config, "x")
    except UnsupportedEncoder:
        return None


def head(family: Family) -> HeadModules:
    return {
        "distilbert": HeadModules("pre_classifier", "relu", "classifier"),
        "bert": HeadModules("bert.pooler.dense", "tanh", "classifier"),
        "roberta": HeadModules("classifier.dense", "tanh", "classifier.out_proj"),
    }[family.name]


def first_position(family: Family, config: Any) -> int:
    return family.first_position(config)
