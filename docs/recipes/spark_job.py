"""Spark job that scores a folder of part files.

Each Python worker holds one scorer. mapInPandas gives it parts, and Spark repeats the parts of a lost executor.

spark-submit docs/recipes/spark_job.py lake/day=2026-11-23 scores
"""

import functools
import sys
from collections.abc import Iterable, Iterator

import pandas as pd
from pyspark.sql import SparkSession

from scorer.cluster import Part, check_folder, find_parts, mark_complete, mark_incomplete, shared_part_scorer

# Options of `score` by their long names, with one core for each task. Name your model and the column of the texts here, as
# in "model": "/srv/models/ours", "text": "body".
OPTIONS = {"output_format": "parquet", "threads": 1}
MIN_ROWS = 1  # an empty input is no success


def score_parts(batches: Iterable[pd.DataFrame], folder: str) -> Iterator[pd.DataFrame]:
    """Score parts (source, name), and yield a result for each: source, output, exit_code, rows, error."""
    for batch in batches:
        scorer = shared_part_scorer(folder, **OPTIONS)
        results = [scorer(Part(row.source, row.name)) for row in batch.itertuples(index=False)]
        yield pd.DataFrame(
            [
                (result.source, result.output, result.exit_code, result.counts.rows_in, result.error)
                for result in results
            ],
            columns=["source", "output", "exit_code", "rows", "error"],
        )


def main(source: str, folder: str) -> None:
    parts = find_parts([source])
    check_folder(folder, parts, [source], OPTIONS["output_format"])
    mark_incomplete(folder)
    with SparkSession.builder.appName("score").getOrCreate() as spark:
        # One partition for each part, so that only the unfinished parts of a lost executor are repeated.
        frame = spark.createDataFrame(pd.DataFrame(parts)).repartitionByRange(len(parts), "source")
        schema = "source string, output string, exit_code int, rows long, error string"
        results = frame.mapInPandas(functools.partial(score_parts, folder=folder), schema).toPandas()
    failed = results[~results.exit_code.isin([0, 3])]
    if len(failed):
        sys.exit(f"{len(failed)} of {len(parts)} parts failed:\n{failed.to_string()}")
    if results.rows.sum() < MIN_ROWS:
        sys.exit(f"the parts have {results.rows.sum()} records, fewer than {MIN_ROWS}")
    mark_complete(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
