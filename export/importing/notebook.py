"""The plain PyTorch module of many notebooks: an encoder, and one linear layer on its first token.

Its state dict has the keys ``encoder.*``, ``classifier.weight`` and ``classifier.bias``.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from export.classifier.head import LinearHead
from export.encoder.load import weights_sha256
from export.errors import ExportError
from export.importing.checkpoint import (
    Checkpoint,
    Parts,
    assembled,
    load_tokenizer,
    reference_of,
    transformers_errors,
    where,
    without_pooler,
)
from export.importing.labels import Labels, labels_of, shown
from export.importing.settings import CheckpointSettings
from scorer.base.errors import UsageError
from scorer.base.shortage import shortage
from scorer.base.task import REGRESSION, SINGLE_LABEL

MASKED = "padding is masked, whether the notebook passed an attention mask or not"
"""Remark for the log and the card: a notebook without a mask gave a text other scores in other company."""

FIRST_TOKEN = (
    "the head reads encoder(...).last_hidden_state[:, 0], without a pooling layer or a mean; the file does not state what the "
    "notebook computed, so compare a score with one of the notebook's"
)
"""Remark for the log and the card: modules that read other vectors have the same keys."""

POOLER = (
    "the file has a pooling layer (encoder.pooler), which is not read; if the notebook's head reads pooler_output, its scores "
    "are others, and the weights belong in a BertForSequenceClassification or the like, saved with save_pretrained"
)
"""Remark for the log and the card on a file with a layer that this head does not read."""

_WRAPPERS = ("model_state_dict", "state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile and Lightning
_ENCODER = "encoder."
_WEIGHT, _BIAS = "classifier.weight", "classifier.bias"
# A buffer of older releases of transformers, and the layer on top of the encoder that no such classifier reads.
_UNREAD = ("embeddings.position_ids", "embeddings.token_type_ids", "pooler.")
_NO_MODULES = ("loss", "criterion")  # weights of a loss with weights for the labels
_EXPECTED = f"keys that begin with {_ENCODER}, and {_WEIGHT} of shape (1, hidden) or (labels, hidden) with {_BIAS}"


def load_notebook(settings: CheckpointSettings) -> Checkpoint:
    """Load a plain module's weights into the architecture of its encoder, whose own weights are not read.

    Raises:
        ExportError: a file cannot be read, or its tensors do not fit the encoder.
        UsageError: an option does not fit it.
    """
    assert settings.state_dict is not None
    path = settings.state_dict
    tensors = read_state_dict(path)
    weight, bias = _head(tensors, path, folded=(settings.task or SINGLE_LABEL) == SINGLE_LABEL)
    labels = _labels(len(weight), settings)
    with transformers_errors(settings.name):
        config = AutoConfig.from_pretrained(settings.name, **where(settings))
        tokenizer = load_tokenizer(settings)
        made = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)  # type: ignore[no-untyped-call]
    if weight.shape[1] != config.hidden_size:
        raise ExportError(
            f"--state-dict {path} does not fit --encoder {settings.name}: {_WEIGHT} reads {weight.shape[1]} values, and the "
            f"encoder gives {config.hidden_size}. Name the encoder that the notebook loaded; a head of another kind cannot be "
            "imported."
        )
    encoder = without_pooler(made)
    own = {name.removeprefix(_ENCODER): one for name, one in tensors.items() if name.startswith(_ENCODER)}
    _fill(encoder, own, path, settings.name)
    encoder.eval().requires_grad_(False)

    def logits_of(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found = encoder(input_ids=input_ids, attention_mask=attention_mask)
        first: Tensor = found.last_hidden_state[:, 0]
        return first @ weight.T + bias

    parts = Parts(encoder, "cls", LinearHead(weight.numpy(), bias.numpy()))
    frozen, classifier = assembled(parts, tokenizer, labels, settings)
    return Checkpoint(
        encoder=frozen,
        classifier=classifier,
        labels=labels,
        reference=reference_of(logits_of, labels, settings.name),
        model=None,
        tokenizer=tokenizer,
        kind=f"{type(encoder).__name__} and a linear layer",
        sha256=weights_sha256(nn.ModuleDict({"encoder": encoder, "classifier": _linear(weight, bias)})),
        truncation=settings.truncation,
        remarks=(MASKED, FIRST_TOKEN, *([POOLER] if any(one.startswith("pooler.") for one in own) else [])),
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a file of safetensors, or of ``torch.save``, whose pickle may hold tensors alone.

    A dict around them and a prefix of all names are removed.

    Raises:
        ExportError: the file holds something else.
    """
    try:
        if _is_safetensors(path):
            found: Any = safetensors.torch.load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch has no error of its own for a file that is something else
        if isinstance(error, pickle.UnpicklingError) and "Unsupported global" in str(error):
            raise ExportError(
                f"--state-dict {path} holds more than tensors, and loading it would run code. Save "
                "`model.state_dict()` instead of the model itself."
            ) from error
        raise shortage(error) or ExportError(
            f"--state-dict {path} cannot be read: {type(error).__name__}. Give a file of "
            "`torch.save(model.state_dict(), FILE)`, or of safetensors."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(one, Tensor) for one in found.values()):
        raise ExportError(f"--state-dict {path} is not a dict of tensors by name; it needs {_EXPECTED}.")
    for prefix in _PREFIXES:
        if all(str(name).startswith(prefix) for name in found):
            found = {str(name).removeprefix(prefix): one for name, one in found.items()}
    tensors = {str(name): one.float() if one.is_floating_point() else one for name, one in found.items()}
    for name, one in tensors.items():
        if one.is_floating_point() and not one.isfinite().all():
            raise ExportError(f"--state-dict {path}: {name} holds numbers that are NaN or infinite.")
    return {name: one for name, one in tensors.items() if not name.startswith(_NO_MODULES)}


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins as safetensors do: the length of a JSON object, in 8 bytes, then the object."""
    with path.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def _head(tensors: Mapping[str, Tensor], path: Path, *, folded: bool) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the logits, in the order of the labels' ids.

    Args:
        tensors: tensors of the module.
        path: path of its file, for messages.
        folded: whether a single row stands for two labels, of which one is chosen; it gets a row of zeros before it.

    Raises:
        ExportError: they are missing, have other shapes, or there are other keys.
    """
    others = [name for name in tensors if not name.startswith(_ENCODER) and name not in (_WEIGHT, _BIAS)]
    weight, bias = tensors.get(_WEIGHT), tensors.get(_BIAS)
    if others or weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        shapes = {name: tuple(tensors[name].shape) for name in (_WEIGHT, _BIAS) if name in tensors}
        found = [f"{name} of shape {shape}" for name, shape in shapes.items()] + [
            f"the unknown keys {shown(others)}"
        ] * bool(others)
        raise ExportError(
            f"--state-dict {path} does not fit: it has {' and '.join(found) or 'no classifier'}, but needs {_EXPECTED}. Rename "
            "the keys if the module is the same. Import a classifier of transformers itself from the folder of "
            "model.save_pretrained(FOLDER)."
        )
    if len(weight) > 1 or not folded:
        return weight, bias
    # A sigmoid of one logit is the softmax of 0 and that logit.
    return torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.weight.data, layer.bias.data = weight, bias
    return layer


def _labels(count: int, settings: CheckpointSettings) -> Labels:
    task = settings.task or SINGLE_LABEL
    if settings.label_names is None and not (task == REGRESSION and count == 1):
        raise UsageError(
            "--state-dict has no names of labels: give them with --label-names, in the order of their ids."
        )
    made_up = {one: f"LABEL_{one}" for one in range(count)}
    positive, name = settings.positive_label, str(settings.state_dict)
    return labels_of(made_up, settings.label_names, keep=False, positive=positive, name=name, task=task)


def _fill(encoder: nn.Module, own: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Load an encoder's tensors, each of which it must have.

    Raises:
        ExportError: a tensor is missing, unexpected or of another shape.
    """
    wanted = encoder.state_dict()
    read = {key: one for key, one in own.items() if key in wanted or not key.startswith(_UNREAD)}
    for what, keys in (("lacks", wanted.keys() - read.keys()), ("has the unknown", read.keys() - wanted.keys())):
        if keys:
            raise ExportError(
                f"--state-dict {path} does not fit --encoder {name}: it {what} "
                f"{shown([_ENCODER + key for key in sorted(keys)])}. Name the encoder that the notebook loaded."
            )
    for key, one in read.items():
        if one.shape != wanted[key].shape:
            raise ExportError(
                f"--state-dict {path} does not fit --encoder {name}: {_ENCODER}{key} has the shape {tuple(one.shape)}, not "
                f"{tuple(wanted[key].shape)}. Name the encoder that the notebook loaded."
            )
    encoder.load_state_dict(dict(read))
