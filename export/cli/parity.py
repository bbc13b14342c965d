"""`score-model parity`: a bundle, compared with its PyTorch model; parses and delegates."""

from pathlib import Path
from typing import Any

import click

from export.cli.options import READ_AS_SCORE, TEXT_COLUMN, THREADS, check_inputs, fill, require_libraries, use_threads
from export.encoder.folder import look_at
from export.hub import check_reachable
from scorer.base.messages import show
from scorer.cli.options import DEBUG, READING, files
from scorer.cli.program import Command
from scorer.rows.input_options import InputOptions


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    shell_complete=files,
    metavar="FILE",
    help=f"Texts. {READ_AS_SCORE}",
)
@READING
@TEXT_COLUMN
@click.option(
    "--rows",
    type=click.IntRange(2),
    default=200,
    show_default=True,
    metavar="N",
    help="Texts to compare, evenly spread over the file.",
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="The bundle's encoder, a hub name or a local folder; default: the bundle's own name for it, which does for the hub only.",
)
@THREADS
@DEBUG
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
    """Compare BUNDLE with the PyTorch model it was made from, on real texts.

    fp32 logits may differ by 1e-4; the other precisions have to give the same label for 99% of the texts, chance
    allowed for.
    """
    require_libraries()
    read = fill(InputOptions, reading)
    check_inputs({"--data": data}, read)
    from export.data import read_texts
    from scorer.model.bundle import load_bundle

    loaded = load_bundle(bundle)
    name = encoder or str(loaded.manifest.encoder["name"])
    found = look_at(name, loaded.manifest.max_length)
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
        show(
            f"fp32, padded batches ({shapes}, ...): biggest difference of a logit {compared.difference:.1e} over {compared.rows} rows"
        )
    for one in agreements:
        show(
            f"{one.precision}, a row a run: biggest difference {one.difference:.1e}, mean {one.mean:.1e}, "
            f"same label {one.labels:.2%} of {len(texts)} texts"
        )
