"""Settings of a checkpoint in a local folder, checked before any heavy import."""

from pathlib import Path
from typing import Any

from export.encoder.folder import CONFIG, is_path, read_config
from export.errors import ExportError, UnsupportedEncoder
from export.importing.labels import id2label_of, labels_of, shown
from export.importing.settings import CheckpointSettings
from export.importing.task import task_of
from scorer.base.errors import UsageError

CLASSIFIER = "ForSequenceClassification"
"""Ending of transformers' classes of classifiers."""


def check_checkpoint_folder(settings: CheckpointSettings) -> Path | None:
    """Check a local checkpoint's settings without reading its weights; return its folder, or None for a hub name.

    Raises:
        UsageError: an option does not fit the checkpoint.
        ExportError: the folder is missing, has no readable settings, or its labels have no names.
        UnsupportedEncoder: the checkpoint is no classifier.
    """
    name = settings.name
    if not is_path(name):
        return None
    if settings.revision is not None:
        raise UsageError(f"--revision is for models on the hub; {name} is a folder. Omit it.")
    _check_folder(Path(name))
    config = read_config(Path(name), cannot_be_imported)
    if settings.state_dict is None:
        _check_classifier(config, settings)
    return Path(name)


def _check_folder(folder: Path) -> None:
    """Refuse what people often name instead of a checkpoint's folder, with what would work."""
    if folder.is_file():
        raise UsageError(
            f"{folder} is a file. Name its folder, or give the weights of a notebook with --state-dict and --encoder."
        )
    if not folder.is_dir() or (folder / CONFIG).exists():
        return
    if (folder / "adapter_config.json").exists():
        raise UsageError(
            f"{folder} is an adapter (PEFT), without its model. Merge them first: "
            "model.merge_and_unload().save_pretrained(FOLDER), and the tokenizer's save_pretrained(FOLDER)."
        )
    inner = sorted(one.name for one in folder.iterdir() if (one / CONFIG).is_file())
    if inner:
        raise UsageError(
            f"{folder} holds checkpoints, but has no config.json itself. Name one of them: {shown(inner)}."
        )


def _check_classifier(config: dict[str, Any], settings: CheckpointSettings) -> None:
    name = settings.name
    refuse_other_class(config.get("architectures"), name)
    if "auto_map" in config:
        from transformers import CONFIG_MAPPING

        if config.get("model_type") not in CONFIG_MAPPING:
            raise needs_remote_code(name)
    id2label = id2label_of(config, name)
    task = task_of(config.get("problem_type"), len(id2label), settings.task, name)
    settings.check_task(task)
    labels_of(
        id2label,
        settings.label_names,
        keep=settings.keep_label_names,
        positive=settings.positive_label,
        name=name,
        task=task,
    )


def refuse_other_class(architectures: object, name: str) -> None:
    """Refuse a checkpoint whose settings name classes, but none of a classifier.

    Args:
        architectures: ``architectures`` of its settings.
        name: name of the checkpoint, for messages.

    Raises:
        UnsupportedEncoder: it was saved from another class.
    """
    if not isinstance(architectures, list) or not architectures:
        return
    if not any(isinstance(one, str) and one.endswith(CLASSIFIER) for one in architectures):
        raise UnsupportedEncoder(
            f"{name} is a {', '.join(map(str, architectures))}, which has no classification head. Give a checkpoint of a "
            f"class that ends in {CLASSIFIER}, or train a head on it with `score-model train --encoder {name}`."
        )


def needs_remote_code(name: str) -> ExportError:
    return UnsupportedEncoder(
        f"{name} needs code of its own from the hub (auto_map in {CONFIG}), which is never run here: it could do anything. "
        "Give a checkpoint of an architecture that transformers itself has."
    )


def cannot_be_imported(name: str, why: str) -> ExportError:
    return ExportError(
        f"the checkpoint {name!r} cannot be loaded: {why}\n"
        "Give a hub name (the hub must be reachable), or a local folder with config.json, the weights and the tokenizer."
    )
