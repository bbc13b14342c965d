"""Bundle of a benchmark's subject with random weights: `score` can run it, but its scores mean nothing."""

from pathlib import Path

import onnx
from subject import Subject

from export.bundle.bundle import write_bundle
from export.bundle.golden import golden_rows, tolerances_of
from export.graph.weights_file import with_weights_files
from scorer.model.manifest import Manifest, Precision


def write_gpu_bundle(subject: Subject, model: onnx.ModelProto, folder: Path) -> None:
    """Write a bundle with the precision fp16 alone, whose graph is ``model``."""
    models = {"fp16": model}
    tokenizer, classifier = subject.encoder.tokenizer, subject.classifier
    golden = golden_rows(models, tokenizer, classifier)
    graphs, weights = with_weights_files(models)
    manifest = Manifest(
        name=subject.encoder.name,
        labels=("negative", "positive"),
        positive_label="positive",
        max_length=tokenizer.max_length,
        truncation="head",
        pooling="cls",
        precisions={"fp16": Precision("model.fp16.onnx", tolerances_of(golden, tokenizer, classifier)["fp16"])},
        providers={"cuda": "fp16"},
        golden=golden,
    )
    write_bundle(
        folder,
        manifest=manifest,
        tokenizer_json=subject.encoder.tokenizer_json,
        graphs={"model.fp16.onnx": graphs["fp16"], **weights},
        classifier=classifier,
        unlisted={},
    )
