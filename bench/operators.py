"""Time of a run by operator: milliseconds on one thread for one text, from onnxruntime's profiler.

    pip install '.[bench]'
    python bench/operators.py ../shared/imdb/test.parquet --precision int8

Prints a table and, as its last line, one JSON object. Below the table is the rate of the graph's matrix products, beside
that of the quickest square product, with the same kernels on one thread.
"""

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ceilings import product_rate
from report import print_report
from subject import load_subject

from export.encoder.weights import encoder_weights
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from scorer.engine import runtime

RUNS = 20
CEILING_SIZES = (512, 768, 1024, 2048)
"""Rows and columns of the products that others are compared with."""

_PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "MatMulIntegerToFloat"}
_KINDS = {"uint8": "int8", "int8": "int8", "float": "fp32"}  # by the type of a product's first factor


@dataclass(frozen=True)
class Profile:
    """Means of a run.

    Attributes:
        milliseconds: milliseconds by operator.
        nodes: number of nodes by operator.
        operations: operations of the matrix products, ``int8`` and ``fp32``.
        product_milliseconds: their milliseconds.
    """

    milliseconds: Counter[str]
    nodes: Counter[str]
    operations: Counter[str]
    product_milliseconds: Counter[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with a column text, for calibrating int8")
    parser.add_argument("--encoder", default="distilbert", help="distilbert, minilm (random weights), or a folder")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="int8")
    parser.add_argument("--pooling", choices=("cls", "mean"), default="cls")
    parser.add_argument("--tokens", type=int, default=250)
    arguments = parser.parse_args()
    subject = load_subject(arguments.encoder, arguments.texts, 1, 1)
    weights, classifier = encoder_weights(subject.encoder), replace(subject.classifier, pooling=arguments.pooling)
    if arguments.precision == "fp32":
        model = to_float32(weights, classifier)
    else:
        model = to_int8(weights, classifier, subject.calibration)
    ids = np.random.default_rng(0).integers(1000, 20_000, size=(1, arguments.tokens))
    found = profile(model.SerializeToString(), {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    products = products_of(found, CEILING_SIZES)
    print_tables(found, products)
    print_report(arguments, {"milliseconds": found.milliseconds, "nodes": found.nodes, "products": products})


def profile(graph: bytes, feed: dict[str, np.ndarray]) -> Profile:
    """Measure a graph's nodes on one thread; an If counts as the nodes inside it."""
    with tempfile.TemporaryDirectory() as folder:
        options = runtime.session_options("cpu")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = runtime.open_session(graph, "cpu", options=options)
        for _ in range(RUNS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    found = Profile(Counter(), Counter(), Counter(), Counter())
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["args"]["op_name"] != "If":
            add_node(found, event["args"], event["dur"] / 1000)
    nodes, operations = (
        Counter({name: count // RUNS for name, count in counts.items()}) for counts in (found.nodes, found.operations)
    )
    return replace(found, nodes=nodes, operations=operations)


def add_node(found: Profile, node: dict, milliseconds: float) -> None:
    """Add a run of a node to the sums."""
    operator = node["op_name"]
    found.milliseconds[operator] += milliseconds / RUNS
    found.nodes[operator] += 1
    if operator in _PRODUCTS:
        ((kind, shape),) = node["input_type_shape"][0].items()
        found.operations[_KINDS[kind]] += product_operations(shape, *node["output_type_shape"][0].values())
        found.product_milliseconds[_KINDS[kind]] += milliseconds / RUNS


def product_operations(first: list[int], output: list[int]) -> int:
    """Count the operations of a product by the shapes of its first factor and its output; weights are in no event.

    >>> product_operations([1, 250, 768], [1, 250, 3072]) == 2 * 250 * 768 * 3072
    True
    """
    return 2 * first[-1] * math.prod(output)


def products_of(found: Profile, sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """Compare the rates of the products, in 10^9 operations a second, with the best of square ones on one thread.

    Args:
        found: profile of a graph.
        sizes: numbers of rows and columns of the square products.
    """
    products = {}
    for kind, operations in found.operations.items():
        milliseconds = found.product_milliseconds[kind]
        rate, ceiling = operations / milliseconds / 1e6, max(product_rate(kind, size) for size in sizes) / 1e9
        products[kind] = {"milliseconds": milliseconds, "gops": rate, "ceiling": ceiling, "share": rate / ceiling}
    return products


def print_tables(found: Profile, products: dict[str, dict[str, float]]) -> None:
    total = found.milliseconds.total()
    print("| operator | nodes | ms | share |\n|---|---|---|---|")
    for operator, spent in found.milliseconds.most_common():
        print(f"| {operator} | {found.nodes[operator]} | {spent:.2f} | {spent / total:.1%} |")
    print(f"| all | {found.nodes.total()} | {total:.1f} | |\n")
    for kind, one in products.items():
        print(
            f"products, {kind}: {one['milliseconds']:.1f} ms, {one['gops']:,.0f} GOP/s of {one['ceiling']:,.0f} that a "
            f"square product reaches ({one['share']:.0%})"
        )


if __name__ == "__main__":
    main()
