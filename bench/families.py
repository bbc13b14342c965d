"""Families of encoders on CPU: graphs written node by node, graphs exported by PyTorch, and a plain export.

    pip install '.[bench]'
    python bench/families.py TEXTS.parquet --only mpnet,modernbert --int8

Every family has base size and random weights, so the figures are speeds, not accuracies. Rates are reviews per second from
token ids to logits, in alternating rounds. "plain" is the whole model as torch.onnx.export writes it, on onnxruntime with
default settings. It runs in padded batches sorted by length and a row a run, and the faster way counts. Logits of a few
texts are compared with PyTorch's. The last line of the output is one JSON object with every figure.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet
import tokenizers
import torch
import transformers
from plain import Score, batched, feed
from report import print_message, print_report, spread
from subject import MAX_LENGTH

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.vectors import LOGITS
from export.graph.source import Exported, graph_source
from export.graph.writer import graph_bytes
from export.importing.checkpoint import Checkpoint, load_checkpoint
from export.importing.settings import CheckpointSettings
from scorer.base.cores import usable_cores
from scorer.engine.batches import pad
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.model.bundle import TOKENIZER, default_bundle

_VOCABULARY = 30_522  # of the default bundle's tokenizer
_PADDING = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
_SORTED_TOKENS = 2048
_CALIBRATION = 16
_COMPARED = 4  # texts whose logits are compared with PyTorch's

FAMILIES: dict[str, dict[str, Any]] = {
    "distilbert": {},
    "bert": {},
    "roberta": {"max_position_embeddings": 514},
    "electra": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "embedding_size": 768},
    "mpnet": {"max_position_embeddings": 514},
    "albert": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "modernbert": _PADDING,
    "deberta-v2": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "relative_attention": True,
        "position_buckets": 256,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "max_relative_positions": -1,
        "type_vocab_size": 0,
    },
    "nomic_bert": {},
    "gte": {},
}
"""Settings of each family's base size that differ from the defaults of transformers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with a column text")
    parser.add_argument("--only", default=",".join(FAMILIES), help="families to measure, separated by commas")
    parser.add_argument("--int8", action="store_true", help="measure int8 as well, which takes minutes a family")
    parser.add_argument("--layers", type=int, help="number of layers, to try the script quickly")
    parser.add_argument("--reviews", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    every = pyarrow.parquet.read_table(arguments.texts, columns=["text"])["text"].to_pylist()
    texts = every[:: max(1, len(every) // arguments.reviews)][: arguments.reviews]
    report: dict[str, Any] = {"threads": arguments.threads, "families": {}}
    for name in arguments.only.split(","):
        report["families"][name] = measure(name, texts, arguments)
        print_message(f"{name}: {json.dumps(report['families'][name])}")
    print_table(report["families"])
    print_report(arguments, report)


def measure(name: str, texts: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Time every graph of a family once per round, in alternating order; the first call of each is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(name, Path(folder), arguments.layers)
        rows = checkpoint.encoder.tokenizer.encode(texts).ids
        contenders = dict(_contenders(checkpoint, rows, int8=arguments.int8, threads=arguments.threads))
    logits = {one: score(rows[:2]) for one, score in contenders.items()}
    exact = np.concatenate([checkpoint.reference(*pad([row])) for row in rows[:_COMPARED]])
    seconds: dict[str, list[float]] = {one: [] for one in contenders}
    for number in range(arguments.rounds):
        for one in list(contenders)[:: 1 if number % 2 == 0 else -1]:
            start = time.perf_counter()
            logits[one] = contenders[one](rows)
            seconds[one].append(time.perf_counter() - start)
    plain = min((one for one in contenders if one.startswith("plain")), key=lambda one: statistics.median(seconds[one]))
    return {
        "tokens": float(np.mean([len(row) for row in rows])),
        "plain": plain,
        "contenders": {
            one: {
                "reviews_per_s": spread([len(rows) / spent for spent in seconds[one]]),
                "times_plain": spread([a / b for a, b in zip(seconds[plain], seconds[one], strict=True)]),
                "difference_from_pytorch": float(np.abs(logits[one][:_COMPARED] - exact).max()),
            }
            for one in contenders
        },
    }


def make_checkpoint(name: str, folder: Path, layers: int | None) -> Checkpoint:
    """Make a classifier of a family with random weights."""
    settings = {"vocab_size": _VOCABULARY, **FAMILIES[name]}
    if layers is not None:
        settings["n_layers" if name == "distilbert" else "num_hidden_layers"] = layers
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, **settings)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer = tokenizers.Tokenizer.from_file(str(default_bundle() / TOKENIZER))
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return load_checkpoint(CheckpointSettings(str(folder), keep_label_names=True, max_length=MAX_LENGTH))


def _contenders(
    checkpoint: Checkpoint, rows: Sequence[np.ndarray], *, int8: bool, threads: int
) -> Iterator[tuple[str, Score]]:
    whole = replace(checkpoint.encoder, model=checkpoint.model, family=None)
    two = Classifier(LinearHead(np.array([[-1, 1]], dtype=np.float32), np.zeros(1, dtype=np.float32)), LOGITS)
    ways = {"exported": (Exported(whole), two)}
    if checkpoint.encoder.family is not None:
        ways["written"] = (graph_source(checkpoint.encoder), checkpoint.classifier)
    for way, (source, classifier) in ways.items():
        print_message(f"{checkpoint.encoder.config.model_type}: {way}")
        float32 = source.float32(classifier)
        graphs = {"fp32": float32}
        if int8:
            graphs["int8"] = source.int8(classifier, rows[:_CALIBRATION], float32)
        for precision, graph in graphs.items():
            data = graph_bytes(graph)
            yield f"{way}, {precision}", RowEngine(open_session(data, "cpu"), threads).logits
            if (way, precision) == ("exported", "fp32"):
                # This graph is what torch.onnx.export writes, and a node for the difference of two logits.
                yield "plain, fp32, sorted batches", batched(_run(data, threads), tokens=_SORTED_TOKENS)
                yield "plain, fp32, a row a run", batched(_run(data, threads), tokens=1)


def _run(graph: bytes, threads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return onnxruntime as one would use it: default settings, all threads in one call."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(["logits"], feed((ids, mask)))[0]


def print_table(families: dict[str, Any]) -> None:
    columns = ("written, fp32", "exported, fp32", "written, int8", "exported, int8")
    print(
        "\n| family | plain export | "
        + " | ".join(columns)
        + " | fp32, from PyTorch |\n|---|---|---|"
        + "---|" * len(columns)
    )
    for name, found in families.items():
        plain = found["contenders"][found["plain"]]["reviews_per_s"]["median"]
        cells = [_cell(found["contenders"].get(column)) for column in columns]
        differences = [one["difference_from_pytorch"] for way, one in found["contenders"].items() if "fp32" in way]
        print(f"| {name} | {plain:.1f} | " + " | ".join(cells) + f" | {max(differences):.1e} |")
    print()


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    times = found["times_plain"]
    return f"{times['median']:.2f} ({times['least']:.2f} to {times['most']:.2f})"


if __name__ == "__main__":
    main()
