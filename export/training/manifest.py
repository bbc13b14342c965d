"""The manifest of a trained classifier, and its bundle in memory before evaluation and publication."""

from dataclasses import asdict
from typing import Any

from export.bundle import assemble
from export.bundle.assemble import encoder_fields, graph_file, parity_fields, providers
from export.bundle.bundle import head_fields, library_versions
from export.bundle.golden import golden_rows, tolerances_of
from export.classifier.head import Step
from export.training.cascade import CascadeChoice
from export.training.fit import Fit
from export.training.graphs import Exported
from export.training.run import Run
from export.training.settings import FitSettings
from scorer.model.bundle import WIDE_FILE, Bundle
from scorer.model.manifest import Manifest, Precision, WideGraph


def unpublished(run: Run, fitted: Fit, exported: Exported) -> Bundle:
    """Make the bundle in memory, so that the scorer's own engine can evaluate it before it is published."""
    manifest = _manifest(run, fitted, exported)
    folder, tokenizer_json = run.settings.output, fitted.encoder.tokenizer_json
    return assemble.unpublished(folder, manifest, tokenizer_json, exported.graphs, exported.wide)


def _manifest(run: Run, fitted: Fit, exported: Exported) -> Manifest:
    dataset, settings = run.dataset, run.settings
    encoder, classifier = fitted.encoder, fitted.classifier
    golden = golden_rows(exported.graphs, encoder.tokenizer, classifier)
    tolerances = tolerances_of(golden, encoder.tokenizer, classifier)
    return Manifest(
        name=settings.name,
        labels=dataset.labels,
        positive_label=dataset.labels[1] if len(dataset.labels) == 2 else None,
        max_length=settings.max_length,
        max_tokens=encoder.tokenizer.max_length if classifier.cut else None,
        truncation=settings.truncation,
        pooling=classifier.pooling,
        precisions={
            precision: Precision(graph_file(precision), tolerances[precision]) for precision in exported.graphs
        },
        providers=providers(exported.graphs),
        golden=golden,
        encoder=encoder_fields(encoder, settings.fit.tune.blocks if settings.fit.tune else 0),
        head=head_fields(classifier),
        calibration={
            "temperature": fitted.stack.temperature,
            "texts": len(fitted.validation_rows),
            **fitted.calibration,
        },
        training=_training(dataset.name, settings.fit, fitted.cascade is not None),
        metrics=_metrics(fitted, len(dataset.test)),
        parity=_parity(exported),
        versions=library_versions(),
        wide=WideGraph(WIDE_FILE, classifier.wide_apart.keys.pairs) if classifier.wide_apart else None,
        cascade=classifier.cascade,
    )


def _training(dataset: str, settings: FitSettings, has_cascade: bool) -> dict[str, Any]:
    """Return the settings that training used, by name."""
    tune = settings.tune
    trained = {"head": settings.head.as_used()}
    if tune is not None:
        trained = {"unfrozen" if tune.blocks else "attention": tune.as_used()}
    return {
        "dataset": dataset,
        "seed": settings.seed,
        "validation_share": settings.validation_share,
        **trained,
        **({"wide": asdict(settings.wide)} if settings.wide else {}),
        **({"cascade": asdict(settings.cascade)} if settings.cascade and has_cascade else {}),
    }


def _metrics(fitted: Fit, test_texts: int) -> dict[str, Any]:
    """Return the figures of the training; those of the test texts are added later."""
    training, wide = fitted.training, fitted.wide
    return {
        "train_texts": len(fitted.train_rows),
        "validation_texts": len(fitted.validation_rows),
        "test_texts": test_texts,
        "validation": dict(fitted.validation),
        "poolings": dict(fitted.poolings),
        "head": {"by": training.by, "kept": training.best.number, "steps": _steps(training.steps)},
        **({"wide": {"kept": wide.best.number, "steps": _steps(wide.steps)}} if wide else {}),
        **({"cascade": {"held_out": held_out_figures(fitted.cascade)}} if fitted.cascade else {}),
    }


def held_out_figures(choice: CascadeChoice) -> dict[str, Any]:
    """Return the figures of the texts that a cascade was chosen on."""
    return {
        "texts": choice.texts,
        "without": asdict(choice.without),
        "chosen": asdict(choice.chosen),
        "loss": asdict(choice.loss),
    }


def _steps(steps: tuple[Step, ...]) -> list[dict[str, float]]:
    return [asdict(step) for step in steps]


def _parity(exported: Exported) -> dict[str, Any]:
    return {
        **parity_fields(exported.parity, exported.half),
        **({"wide": exported.wide_parity.difference} if exported.wide_parity else {}),
    }
