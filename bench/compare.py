"""Figures of two runs of a script of bench/ side by side: old, new and new / old.

    python bench/cpu.py TEXTS.parquet > old.txt     # then change the code, and write new.txt
    python bench/compare.py old.txt new.txt

The last line of each file is the script's report, one JSON object. Of a figure with several rounds, medians are compared.
Runs on different machines, of different scripts or with different settings are refused with exit code 2.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report import IDENTITY, ORIGIN

# Numbers that name an entry of a list, as its strings do; they are sizes that a script was asked for.
_SIZES = ("rows", "each", "texts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="saved output of a script, or its last line")
    parser.add_argument("new", type=Path, help="the same of another run")
    arguments = parser.parse_args()
    try:
        old, new = read_report(arguments.old), read_report(arguments.new)
        check_origins(old, new)
    except ValueError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    print_comparison(old, new)


def read_report(path: Path) -> dict[str, Any]:
    """Read the report in the last line of a file; raise ValueError unless there is one that names its origin."""
    try:
        report = json.loads(path.read_text(encoding="utf-8").strip().rpartition("\n")[2])
    except (OSError, ValueError):
        report = None
    if not isinstance(report, dict):
        raise ValueError(f"{path} has no report in its last line; save the whole output of a script of bench/")
    if not report.keys() >= set(ORIGIN) or not report["machine"].get("cpu"):
        raise ValueError(f"{path} does not name the CPU, the script and its settings; run the script of today again")
    return report


def check_origins(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise ValueError if two reports come from different scripts, machines or settings."""
    if old["script"] != new["script"]:
        raise ValueError(f"the runs are of different scripts ({old['script']} / {new['script']})")
    machines = [{key: one["machine"].get(key) for key in IDENTITY} for one in (old, new)]
    if found := differences(*machines):
        why = "rates of different machines do not show what the code changed"
        raise ValueError(f"the runs are from different machines ({found}); {why}")
    if found := differences(old["settings"], new["settings"]):
        raise ValueError(f"the runs have different settings ({found}); run both with the same ones")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Name the values that differ.

    >>> differences({"cpu": "Intel Xeon", "cores": 2, "flags": ["avx2"]}, {"cpu": "AMD EPYC", "cores": 2})
    'cpu Intel Xeon / AMD EPYC, flags avx2 / none'
    """
    pairs = {key: (old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])}
    return ", ".join(f"{key} {_shown(a)} / {_shown(b)}" for key, (a, b) in pairs.items() if a != b)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def print_comparison(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Print the versions that differ, and each figure that both reports have."""
    if versions := differences(old["machine"]["versions"], new["machine"]["versions"]):
        print(f"versions: {versions}\n")
    before, after = medians(old), medians(new)
    print("| figure | old | new | new / old |\n|---|---|---|---|")
    for name in (name for name in before if name in after):
        ratio = f"{after[name] / before[name]:.3f}" if before[name] else ""
        print(f"| {name} | {before[name]:,.6g} | {after[name]:,.6g} | {ratio} |")
    if alone := len(before.keys() ^ after.keys()):
        print(f"\n{alone} figures are in one of the reports alone.")


def medians(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a report by name, of rounds the median.

    >>> medians({"script": "cpu.py", "contenders": [{"key": "a", "rate": {"median": 2, "least": 1}}], "peaks": [3, 5]})
    {'contenders, a, rate': 2.0, 'peaks': 4.0}
    """
    found: dict[str, list[float]] = {}
    for name, figure in _figures({key: value for key, value in report.items() if key not in ORIGIN}, ()):
        found.setdefault(", ".join(name), []).append(figure)
    return {name: float(statistics.median(values)) for name, values in found.items()}


def _figures(value: Any, name: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the numbers of a part of a report with their names; those of several rounds have the same name."""
    if isinstance(value, dict) and "median" in value:
        yield name, value["median"]
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _figures(one, (*name, key))
    elif isinstance(value, list):
        for one in value:  # an entry is found by its strings and sizes, since the order may differ
            own = _names(one) if isinstance(one, dict) else {}
            rest = {key: other for key, other in one.items() if key not in own} if own else one
            yield from _figures(rest, (*name, *dict.fromkeys(map(str, own.values()))))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _names(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if isinstance(value, str) or key in _SIZES}


if __name__ == "__main__":
    main()
