"""The manifest of a trained classifier, and its bundle in memory before evaluation and publication."""

from dataclasses import asdict
from typing import Any

from export.bundle import assemble
from export.bundle.assemble import encoder_fields, graph_file, parity_fields, providers
from export.bundle.bundle import head_fields, library_versions
from export.bundle.golden import golden_rows, tolerances_of
from export.classifier.choice import Step
from export.classifier.settings import FIGURES, MSE
from export.data import ChosenTest, Dataset
from export.training.cascade import CascadeChoice
from export.training.fitted import Fit
from export.training.graphs import Exported
from export.training.run import Run
from export.training.settings import FitSettings
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
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
        positive_label=dataset.labels[1] if dataset.task == SINGLE_LABEL and len(dataset.labels) == 2 else None,
        max_length=settings.max_length,
        max_tokens=encoder.tokenizer.max_length if classifier.reading else None,
        truncation=settings.truncation,
        pooling=classifier.pooling,
        precisions={
            precision: Precision(graph_file(precision), tolerances[precision]) for precision in exported.graphs
        },
        providers=providers(exported.graphs),
        golden=golden,
        encoder=encoder_fields(encoder, settings.fit.tune.blocks if settings.fit.tune else 0),
        head=head_fields(classifier),
        calibration=_calibration(fitted, dataset.task),
        training=_training(dataset, settings.fit, fitted),
        metrics=_metrics(fitted, dataset),
        parity=_parity(exported),
        versions=library_versions(),
        wide=WideGraph(WIDE_FILE, classifier.wide_apart.keys.pairs) if classifier.wide_apart else None,
        cascade=classifier.cascade,
        task=dataset.task,
        thresholds=tuple(one.threshold for one in fitted.calibration.thresholds) or None,
        unit=fitted.unit,
        ordered=dataset.ordered,
        windows=settings.window_settings,
        calibration_by_length=classifier.by_length,
    )


def _calibration(fitted: Fit, task: Task) -> dict[str, Any] | None:
    """Return the temperatures, with figures of the texts that they were fitted to; None for numbers."""
    if task == REGRESSION:
        return None
    temperature = fitted.stack.temperature
    return {
        "temperature": temperature if isinstance(temperature, float) else temperature.tolist(),
        "texts": len(fitted.validation_rows),
        **fitted.calibration.figures,
    }


def _training(dataset: Dataset, settings: FitSettings, fitted: Fit) -> dict[str, Any]:
    """Return the settings that training used, by name; those of other tasks only if they were."""
    tune = settings.tune
    trained = {"head": settings.head.as_used()}
    if tune is not None:
        trained = {"unfrozen" if tune.blocks else "attention": tune.as_used()}
    return {
        "dataset": dataset.name,
        **({"test_part": _test_part(dataset.test_part)} if dataset.test_part else {}),
        "seed": settings.seed,
        **({"folds": len(fitted.crossed.folds)} if fitted.crossed else {"validation_share": settings.held_out_share}),
        **trained,
        **({"wide": asdict(settings.wide)} if settings.wide and fitted.wide else {}),
        **(
            {"cascade": settings.cascade.as_used(of_domains=bool(dataset.train.domains))}
            if settings.cascade and fitted.cascade
            else {}
        ),
        **({"task": dataset.task} if dataset.task != SINGLE_LABEL else {}),
        **({"loss": settings.loss} if dataset.task == REGRESSION and settings.loss != MSE else {}),
        **({"domains": asdict(settings.domains)} if is_weighed(dataset) else {}),
        **({"augment": list(settings.augment)} if tune is not None and settings.augment else {}),
        **({"calibrate": settings.calibrate} if fitted.classifier.by_length else {}),
        **({"balance": True} if dataset.task == SINGLE_LABEL and settings.balance else {}),
        **(
            {"min_precision": settings.min_precision}
            if dataset.task == MULTI_LABEL and settings.min_precision is not None
            else {}
        ),
    }


def _test_part(part: ChosenTest) -> dict[str, Any]:
    """Return how the test texts were chosen, without what does not apply."""
    return {name: value for name, value in asdict(part).items() if value is not None}


def is_weighed(dataset: Dataset) -> bool:
    """Return whether training weighs texts by their domains."""
    return bool(dataset.train.domains) and dataset.task == SINGLE_LABEL


def _metrics(fitted: Fit, dataset: Dataset) -> dict[str, Any]:
    """Return the figures of the training; those of the test texts are added later."""
    training, wide, key = fitted.training, fitted.wide, FIGURES[dataset.task].key
    thresholds = zip(dataset.labels, fitted.calibration.thresholds, strict=False)  # empty for other tasks
    return {
        "train_texts": len(fitted.train_rows),
        "validation_texts": len(fitted.validation_rows),
        "test_texts": len(dataset.test),
        "validation": dict(fitted.validation),
        "poolings": dict(fitted.poolings),
        "head": {"by": training.by, "kept": training.best.number, "steps": _steps(training.steps, key)},
        **({"wide": {"kept": wide.best.number, "steps": _steps(wide.steps, key)}} if wide else {}),
        **(
            {"thresholds": [{"label": label, **asdict(one)} for label, one in thresholds]}
            if fitted.calibration.thresholds
            else {}
        ),
        **({"cascade": {"held_out": held_out_figures(fitted.cascade)}} if fitted.cascade else {}),
    }


def held_out_figures(choice: CascadeChoice) -> dict[str, Any]:
    """Return the figures of the texts that a cascade was chosen on."""
    return {
        "texts": choice.texts,
        "without": asdict(choice.without),
        "chosen": asdict(choice.chosen),
        "loss": asdict(choice.loss),
        **({"domains": [asdict(domain) for domain in choice.domains]} if choice.domains else {}),
    }


def _steps(steps: tuple[Step, ...], key: str) -> list[dict[str, float]]:
    """Return each step by name; ``key`` is the name of its figure."""
    names = {"figure": key}
    return [{names.get(name, name): value for name, value in asdict(step).items()} for step in steps]


def _parity(exported: Exported) -> dict[str, Any]:
    return {
        **parity_fields(exported.parity, exported.half),
        **({"wide": exported.wide_parity.difference} if exported.wide_parity else {}),
    }
