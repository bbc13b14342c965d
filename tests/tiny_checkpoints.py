"""Tiny fine-tuned classifiers of every family, saved as transformers saves them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from factories import randomize, reviews
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

WRITTEN = {
    "distilbert": Kind(transformers.DistilBertConfig, "wordpiece", {"hidden_dim": 48}),
    "bert": Kind(transformers.BertConfig, "wordpiece"),
    "roberta": Kind(transformers.RobertaConfig, "bpe", _AFTER_PADDING),
    "xlm-roberta": Kind(transformers.XLMRobertaConfig, "unigram", _AFTER_PADDING),
    "camembert": Kind(transformers.CamembertConfig, "camembert", _AFTER_PADDING),
    "data2vec-text": Kind(transformers.Data2VecTextConfig, "bpe", _AFTER_PADDING),
    "electra": Kind(transformers.ElectraConfig, "wordpiece", {"embedding_size": 16}),
    "ernie": Kind(transformers.ErnieConfig, "wordpiece", {"use_task_id": True}),
    "albert": Kind(transformers.AlbertConfig, "albert", {"embedding_size": 16}),
    "mpnet": Kind(transformers.MPNetConfig, "mpnet", _AFTER_PADDING),
}
"""Families whose graphs are written node by node."""

EXPORTED = {
    "modernbert": Kind(
        transformers.ModernBertConfig,
        "modernbert",
        {"local_attention": 8, "cls_token_id": 0, "bos_token_id": 0, "sep_token_id": 1, "eos_token_id": 1, "pad_token_id": 2},
    ),
    "deberta-v2": Kind(
        transformers.DebertaV2Config,
        "deberta",
        {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "share_att_key": True,
         "norm_rel_ebd": "layer_norm", "type_vocab_size": 0},
    ),
    "nomic_bert": Kind(transformers.NomicBertConfig, "wordpiece"),
}  # fmt: skip
"""Families whose graphs PyTorch exports."""

if hasattr(transformers, "GteConfig"):  # the lowest release of tests/lowest.txt has no such model
    EXPORTED["gte"] = Kind(transformers.GteConfig, "wordpiece")

KINDS = {**WRITTEN, **EXPORTED}


def tiny_classifier(kind: str, tokenizer: Any, labels: Sequence[str] | int) -> Any:
    """Make a classifier with weights large enough that every part matters, and a bias with which every label occurs.

    Args:
        kind: one of `KINDS`.
        tokenizer: tokenizer of the classifier.
        labels: names of the labels in the order of their ids, or their number for the names that transformers makes up.
    """
    family = KINDS[kind]
    named = {"num_labels": labels} if isinstance(labels, int) else {
        "id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)},
    }  # fmt: skip
    sizes = {**_SIZES, "max_position_embeddings": POSITIONS, "vocab_size": max(tokenizer.get_vocab().values()) + 1}
    config = family.config(**{**sizes, **family.settings, **named})
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    randomize(model)
    model.eval()
    out = last_linear(model)
    with torch.inference_mode():
        rows = [tokenizer(text, return_tensors="pt") for text in reviews(30, 2, 4).texts]
        logits = torch.cat([model(row["input_ids"], attention_mask=row["attention_mask"]).logits for row in rows])
    out.bias.data -= logits.mean(dim=0)
    return model


def save_checkpoint(
    kind: str,
    folder: Path,
    labels: Sequence[str] | int,
    problem: str | None = None,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
) -> Path:
    """Save a tiny classifier with its tokenizer; return the folder.

    Args:
        kind, labels: as for `tiny_classifier`.
        folder: folder to save in.
        problem: ``problem_type`` of its settings.
        scale, offset: factor of its outputs, and a number that is added afterwards.
    """
    tokenizer = tiny_tokenizer(KINDS[kind].tokenizer)
    tokenizer.save_pretrained(folder)
    model = tiny_classifier(kind, tokenizer, labels)
    model.config.problem_type = problem
    out = last_linear(model)
    out.weight.data *= scale
    out.bias.data = out.bias.data * scale + offset
    model.save_pretrained(folder)
    return folder


def last_linear(model: Any) -> nn.Linear:
    """Return the layer that computes the outputs."""
    linear = [one for one in model.modules() if isinstance(one, nn.Linear)]
    return next(one for one in reversed(linear) if one.out_features == model.config.num_labels)


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


def saved_once(make_folder: Callable[[str], Path]) -> Callable[..., Path]:
    """Return a function that saves a tiny checkpoint and returns its folder; the same one for the same arguments.

    Args:
        make_folder: function from a name to a new folder of that name.
    """
    folders: dict[tuple[object, ...], Path] = {}

    def folder(
        kind: str, labels: Sequence[str] | int = ("bad", "good"), problem: str | None = None, **more: float
    ) -> Path:
        key = (kind, labels, problem, *more.items())
        if key not in folders:
            folders[key] = save_checkpoint(kind, make_folder("checkpoints") / f"tiny-{kind}", labels, problem, **more)
        return folders[key]

    return folder
