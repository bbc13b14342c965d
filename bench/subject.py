"""Subject of the benchmarks: an encoder of a known shape or a real one, a classifier on it, and texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
import transformers

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.load import FrozenEncoder, freeze, load_encoder
from scorer.engine.wide import WidePart

MAX_LENGTH = 400
_TOKENIZER = Path(__file__).parents[1] / "models" / "default" / "tokenizer.json"
_CALIBRATION = 48
_BERT_SHAPES = {"minilm": (384, 6, 12), "tiny": (320, 2, 10)}  # hidden, layers, heads


@dataclass(frozen=True)
class Subject:
    """A model and texts that every contender scores.

    Attributes:
        encoder: frozen encoder.
        classifier: classifier of one logit.
        texts: texts to score.
        rows: token ids of the texts.
        calibration: token ids of other texts, for calibration.
        threads: number of cores to use.
        wide: wide part ready to compute, if the classifier has one beside its graph.
    """

    encoder: FrozenEncoder
    classifier: Classifier
    texts: list[str]
    rows: list[np.ndarray]
    calibration: list[np.ndarray]
    threads: int
    wide: WidePart | None = None

    def read(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return those token ids of each text that the encoder reads."""
        return [self.classifier.encoder_reads(row) for row in rows]


def load_subject(name: str, source: Path, reviews: int, threads: int) -> Subject:
    """Make a subject from the texts of a file.

    Args:
        name: as for `make_subject`.
        source: Parquet file with a column text.
        reviews: number of its texts to take, evenly spread.
        threads: number of cores to use.
    """
    texts = pyarrow.parquet.read_table(source, columns=["text"])["text"].to_pylist()
    chosen = texts[:: max(1, len(texts) // reviews)][:reviews]
    others = texts[1 :: max(1, len(texts) // _CALIBRATION)][:_CALIBRATION]
    return make_subject(name, chosen, others, threads)


def make_subject(name: str, chosen: list[str], others: list[str], threads: int) -> Subject:
    """Make a subject from texts.

    Args:
        name: ``distilbert`` or ``minilm`` for that shape with random weights, ``tiny`` to try a benchmark, or the
            folder of a real encoder.
        chosen: texts to score.
        others: texts to calibrate on.
        threads: number of cores to use.
    """
    encoder = load_encoder(name, max_length=MAX_LENGTH) if Path(name).is_dir() else _random(name)
    weight = np.random.default_rng(0).normal(size=(1, encoder.hidden_size)).astype(np.float32)
    rows = encoder.tokenizer.encode(chosen).ids
    classifier = Classifier(LinearHead(weight, np.zeros(1, dtype=np.float32)), "cls")
    return Subject(encoder, classifier, chosen, rows, encoder.tokenizer.encode(others).ids, threads)


def full_flops(encoder: FrozenEncoder, rows: list[np.ndarray]) -> float:
    """Count the plain model's floating point operations for rows without padding: weight products and attention."""
    weights = sum(
        parameter.numel()
        for name, parameter in encoder.model.named_parameters()
        if parameter.ndim == 2 and "embeddings" not in name
    )
    layers = int(encoder.config.num_hidden_layers)
    return float(sum(2 * len(row) * weights + 4 * layers * len(row) ** 2 * encoder.hidden_size for row in rows))


def spared_flops(encoder: FrozenEncoder, rows: list[np.ndarray]) -> float:
    """Count the operations of `full_flops` that are not needed if the last block is for the first token alone."""
    hidden = encoder.hidden_size
    inner = int(getattr(encoder.config, "intermediate_size", 0) or encoder.config.hidden_dim)
    weights = 4 * hidden**2 + 2 * hidden * inner
    heads = int(encoder.config.num_attention_heads)
    # This remains of the block: its products for one token, and two products of each head's vector with all tokens.
    return float(
        sum(2 * (len(row) - 1) * weights + 4 * len(row) ** 2 * hidden - 4 * heads * len(row) * hidden for row in rows)
    )


def _random(name: str) -> FrozenEncoder:
    """Make an encoder with random weights and, like trained ones, a few channels far beyond the others."""
    torch.manual_seed(0)
    if name == "distilbert":
        model: transformers.PreTrainedModel = transformers.DistilBertModel(transformers.DistilBertConfig())
        norms, inner = "sa_layer_norm", "ffn.lin1"
    elif name in _BERT_SHAPES:
        hidden, layers, heads = _BERT_SHAPES[name]
        config = transformers.BertConfig(
            hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden
        )
        model = transformers.BertModel(config, add_pooling_layer=False)
        norms, inner = "attention.output.LayerNorm", "intermediate.dense"
    else:
        raise SystemExit(f"the encoder must be distilbert, minilm, tiny or a folder, not {name!r}")
    with torch.no_grad():
        for part, module in model.named_modules():
            # As in all-MiniLM-L6-v2: one channel at 14 times the median's peak, two at four times.
            if part.endswith(norms):
                module.weight[torch.tensor([7, 100, 300])] *= torch.tensor([14.0, 4.0, 4.0])
            elif part.endswith(inner):
                module.weight[torch.tensor([5, 50, 500])] *= torch.tensor([8.0, 3.0, 3.0]).unsqueeze(1)
    return freeze(model, _TOKENIZER.read_text(), name=name, max_length=MAX_LENGTH)
