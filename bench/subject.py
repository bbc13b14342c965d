"""What the benchmarks run: an encoder of a known shape or a real one, a head on [CLS], and texts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
import transformers

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.load import FrozenEncoder, freeze, load_encoder

MAX_LENGTH = 400
_TOKENIZER = Path(__file__).parents[1] / "models" / "default" / "tokenizer.json"
_CALIBRATION = 48
_BERT_SHAPES = {"minilm": (384, 6, 12), "tiny": (320, 2, 10)}  # hidden, layers, heads


@dataclass(frozen=True)
class Subject:
    """What every contender computes.

    Attributes:
        encoder: the frozen encoder.
        head: one logit, on [CLS].
        texts: to be scored.
        rows: their token ids.
        calibration: token ids of other texts, for whoever calibrates.
        threads: cores to use.
    """

    encoder: FrozenEncoder
    head: LinearHead
    texts: list[str]
    rows: list[np.ndarray]
    calibration: list[np.ndarray]
    threads: int

    def classifier(self, pooling: str = "cls") -> Classifier:
        return Classifier(self.head, pooling)


def load_subject(name: str, source: Path, reviews: int, threads: int) -> Subject:
    """Make a subject of texts of a file.

    Args:
        name: see `make_subject`.
        source: a Parquet file with a column text.
        reviews: how many of its texts, evenly spread.
        threads: cores to use.
    """
    texts = pyarrow.parquet.read_table(source, columns=["text"])["text"].to_pylist()
    chosen = texts[:: max(1, len(texts) // reviews)][:reviews]
    others = texts[1 :: max(1, len(texts) // _CALIBRATION)][:_CALIBRATION]
    return make_subject(name, chosen, others, threads)


def make_subject(name: str, chosen: list[str], others: list[str], threads: int) -> Subject:
    """Make a subject.

    Args:
        name: ``distilbert`` or ``minilm`` for that shape with random weights, ``tiny`` for something to try a benchmark
            with, or the folder of a real encoder.
        chosen: the texts.
        others: texts to calibrate on.
        threads: cores to use.
    """
    encoder = load_encoder(name, max_length=MAX_LENGTH) if Path(name).is_dir() else _random(name)
    weight = np.random.default_rng(0).normal(size=(1, encoder.hidden_size)).astype(np.float32)
    rows = encoder.tokenizer.encode(chosen).ids
    head = LinearHead(weight, np.zeros(1, dtype=np.float32))
    return Subject(encoder, head, chosen, rows, encoder.tokenizer.encode(others).ids, threads)


def full_flops(encoder: FrozenEncoder, rows: list[np.ndarray]) -> float:
    """Floating point operations of the plain model for these rows, no padding: products with weights, and attention."""
    weights = sum(
        parameter.numel()
        for name, parameter in encoder.model.named_parameters()
        if parameter.ndim == 2 and "embeddings" not in name
    )
    layers = int(encoder.config.num_hidden_layers)
    return float(sum(2 * len(row) * weights + 4 * layers * len(row) ** 2 * encoder.hidden_size for row in rows))


def spared_flops(encoder: FrozenEncoder, rows: list[np.ndarray]) -> float:
    """What of `full_flops` is not needed where the last block is computed for the first token alone."""
    hidden = encoder.hidden_size
    inner = int(getattr(encoder.config, "intermediate_size", 0) or encoder.config.hidden_dim)
    weights = 4 * hidden**2 + 2 * hidden * inner
    heads = int(encoder.config.num_attention_heads)
    # Instead of the whole block: its products for one token, and two of a head's vectors with all tokens.
    return float(
        sum(2 * (len(row) - 1) * weights + 4 * len(row) ** 2 * hidden - 4 * heads * len(row) * hidden for row in rows)
    )


def _random(name: str) -> FrozenEncoder:
    """An encoder with random weights and, as trained ones have, a few channels far beyond the others."""
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
        raise SystemExit(f"an encoder is distilbert, minilm, tiny or a folder, not {name!r}")
    with torch.no_grad():
        for part, module in model.named_modules():
            # What all-MiniLM-L6-v2 shows: one channel at 14 times the median's peak, two at four times.
            if part.endswith(norms):
                module.weight[torch.tensor([7, 100, 300])] *= torch.tensor([14.0, 4.0, 4.0])
            elif part.endswith(inner):
                module.weight[torch.tensor([5, 50, 500])] *= torch.tensor([8.0, 3.0, 3.0]).unsqueeze(1)
    return freeze(model, _TOKENIZER.read_text(), name=name, max_length=MAX_LENGTH)
