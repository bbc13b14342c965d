"""A fine-tuned classifier, loaded and taken apart: its encoder, what is on top of it, and the whole as the reference."""

import contextlib
import copy
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig

from export.classifier.classifier import Classifier
from export.classifier.head import Dense, LinearHead
from export.classifier.truncation import checked_reading
from export.encoder.families import family_of
from export.encoder.fast_tokenizer import tokenizer_json_of
from export.encoder.load import FrozenEncoder, freeze, positions_of, weights_sha256
from export.encoder.vectors import LOGITS
from export.errors import ExportError, UnsupportedEncoder
from export.importing.folder import CLASSIFIER, cannot_be_imported, needs_remote_code, refuse_other_class
from export.importing.labels import Labels, id2label_of, labels_of, shown
from export.importing.settings import LONGEST, CheckpointSettings
from export.importing.task import contradiction, task_of
from export.importing.unit import in_unit, logits_in_unit
from scorer.base.shortage import shortage
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.base.text import first_line
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.manifest import WINDOWS, Unit, WindowSettings

_LEFT = "transformers would cut the beginning of a long text, as the checkpoint's tokenizer states, while "

LEFT: Mapping[str, str] = MappingProxyType(
    {
        "head": f"{_LEFT}the first tokens are read here; --truncation tail reads the last ones",
        WINDOWS: f"{_LEFT}windows begin with it here, and the end of a text with more windows is cut",
    }
)
"""Remark for the log and the card on a tokenizer whose ``truncation_side`` is left, by truncation."""

Reference = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""PyTorch's whole model: input_ids and attention_mask (batch, sequence) -> float32 (batch, logits) of the bundle."""


@dataclass(frozen=True)
class Checkpoint:
    """A classifier as it was given, and as a bundle holds it.

    Attributes:
        encoder: encoder; the whole model if its graph is exported as a whole.
        classifier: everything on top of the encoder.
        labels: labels of the model.
        reference: logits of the whole model, which knows nothing of how it was taken apart.
        unit: unit of a regression's logits; None for other tasks, and for the values themselves.
        model: whole model of transformers; None if its file was a plain module's.
        tokenizer: transformers' own tokenizer.
        kind: name of the model's class, for people.
        sha256: digest of all weights.
        truncation: tokens of a longer text that it reads, one of `scorer.model.manifest.TRUNCATIONS`.
        remarks: facts for the log and the card.
    """

    encoder: FrozenEncoder
    classifier: Classifier
    labels: Labels
    reference: Reference
    model: Any
    tokenizer: Any
    kind: str
    sha256: str
    truncation: str
    remarks: tuple[str, ...] = ()
    unit: Unit | None = None

    @property
    def max_length(self) -> int:
        """Largest number of tokens that the model reads at once, special tokens included."""
        reading = self.classifier.reading
        return self.encoder.tokenizer.max_length if reading is None else reading.length

    @property
    def windows(self) -> WindowSettings | None:
        """Windows in which it reads longer texts; None if it does not."""
        windows = self.classifier.windows
        if windows is None:
            return None
        most = 1 + (self.encoder.tokenizer.max_length - windows.length) // windows.stride
        return WindowSettings(windows.stride, most, windows.combination)

    @property
    def interpretation(self) -> Interpretation:
        """Meaning of the logits, at temperatures of 1 and thresholds of one half, as in transformers."""
        names = self.labels.names
        if self.labels.task == MULTI_LABEL:
            return MultiLabel(names, (1.0,) * len(names), (0.5,) * len(names))
        if self.labels.task == REGRESSION:
            unit = self.unit or Unit((1.0,) * len(names), (0.0,) * len(names))
            return Regression(names, unit.scale, unit.offset)
        return SingleLabel(names)

    def in_unit(self, unit: Unit) -> "Checkpoint":
        """Return a regression whose logits are its values in a unit, see `export.importing.unit`."""
        assert self.unit is None, "its logits are the values themselves"

        def reference(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
            return logits_in_unit(self.reference(input_ids, attention_mask), unit)

        return replace(self, classifier=in_unit(self.classifier, unit), reference=reference, unit=unit)


@dataclass(frozen=True)
class Parts:
    """Everything of a loaded model that `assembled` needs.

    Attributes:
        model: model whose graph is made.
        pooling: vectors that the head reads.
        head: weights and biases of the logits, in the order of the labels' ids.
        dense: layer before the head, or None.
    """

    model: nn.Module
    pooling: str
    head: LinearHead
    dense: Dense | None = None


def load_checkpoint(settings: CheckpointSettings) -> Checkpoint:
    """Load a checkpoint of transformers by its hub name or from a local folder.

    Raises:
        ExportError: the checkpoint cannot be found or read, or its labels have no names.
        UnsupportedEncoder: it is no classifier that can be imported.
        UsageError: an option does not fit it.
    """
    name = settings.name
    with transformers_errors(name):
        given: dict[str, Any] = where(settings)
        config = AutoConfig.from_pretrained(name, **given)
        labels = _labels(config, settings)
        if type(config) not in AutoModelForSequenceClassification._model_mapping:
            raise UnsupportedEncoder(
                f"{name} is of the kind {config.model_type!r}, for which transformers has no class of a classifier "
                f"(...{CLASSIFIER}). Give a checkpoint of another architecture."
            )
        _check_sizes(config, name)
        tokenizer = load_tokenizer(settings)
        # float32 whatever type the file has: parity is promised in float32.
        model, found = AutoModelForSequenceClassification.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True, **given
        )
    if found["missing_keys"]:
        raise ExportError(
            f"{name} has no weights for {shown(sorted(found['missing_keys']))}, so it is not a fine-tuned classifier. Give one "
            f"that is, or train a head with `score-model train --encoder {name}`."
        )
    model.eval().requires_grad_(False)
    parts = _taken_apart(model)
    if parts is None and getattr(config, "pad_token_id", None) is None:
        raise UnsupportedEncoder(
            f"{name} names no padding token, without which a {config.model_type} cannot compute several texts at once. Set "
            "pad_token_id in its config.json to the id of a token that no text has."
        )

    def logits_of(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
        return found

    encoder, classifier = assembled(parts or _whole(model), tokenizer, labels, settings)
    return Checkpoint(
        encoder=encoder if parts else replace(encoder, family=None),
        classifier=classifier,
        labels=labels,
        reference=reference_of(logits_of, labels, name),
        model=model,
        tokenizer=tokenizer,
        kind=type(model).__name__,
        sha256=weights_sha256(model) if parts else encoder.sha256,
        truncation=settings.truncation,
        remarks=_remarks(config, tokenizer, labels, settings),
    )


def _remarks(config: PretrainedConfig, tokenizer: Any, labels: Labels, settings: CheckpointSettings) -> tuple[str, ...]:
    found = []
    if settings.task is not None:
        remark = contradiction(getattr(config, "problem_type", None), len(labels.by_id), settings.task)
        found += [] if remark is None else [remark]
    if tokenizer.truncation_side == "left" and settings.truncation in LEFT:
        found.append(LEFT[settings.truncation])
    if config.dtype in (torch.float16, torch.bfloat16):
        stored = str(config.dtype).removeprefix("torch.")
        found.append(
            f"the weights are stored in {stored} and computed in float32, here and in the pipeline of the certificate; a "
            f"pipeline that computes in {stored} gives other digits"
        )
    return tuple(found)


def reference_of(
    logits_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], labels: Labels, name: str
) -> Reference:
    """Return the logits of a whole model in the order of the bundle.

    Args:
        logits_of: logits of the model in the order of its ids, given input_ids and attention_mask.
        labels: labels of the model.
        name: name of the model, for messages.
    """

    def reference(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        try:
            with torch.inference_mode():
                logits = logits_of(torch.from_numpy(input_ids), torch.from_numpy(attention_mask)).numpy()
        except (ValueError, RuntimeError, IndexError) as error:  # a model that needs more than tokens, for example
            raise shortage(error) or UnsupportedEncoder(
                f"{name} cannot compute a batch of shape {input_ids.shape} in PyTorch: {first_line(error)}\n"
                "Give a checkpoint of another architecture."
            ) from error
        return labels.folded(logits.T).T

    return reference


def assembled(
    parts: Parts, tokenizer: Any, labels: Labels, settings: CheckpointSettings
) -> tuple[FrozenEncoder, Classifier]:
    """Return a model's encoder and its classifier with the labels in the order of the bundle.

    Raises:
        UnsupportedEncoder: the model has fewer positions than --max-length, or no tokenizer that can be used.
        UsageError: an option does not fit the model.
    """
    name, config = settings.name, parts.model.config
    assert isinstance(config, PretrainedConfig)
    length = settings.max_length or default_length(config, tokenizer)
    kept = settings.tokens_kept(length)
    encoder = freeze(
        parts.model,
        tokenizer_json_of(tokenizer, name),
        name=Path(name).resolve().name if Path(name).is_dir() else name,
        revision=getattr(config, "_commit_hash", None),
        max_length=length,
        max_tokens=kept,
        clean_text=settings.clean_text,
    )
    windows = settings.window_settings(length)
    reading = checked_reading(settings.truncation, length, windows, tokenizer=encoder.tokenizer, name=name)
    head = LinearHead(*(np.ascontiguousarray(labels.folded(one)) for one in (parts.head.weight, parts.head.bias)))
    return encoder, Classifier(head, parts.pooling, reading, dense=parts.dense)


def default_length(config: PretrainedConfig, tokenizer: Any) -> int:
    """Return the smallest of the model's positions, the tokenizer's own limit and `LONGEST`."""
    positions = positions_of(config, family_of(config))
    # A tokenizer without a limit has a very large one.
    return int(min(tokenizer.model_max_length, LONGEST, *([] if positions is None else [positions])))


def load_tokenizer(settings: CheckpointSettings) -> Any:
    """Load the tokenizer of a checkpoint or an encoder as transformers does."""
    return AutoTokenizer.from_pretrained(settings.name, **where(settings))


def where(settings: CheckpointSettings) -> dict[str, Any]:
    """Return the arguments of transformers for finding a model: code of its own is never run, a folder asks no hub."""
    local = Path(settings.name).is_dir()
    return {"revision": settings.revision, "trust_remote_code": False, "local_files_only": local}


@contextlib.contextmanager
def transformers_errors(name: str) -> Iterator[None]:
    """Turn the errors of transformers into those of an import.

    Args:
        name: name of the checkpoint, for messages.
    """
    # Its reports and its bars would bury our own messages.
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # Without this, it asks a bot on the hub to convert a checkpoint that has no safetensors.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    try:
        yield
    except ExportError:
        raise
    except (OSError, ValueError, RuntimeError, ImportError, pickle.UnpicklingError) as error:
        if "trust_remote_code" in str(error):
            raise needs_remote_code(name) from error
        raise shortage(error) or cannot_be_imported(name, first_line(error)) from error


def _labels(config: PretrainedConfig, settings: CheckpointSettings) -> Labels:
    """Check the settings of a checkpoint as those of a folder are, for one that came from the hub, and return its labels."""
    name = settings.name
    refuse_other_class(config.architectures, name)
    id2label = id2label_of({"id2label": config.id2label}, name)
    task = task_of(getattr(config, "problem_type", None), len(id2label), settings.task, name)
    settings.check_task(task)
    keep, positive = settings.keep_label_names, settings.positive_label
    return labels_of(id2label, settings.label_names, keep=keep, positive=positive, name=name, task=task)


def _check_sizes(config: PretrainedConfig, name: str) -> None:
    """Raise `UnsupportedEncoder` if a config does not state the sizes of an encoder of tokens."""
    for size in ("vocab_size", "hidden_size", "num_hidden_layers"):
        if not isinstance(getattr(config, size, None), int):
            raise UnsupportedEncoder(
                f"{name} ({config.model_type}) has no {size}, so it is no encoder of tokens. Give a checkpoint of another "
                "architecture."
            )


def _taken_apart(model: Any) -> Parts | None:
    """Return the parts of a classifier whose encoder is written node by node, or None."""
    family = family_of(model.config)
    if family is None or model.base_model is model:
        return None
    paths = family.head
    found = [_linear(model, path) for path in (paths.dense, paths.out)]
    if found[0] is None or found[1] is None:
        return None
    dense, out = (_arrays(one) for one in found if one is not None)
    return Parts(without_pooler(model.base_model), "cls", LinearHead(*out), Dense(*dense, paths.activation))


def _whole(model: Any) -> Parts:
    """Return a classifier as one part, whose logits are its only vector."""
    count = model.config.num_labels
    head = LinearHead(np.eye(count, dtype=np.float32), np.zeros(count, dtype=np.float32))
    return Parts(model, LOGITS, head)


def without_pooler(model: nn.Module) -> nn.Module:
    """Return an encoder without its pooling layer, if it has one; it shares its weights with the given one.

    So its digest is that of the encoder that `export.encoder.load.load_encoder` reads from the same checkpoint.
    """
    if getattr(model, "pooler", None) is None:
        return model
    bare = copy.copy(model)
    bare._modules = {**model._modules, "pooler": None}
    return bare


def _linear(model: nn.Module, path: str) -> nn.Linear | None:
    try:
        found = model.get_submodule(path)
    except AttributeError:
        return None
    return found if isinstance(found, nn.Linear) and found.bias is not None else None


def _arrays(linear: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return linear.weight.detach().numpy(), linear.bias.detach().numpy()
