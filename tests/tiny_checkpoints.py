"""Tiny fine-tuned classifiers of every family, saved as transformers saves them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from factories import randomize
from tiny_tokenizers import tiny_tokenizer
from torch import nn

POSITIONS = 64


class Kind(NamedTuple):
    """One family: its config, with settings of its own, and the kind of its tokenizer."""

    config: type
    tokenizer: str
    settings: Mapping[str, Any] = {}


_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_AFTER_PADDING = {"max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1, "pad_token_id": 1}

KINDS = {
    "distilbert": Kind(transformers.DistilBertConfig, "wordpiece"),
    "bert": Kind(transformers.BertConfig, "wordpiece"),
    "roberta": Kind(transformers.RobertaConfig, "bpe", _AFTER_PADDING),
}


def tiny_classifier(kind: str, labels: Sequence[str] | int) -> Any:
    """Make a classifier with weights large enough that every part matters.

    Args:
        kind: one of `KINDS`.
        labels: names of the labels in the order of their ids, or their number for the names that transformers makes up.
    """
    family = KINDS[kind]
    vocabulary = tiny_tokenizer(family.tokenizer).get_vocab()
    named = {"num_labels": labels} if isinstance(labels, int) else {
        "id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)},
    }  # fmt: skip
    sizes = {**_SIZES, "max_position_embeddings": POSITIONS, "vocab_size": max(vocabulary.values()) + 1}
    config = family.config(**{**sizes, **family.settings, **named})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    randomize(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith(("classifier", "pre_classifier")):
                weight.mul_(2)  # so that the labels of the tiny texts differ
    return model.eval()


def save_checkpoint(kind: str, folder: Path, labels: Sequence[str] | int) -> Path:
    """Save a tiny classifier with its tokenizer; return the folder."""
    tiny_tokenizer(KINDS[kind].tokenizer).save_pretrained(folder)
    tiny_classifier(kind, labels).save_pretrained(folder)
    return folder


class Notebook(nn.Module):
    """The plain module of many notebooks.

    Args:
        encoder: encoder.
        outputs: number of outputs.
    """

    def __init__(self, encoder: nn.Module, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(encoder.config.hidden_size, outputs)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute logits: (batch, sequence), twice -> (batch, outputs)"""
        return self.classifier(self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state[:, 0])
