"""Accuracy of bundles on texts as they are, and on variants of them: upper case, typos, markup, white space and the like.

    python bench/robustness.py models/default --data imdb/test.parquet --data reviews/test.parquet --domain-column domain

bench/variants.py defines the variants; bundles read the same ones. Labels are the bundle's, or as many others, in their
sorted order. Prints a table for each bundle: accuracy on the plain texts by domain, and the points that each variant gains
or loses, for all texts with the 95% interval. The last line is one JSON object with every accuracy.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from report import print_message, print_report
from variants import VARIANTS, variant

from export.data import labels_in
from export.data_files import read_files
from export.data_source import Columns
from export.evaluation.cascade import accuracy_loss
from export.evaluation.evaluate import number_labels
from export.evaluation.model_card import table
from scorer import Scorer

PLAIN = "plain"

Right = Mapping[str, np.ndarray]
"""Texts with the right label, bool (texts,), by variant; `PLAIN` is the first."""


@dataclass(frozen=True)
class Texts:
    """Labelled texts.

    Attributes:
        plain: texts as they are.
        labels: label numbers, int64 (texts,).
        domains: domain of each text, str (texts,).
    """

    plain: Sequence[str]
    labels: np.ndarray
    domains: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", help="bundles with the same labels")
    parser.add_argument("--data", action="append", required=True, metavar="FILE", help="labelled texts; repeatable")
    parser.add_argument("--domain-column", help="a file without this column is a domain of its own")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--most", type=int, default=2000, help="texts of a domain, drawn at random if it has more")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    scorers = {bundle: Scorer(bundle, provider="cpu", precision=given.precision) for bundle in given.bundles}
    columns = Columns(label=given.label_column, domain=given.domain_column)
    texts = drawn(read(given.data, columns, scorers[given.bundles[0]].labels), given.most, given.seed)
    print_message(f"{len(texts.plain):,} texts of {len(set(texts.domains)):,} domains")
    right: dict[str, dict[str, np.ndarray]] = {bundle: {} for bundle in scorers}
    for name in (PLAIN, *VARIANTS):
        changed = [text if name == PLAIN else variant(name, text, given.seed) for text in texts.plain]
        for bundle, scorer in scorers.items():
            right[bundle][name] = scorer.score(changed).probabilities.argmax(axis=1) == texts.labels
            print_message(f"{bundle}, {name}: {right[bundle][name].mean():.2%}")
    for bundle, found in right.items():
        print(f"{bundle}\n\n{shown(texts.domains, found)}\n")
    figures = {bundle: accuracies(texts.domains, found) for bundle, found in right.items()}
    print_report(given, {"seed": given.seed, "texts": len(texts.plain), "bundles": figures})


def read(files: Sequence[str], columns: Columns, labels: tuple[str, ...]) -> Texts:
    """Read labelled texts of files, each with its own names of the bundle's labels."""
    texts: list[str] = []
    numbers, domains = [], []
    for file in files:
        rows = read_files([file], columns)
        names = None if labels_in(rows) <= set(labels) else labels
        texts += [row.text for row in rows]
        numbers.append(number_labels(rows, labels, names).labels)
        domains.append([row.domain for row in rows])
    return Texts(texts, np.concatenate(numbers), np.concatenate(domains))


def drawn(texts: Texts, most: int, seed: int) -> Texts:
    """Draw some texts of each domain at random, or return them all; their order stays."""
    random = np.random.default_rng(seed)
    each = [np.flatnonzero(texts.domains == name) for name in sorted(set(texts.domains))]
    rows = np.sort(np.concatenate([random.permutation(some)[:most] for some in each]))
    return Texts([texts.plain[row] for row in rows], texts.labels[rows], texts.domains[rows])


def accuracies(domains: np.ndarray, right: Right) -> dict[str, Any]:
    """Return the accuracy of each variant by domain, their means over domains, and the accuracy over all texts."""
    by_domain = {
        str(name): {
            "texts": int((domains == name).sum()),
            **{one: float(hits[domains == name].mean()) for one, hits in right.items()},
        }
        for name in sorted(set(domains))
    }
    macro = {one: float(np.mean([found[one] for found in by_domain.values()])) for one in right}
    whole = {one: float(hits.mean()) for one, hits in right.items()}
    return {"by_domain": by_domain, "macro_mean": macro, "all": whole}


def shown(domains: np.ndarray, right: Right) -> str:
    """Format the table of a bundle: accuracy of the plain texts in percent, and the points that variants add."""
    found = accuracies(domains, right)

    def row(name: str, texts: int, figures: Mapping[str, Any]) -> tuple[str, ...]:
        plain = figures[PLAIN]
        return name, f"{texts:,}", f"{plain:.2%}", *(f"{100 * (figures[one] - plain):+.2f}" for one in VARIANTS)

    rows = [row(name, figures["texts"], figures) for name, figures in found["by_domain"].items()]
    if len(rows) > 1:
        rows.append(row(f"macro mean of {len(rows)} domains", len(domains), found["macro_mean"]))
        rows.append(row("all texts", len(domains), found["all"]))
    losses = [accuracy_loss(right[PLAIN], right[one]) for one in VARIANTS]
    rows.append(("95% interval", "", "", *(f"{-loss.interval[1]:+.2f} to {-loss.interval[0]:+.2f}" for loss in losses)))
    return table(("domain", "texts", PLAIN, *VARIANTS), rows)


if __name__ == "__main__":
    main()
