"""The command `score-model parity`, which compares a bundle with its PyTorch model; it parses and delegates."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from export.cli.options import (
    READ_AS_SCORE,
    READING_FILES,
    TEXT_COLUMN,
    THREADS,
    check_inputs,
    fill,
    require_libraries,
    use_threads,
)
from export.encoder.folder import check_encoder_folder
from export.errors import ExportError
from export.hub import check_reachable
from scorer.base.errors import UsageError
from scorer.base.messages import print_result
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, Whole, files
from scorer.cli.program import Command
from scorer.rows.input_options import InputOptions

if TYPE_CHECKING:
    from scorer.model.bundle import Bundle

_AGREEMENT: Mapping[Task, str] = MappingProxyType(
    {
        SINGLE_LABEL: "same label {share} of {texts}",
        MULTI_LABEL: "same answer {share} of {texts} on the label that differs most",
        REGRESSION: "{share} of the variance explained over {texts}",
    }
)

HELP = """\
Compare BUNDLE with the PyTorch model that it was made from.

\b
Examples:
  score-model parity models/imdb --data reviews.csv
  score-model parity models/own --data reviews.csv --encoder ./MiniLM

Both score the same real texts. The logits of fp32 may differ by 1e-4. The other precisions must give the same label for 99% of
the texts, less what chance allows; for any number of labels a text, this holds for each label. Numbers must explain 99% of
the variance of PyTorch's.
"""


@click.command(cls=Command, help=HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@group(
    "Data",
    option(
        "--data",
        required=True,
        shell_complete=files,
        metavar="FILE",
        help=f"Texts to compare on{READ_AS_SCORE}.",
    ),
    TEXT_COLUMN,
    option(
        "--rows",
        type=Whole(2),
        default=200,
        show_default=True,
        metavar="N",
        help="Number of texts to compare, evenly spread over the file.",
    ),
)
@READING_FILES
@group(
    "Encoder",
    option(
        "--encoder",
        show_default="the name in the bundle, which only finds encoders on the hub",
        metavar="NAME",
        help="Encoder of the bundle, on the hub or in a local folder.",
    ),
)
@group("Run", THREADS)
@group(OTHER, DEBUG, HELP_OPTION)
def parity(
    bundle: Path,
    data: str,
    text_column: str | None,
    rows: int,
    encoder: str | None,
    threads: int | None,
    debug: bool,
    **reading: Any,
) -> None:
    """Compare as the options ask, and print the differences."""
    require_libraries()
    read = fill(InputOptions, reading)
    check_inputs({"--data": data}, read)
    from export.data_files import read_texts
    from scorer.model.bundle import load_bundle

    loaded = load_bundle(bundle)
    _check_comparable(loaded)
    if encoder is None and loaded.manifest.encoder["revision"] is None and loaded.manifest.source is not None:
        raise UsageError(f"{bundle} was imported from a local folder: name it with --encoder.")
    name = encoder or str(loaded.manifest.encoder["name"])
    found = check_encoder_folder(name, loaded.manifest.max_length)
    check_reachable(encoder=name if found is None else None, dataset=None)
    texts = read_texts(data, text_column, rows, read)
    use_threads(threads)
    from export.bundle.parity_check import check_bundle
    from export.encoder.load import load_encoder
    from scorer.base.cores import usable_cores

    model = load_encoder(
        name, max_length=loaded.manifest.max_length, revision=None if encoder else loaded.manifest.encoder["revision"]
    )
    compared, agreements = check_bundle(loaded, model, texts, threads or usable_cores())
    if compared is not None:
        shapes = ", ".join(map(str, compared.shapes[:4]))
        print_result(
            f"fp32, padded batches ({shapes}, ...): largest logit difference {compared.difference:.1e} over {compared.rows} rows"
        )
        if compared.texts is not None:
            print_result(
                f"fp32, {compared.texts.described}: largest logit difference {compared.texts.difference:.1e}"
                f"{'' if loaded.manifest.wide is None else ', without the wide part'}"
            )
    row = "row" if loaded.manifest.windows is None else "window"
    for one in agreements:
        print_result(
            f"{one.precision}, one {row} per run: largest logit difference {one.difference:.1e}, mean {one.mean:.1e}, "
            f"{_AGREEMENT[loaded.manifest.task].format(share=f'{one.labels:.2%}', texts=f'{len(texts)} texts')}"
        )


def _check_comparable(bundle: "Bundle") -> None:
    """Raise `ExportError` for an imported bundle whose parts no encoder alone could check."""
    source = bundle.manifest.source
    if source is None or (source.get("format"), source.get("graph")) == ("checkpoint", "written"):
        return
    what = "from a state dict" if source.get("format") == "state dict" else "as a whole, by PyTorch's exporter"
    raise ExportError(
        f"{bundle.path} was imported {what}, which this command cannot load again. The certificate in its README.md compares "
        "it with PyTorch; `score-model import` with other --texts makes a new one."
    )
