"""Time of a run by operator: milliseconds on one thread for one text, from onnxruntime's profiler.

    pip install '.[bench]'
    python bench/operators.py ../shared/imdb/test.parquet --precision int8

Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from subject import load_subject

from export.encoder.weights import encoder_weights
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from scorer.engine import runtime

RUNS = 20


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
    milliseconds, nodes = profile(model.SerializeToString(), {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    total = sum(milliseconds.values())
    print("| operator | nodes | ms | share |\n|---|---|---|---|")
    for operator, spent in milliseconds.most_common():
        print(f"| {operator} | {nodes[operator]} | {spent:.2f} | {spent / total:.1%} |")
    print(f"| all | {nodes.total()} | {total:.1f} | |\n")
    print(json.dumps({**vars(arguments), "texts": arguments.texts.name, "milliseconds": milliseconds, "nodes": nodes}))


def profile(graph: bytes, feed: dict[str, np.ndarray]) -> tuple[Counter[str], Counter[str]]:
    """Measure the mean milliseconds of a run by operator, and count its nodes; an If counts as the nodes inside it."""
    with tempfile.TemporaryDirectory() as folder:
        options = runtime.session_options("cpu")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = runtime.open_session(graph, "cpu", options=options)
        for _ in range(RUNS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    milliseconds: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["args"]["op_name"] != "If":
            milliseconds[event["args"]["op_name"]] += event["dur"] / 1000 / RUNS
            nodes[event["args"]["op_name"]] += 1
    return milliseconds, Counter({operator: count // RUNS for operator, count in nodes.items()})


if __name__ == "__main__":
    main()
