"""The model card: a bundle's purpose, its figures, its weak points, its training and its checks."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from export.classifier.agreement import agreement_words
from export.classifier.settings import FIGURES
from export.encoder.vectors import is_trained
from export.evaluation.calibration_card import calibration_parts
from export.evaluation.cascade_card import cascade_parts
from export.evaluation.cross_validation_card import cross_validation_parts
from export.evaluation.domains import domain_table
from export.evaluation.evaluate import Scored
from export.evaluation.judge import Judge
from export.evaluation.judges import judge_of
from export.evaluation.outputs import LOSS_FIGURE, OUTCOME_FIGURES, RELIABILITY_FIGURE
from export.evaluation.probe_card import probe_parts
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.model.interpretation import interpretation_of
from scorer.model.manifest import Manifest

OUTCOME_TITLES: Mapping[Task, str] = MappingProxyType(
    {
        SINGLE_LABEL: "by true and predicted label",
        MULTI_LABEL: "by label: precision, recall and F1",
        REGRESSION: "by true and predicted value",
    }
)
"""What the picture of `outputs.OUTCOME_FIGURES` divides texts by, by task."""


def model_card(manifest: Manifest, probes: Scored | None, notes: str) -> bytes:
    """Write the README.md of a bundle.

    Args:
        manifest: complete manifest of the bundle.
        probes: scored probes, grouped by what they test; None without probes.
        notes: Markdown by the user, placed after the introduction.
    """
    judge = judge_of(interpretation_of(manifest))
    sections = [
        *cross_validation_parts(manifest),
        *cascade_parts(manifest),
        *(probe_parts(probes) if probes else ()),
    ]
    parts = [
        f"# {manifest.name}",
        _introduction(manifest),
        notes.strip(),
        "## Evaluation",
        *_figures(manifest, judge),
        *_calibration(manifest),
        *_groups(manifest, judge),
        *(part if isinstance(part, str) else table(*part) for part in sections),
        "## Training",
        *_making(manifest, judge),
        "## Export checks",
        *_checks(manifest),
    ]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _introduction(manifest: Manifest) -> str:
    encoder, unfrozen = manifest.encoder, manifest.encoder["unfrozen"]
    last = "the last one" if unfrozen == 1 else f"the last {unfrozen}"
    state = f"{last} fine-tuned" if unfrozen else "frozen"
    wide = (
        " Its logits are added to those of the wide part, a linear model of the text's word pieces and of pairs of them."
        if "wide_pairs" in manifest.head
        else ""
    )
    return (
        f"{purpose(manifest)} A linear head reads {_pooling(manifest)} of the {encoder['name']} "
        f"encoder ({encoder['layers']} layers of hidden size {encoder['hidden']}, {state}).{_in_windows(manifest)}{wide} "
        f"The model was trained on {manifest.training['dataset']}."
    )


def _in_windows(manifest: Manifest) -> str:
    sentence = in_windows(manifest)
    return f" {sentence}" if sentence else ""


def in_windows(manifest: Manifest) -> str:
    """Return how a bundle reads long texts in windows, in a sentence; empty for one that does not."""
    if manifest.windows is None:
        return ""
    how = {
        "mean": "its logits are the mean of the windows', weighted by their tokens; windows share those that they have in common",
        "max": "the logit of a label is the largest of any window",
    }[manifest.windows.combination]
    return f"The encoder reads a text of more than {manifest.max_length:,} tokens in windows, and {how}."


def purpose(manifest: Manifest) -> str:
    """Return what a bundle does with texts, in a sentence or two."""
    labels = manifest.labels
    if manifest.task == MULTI_LABEL:
        return f"Gives each text any number of the labels {join(labels, 'and')}."
    if manifest.task == REGRESSION:
        return "Gives each text a number." if len(labels) == 1 else f"Gives each text numbers: {join(labels, 'and')}."
    ordered = " The labels are numbers in an order; their mean under the probabilities is the expected label."
    return f"Classifies texts as {join(labels, 'or')}.{ordered if manifest.ordered else ''}"


def _figures(manifest: Manifest, judge: Judge) -> Iterator[str]:
    metrics, task = manifest.metrics, manifest.task
    test = metrics["test"]
    scored, cascade = metrics["precisions"], metrics.get("cascade")
    how = "every text through the encoder" if cascade else "as scored on CPU"
    rows = [(f"{precision}, {how}", found) for precision, found in sorted(scored.items())]
    if cascade:
        rows.insert(0, (f"{next(iter(scored))} with the cascade, as scored on CPU", cascade["test"]))
    rows += [("fp32, PyTorch", test)]
    names = [name for name, *_ in judge.baselines()]
    if "baseline" in metrics:
        rows.append((f"{names[0]}, for comparison", metrics["baseline"]))
    rows += [(f"{name}, for comparison", found) for name, found in metrics.get("baselines", {}).items()]
    yield (
        f"Results on {test['texts']:,} test texts, scored once, after all choices were made on validation texts"
        f"{_chosen_from(manifest)}:"
    )
    yield table(("", *judge.head), [(name, *judge.cells(found)) for name, found in rows])
    shares = [(precision, f"{found['agreement']:.2%}") for precision, found in sorted(scored.items())]
    yield " ".join(f"{name} gives {agreement_words(task, share, 'the test texts')}." for name, share in shares)
    for precision, agreement in metrics.get("left_out", {}).items():
        gave = agreement_words(task, f"only {agreement:.2%}", "the test texts")
        yield f"{precision} is not in the bundle: it gave {gave}."
    same = metrics["test_in_train"]
    yield f"{_texts(same)} of the test split also occur{'s' if same == 1 else ''} verbatim in the training split."
    for part in judge.tables(metrics):
        yield f"{part.title[0].upper()}{part.title[1:]}:"
        yield table(part.head, part.rows)
    yield f"![Test texts {OUTCOME_TITLES[task]}]({OUTCOME_FIGURES[task]})"


def _chosen_from(manifest: Manifest) -> str:
    """Return how the test texts were chosen from the training files, in a sentence that another follows; empty if given."""
    part = manifest.training.get("test_part")
    if part is None:
        return ""
    column = part.get("split_by")
    together = "" if column is None else f", and texts with one value of `{column}`"
    same = "numbers of every size" if manifest.task == REGRESSION else "each label"
    return (
        f". They are {part['share']:.0%} of the texts of the training files, with {same} in the same share. Equal texts"
        f"{',' if column else ' and'} near duplicates{together} are either all among them or all among the others"
    )


def _calibration(manifest: Manifest) -> Iterator[str]:
    calibration, metrics, unit = manifest.calibration, manifest.metrics, manifest.unit
    if unit is not None:
        each = zip(manifest.labels, unit.scale, unit.offset, strict=True)
        units = join([f"{name} = logit * {scale:g} + {offset:g}" for name, scale, offset in each], "and")
        yield f"Values are in the unit of the labels: {units}, by the deviation and the mean of the training texts."
        return
    assert calibration is not None
    after, before = metrics["test"]["ece"], metrics["test_uncalibrated"]["ece"]
    if manifest.task == MULTI_LABEL:
        yield (
            f"The logits of each label are divided by a temperature, fitted on {calibration['texts']:,} validation texts. A "
            "text gets a label if its probability is at least the label's threshold, chosen on the same texts "
            f"{_threshold_rule(manifest)}. The "
            f"calibration error, a mean over the labels, is {after:.2%} with the temperatures and {before:.2%} without them "
            f"on the test texts, and {calibration['ece_after']:.2%} and {calibration['ece_before']:.2%} on the validation "
            "texts."
        )
        yield "What the thresholds were chosen by; with few texts that have the label, they are uncertain:"
        yield table(
            ("label", "threshold", "validation texts with it", "precision", "recall"),
            [
                (
                    one["label"],
                    f"{one['threshold']:.4g}",
                    f"{one['texts']:,}",
                    *("" if one[name] is None else f"{one[name]:.4f}" for name in ("precision", "recall")),
                )
                for one in metrics["thresholds"]
            ],
        )
        yield f"![Share of texts with a label by its probability]({RELIABILITY_FIGURE})"
        return
    what, it = ("the temperature", "it") if manifest.calibration_by_length is None else ("both calibrations", "them")
    yield (
        f"Logits are divided by a temperature of {calibration['temperature']:.3f}, fitted on {calibration['texts']:,} "
        f"validation texts. The expected calibration error is {after:.2%} with {what} and "
        f"{before:.2%} without {it} on the test texts, and {calibration['ece_after']:.2%} and "
        f"{calibration['ece_before']:.2%} on the validation texts."
    )
    for part in calibration_parts(manifest):
        yield part if isinstance(part, str) else table(*part)
    yield f"![Accuracy by confidence]({RELIABILITY_FIGURE})"


def _threshold_rule(manifest: Manifest) -> str:
    """Return in words what the thresholds were chosen for."""
    wanted = manifest.training.get("min_precision")
    if wanted is None:
        return "for the largest F1"
    return f"as the lowest one with a precision of at least {wanted:g} there, which other texts need not keep"


def _groups(manifest: Manifest, judge: Judge) -> Iterator[str]:
    how = ", with the cascade" if manifest.cascade else ""
    if "by_domain" in manifest.metrics:
        yield f"By domain{how}; in the means, every domain counts the same:"
        yield table(*domain_table(judge, {manifest.name: manifest.metrics}))
    for title, groups in (("length", manifest.metrics["by_length"]), ("group", manifest.metrics["by_group"])):
        if groups:
            yield f"By {title}{how}:"
            yield table(
                (title, "texts", *judge.grouped.head),
                [(one["name"], f"{one['texts']:,}", *judge.grouped.cells(one)) for one in groups],
            )
    if manifest.metrics["costliest"]:
        yield f"The costliest errors, by the ids of the test texts: {', '.join(manifest.metrics['costliest'])}."


def _making(manifest: Manifest, judge: Judge) -> Iterator[str]:
    encoder, metrics, figure = manifest.encoder, manifest.metrics, judge.main
    yield table(
        ("setting", "value"),
        [
            ("encoder", f"{encoder['name']}, {encoder['architecture']}, {revision_of(encoder['revision'])}"),
            ("sha256 of its weights", f"`{encoder['sha256']}`"),
            ("tokens that the encoder reads", _length(manifest)),
            ("pooling that the head reads", manifest.pooling),
            _texts_used(manifest),
            *((name.replace("_", " "), _setting(value)) for name, value in manifest.training.items()),
            ("libraries", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ],
    )
    name = f"{figure.name[0].upper()}{figure.name[1:]}"
    yield f"{name} on the validation texts{_what_is_validated(manifest)}:"
    yield table(
        ("part", f"validation {figure.name}"),
        [(_PARTS[part], figure.spelled(share)) for part, share in metrics["validation"].items()],
    )
    if metrics["poolings"]:
        yield f"Heads with other poolings of the same encoder, for comparison (this bundle's pooling is {manifest.pooling}):"
        yield table(
            ("pooling", f"validation {figure.name}"),
            [(pooling, figure.spelled(share)) for pooling, share in metrics["poolings"].items()],
        )
    for part, title in (("head", "head"), ("wide", "wide part")):
        if part in metrics:
            by = metrics[part].get("by", "L2")
            yield f"Training of the {title}, by {by} ({by} {metrics[part]['kept']:g} was kept):"
            yield table(
                (by, "training loss", "validation loss", f"validation {figure.name}"),
                [
                    (
                        f"{step['number']:g}",
                        f"{step['train_loss']:.4f}",
                        f"{step['validation_loss']:.4f}",
                        figure.spelled(step[FIGURES[manifest.task].key]),
                    )
                    for step in metrics[part]["steps"]
                ],
            )
    yield f"![Loss of the head]({LOSS_FIGURE})"


def _checks(manifest: Manifest) -> Iterator[str]:
    parity = manifest.parity
    rows = "texts" if manifest.windows is None else "windows of texts"
    yield (
        f"The exported fp32 graph, run by onnxruntime, was compared with PyTorch on {parity['rows']:,} {rows}, in "
        f"{parity['batches']} batches of different shapes. Its logits differ by at most {parity['difference']:.1e} "
        f"({parity['tolerance']:.0e} is allowed)."
    )
    if "texts" in parity:
        yield whole_texts_compared(parity["texts"])
    if "fp16" in manifest.precisions:
        half = parity["fp16"]
        yield (
            f"The fp16 graph, for CUDA, was emulated on a CPU and compared with float32 arithmetic on the same weights, on "
            f"{half['rows']:,} texts. {_HALF_UNITS[manifest.task].format(half['difference'])}, and by "
            f"{half['mean']:.1e} on average."
        )
    if manifest.wide is not None:
        has_cascade = manifest.cascade is not None
        every = "The encoder reads every text in these checks. " if has_cascade else ""
        same = (
            " The cascade compares exact sums, so it makes the same decisions on every machine." if has_cascade else ""
        )
        yield (
            f"{every}The wide part has its own graph, whose logits differ from the exact sums by at most "
            f"{parity['wide']:.1e}.{same}"
        )


def whole_texts_compared(parity: Mapping[str, Any]) -> str:
    """Return the comparison of whole texts in a sentence.

    Args:
        parity: fields of an `export.graph.parity.TextParity`.
    """
    return (
        f"The logits of {parity['texts']:,} whole texts differ by at most {parity['difference']:.1e}. They have up to "
        f"{parity['windows'][-1]} windows, and some are as long as a number of windows allows, or one token longer."
    )


def _texts_used(manifest: Manifest) -> tuple[str, str]:
    """Return the setting that names the numbers of texts, and its value."""
    train, validation = (f"{manifest.metrics[name]:,}" for name in ("train_texts", "validation_texts"))
    if "folds" in manifest.training:
        return "training texts", f"{train}, of which {validation} were validation texts as well, by cross-validation"
    return "training and validation texts", f"{train} and {validation}"


def _what_is_validated(manifest: Manifest) -> str:
    """Return what the parts on validation texts had been trained on, in words that follow these texts."""
    if "folds" in manifest.training:
        return ", each scored by parts that were trained on other folds; the final parts were trained on all texts"
    again = " (the wide part was trained again later, on training and validation texts together)"
    return f", which no part had been trained on{again if 'wide' in manifest.metrics else ''}"


def _length(manifest: Manifest) -> str:
    metrics = manifest.metrics
    beyond = manifest.max_tokens or manifest.max_length
    if beyond == manifest.max_length:
        return f"the first {manifest.max_length} tokens ({metrics['test_truncated']:.1%} of the test texts have more)"
    if manifest.windows is not None:
        return (
            f"{windows_read(manifest)} ({metrics['test_cut']:.1%} of the test texts have several windows, "
            f"{metrics['test_truncated']:.1%} more than {beyond:,} tokens)"
        )
    cut = manifest.head["cut_head"]
    what = {
        "head": f"the first {manifest.max_length} tokens",
        "tail": f"the last {manifest.max_length} tokens",
        "head+tail": f"the first {cut} and the last {manifest.max_length - cut} tokens",
    }[manifest.truncation]
    wide = f"; the wide part reads up to {beyond:,} tokens" if "wide_pairs" in manifest.head else ""
    return (
        f"{what} of up to {beyond:,} ({metrics['test_cut']:.1%} of the test texts have more than {manifest.max_length}, "
        f"{metrics['test_truncated']:.1%} more than {beyond:,}){wide}"
    )


def windows_read(manifest: Manifest) -> str:
    """Return the tokens that a bundle with windows reads of a text, as a cell of a table."""
    windows = manifest.windows
    assert windows is not None, "the bundle reads in windows"
    return (
        f"up to {manifest.tokens_kept:,}, in at most {windows.most} windows of {manifest.max_length:,} tokens that begin "
        f"every {windows.stride:,}"
    )


def revision_of(revision: str | None) -> str:
    """Return the origin of a model in words, by its commit on the hub."""
    return f"revision {revision}" if revision else "from a local folder"


_PROBABILITIES = "Its probabilities differ by at most {:.1e}"
_HALF_UNITS: Mapping[Task, str] = MappingProxyType(
    {
        SINGLE_LABEL: _PROBABILITIES,
        MULTI_LABEL: _PROBABILITIES,
        REGRESSION: "Its values differ by at most {:.1e} standard deviations",
    }
)
_PARTS = {"encoder": "encoder and head", "wide": "wide part", "together": "both"}


def _pooling(manifest: Manifest) -> str:
    if manifest.pooling in ("cls", "mean"):
        return {"cls": "the last layer's [CLS] vector", "mean": "the last layer's mean vector"}[manifest.pooling]
    names = manifest.pooling.split("+")
    trained = "; attention vectors are means with trained weights" if is_trained(manifest.pooling) else ""
    if len(names) == 1:
        return f"the vector {names[0]}{trained}"
    return f"the vectors {join(names, 'and')} (concatenated{trained})"


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_setting(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_setting, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _texts(count: int) -> str:
    return f"{count:,} text{'' if count == 1 else 's'}"


def join(names: Sequence[str], word: str) -> str:
    """Join names with commas, and a word before the last."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )
