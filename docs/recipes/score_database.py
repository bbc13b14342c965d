"""Score the texts of a table into the table `scores` of the same database: PostgreSQL, SQLite or DuckDB.

Others read the old scores until the new ones are complete. A run that fails on the way changes nothing.

python docs/recipes/score_database.py postgresql://scorer@db.example/shop
"""

import sys

from adbc_driver_manager.dbapi import Connection

from scorer import Scorer

# Name your model and the column of the texts here, and a key that is called id: "/srv/models/ours" and
# "SELECT number AS id, body AS review FROM tickets".
MODEL = None
QUERY = "SELECT id, review FROM reviews"
CACHE = "scores.cache.sqlite"  # texts of earlier nights are not computed again
MIN_ROWS = 1  # an empty table is no success
SWAP = (
    "DROP TABLE IF EXISTS scores",
    "ALTER TABLE scores_new RENAME TO scores",
    "CREATE UNIQUE INDEX scores_id ON scores (id)",
)


def connect(address: str) -> Connection:
    if address.startswith(("postgresql://", "postgres://")):
        import adbc_driver_postgresql.dbapi as driver
    elif address.endswith(".duckdb"):
        import adbc_driver_duckdb.dbapi as driver
    else:
        import adbc_driver_sqlite.dbapi as driver
    return driver.connect(address)


def main(address: str) -> None:
    """Write all scores in one transaction, which an error or the end of this process undoes."""
    rows = rejected = 0
    with connect(address) as writing, writing.cursor() as scores, Scorer(MODEL, cache=CACHE) as scorer:
        with writing.adbc_clone() as reading, reading.cursor() as texts:
            texts.execute(f"SELECT count(*) FROM ({QUERY}) AS texts")
            (found,) = texts.fetchone()
            if found < MIN_ROWS:
                sys.exit(f"the query finds {found} rows, fewer than {MIN_ROWS}; the old scores stay")
            if found == 0:
                return
            texts.execute(QUERY)
            for batch in scorer.score_table(texts.fetch_record_batch(), batches=True):
                # Not the whole stream at once: DuckDB takes an error in the middle of a stream for its end.
                scores.adbc_ingest("scores_new", batch.drop_columns("row"), mode="append" if rows else "replace")
                rows += batch.num_rows
                rejected += batch.num_rows - batch["reject"].null_count
        for statement in SWAP:
            scores.execute(statement)
        writing.commit()
    print(f"{rows:,} rows, {rejected:,} of them without a score: see the column reject")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
