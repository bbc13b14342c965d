"""docs/recipes/score_database.py on real databases: what it writes, and what is left if it fails on the way."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import textwrap

import adbc_driver_manager
import pyarrow as pa
import pytest
from factories import ROOT, reviews
from postgresql import postgresql, programs

from scorer import Scorer
from scorer.base.errors import OutOfMemory
from scorer.engine.stages import Stages

RECIPE = ROOT / "docs" / "recipes" / "score_database.py"
DATABASES = ("postgresql", "sqlite", "duckdb")
ROWS = 1_100  # several batches of the scorer, and two of SQLite
TEXTS = [None if row % 50 == 7 else text for row, text in enumerate(reviews(ROWS, 2, 5).texts)]
OLD = [(1, "of last night")]


@pytest.fixture(scope="module")
def server():
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL's programs are missing: apt-get install postgresql")
    with postgresql(found) as running:
        yield running


@pytest.fixture
def recipe(bundle, tmp_path, monkeypatch):
    """The recipe's module, with the small bundle."""
    spec = importlib.util.spec_from_file_location("score_database", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "MODEL", str(bundle.path))
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture(params=DATABASES)
def address(request, recipe, tmp_path):
    """A database with a table of reviews, and with scores of last night."""
    if request.param == "postgresql":
        address = request.getfixturevalue("server").address
    else:
        address = str(tmp_path / f"shop.{request.param}")
    with recipe.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS reviews")
        cursor.execute("DROP TABLE IF EXISTS scores")
        cursor.execute("CREATE TABLE reviews (id BIGINT PRIMARY KEY, review TEXT)")
        cursor.adbc_ingest("reviews", pa.table({"id": range(1, ROWS + 1), "review": TEXTS}), mode="append")
        cursor.execute("CREATE TABLE scores (id BIGINT, label TEXT)")
        cursor.execute(f"INSERT INTO scores VALUES {', '.join(map(str, OLD))}")
        connection.commit()
    return address


def asked(recipe, address, query):
    with recipe.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def scores(recipe, address):
    return asked(recipe, address, "SELECT * FROM scores ORDER BY id")


def of_command(score, tmp_path):
    """Scores of the same texts as the command gives them, with null for rejects."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"id": row, "review": text}) + "\n" for row, text in enumerate(TEXTS, 1)))
    assert score(source, "-o", output, "--output-format", "jsonl").code == 3
    found = {row["id"]: row for row in map(json.loads, output.read_text().splitlines())}
    return [
        (row, found[row]["label"], found[row]["score"], None) if row in found else (row, None, None, "empty_text")
        for row in range(1, ROWS + 1)
    ]


def test_a_table_is_scored_as_the_command_scores_a_file(recipe, address, score, tmp_path, capfd):
    recipe.main(address)
    assert capfd.readouterr().out == f"{ROWS:,} rows, {ROWS // 50:,} of them without a score: see the column reject\n"
    assert scores(recipe, address) == of_command(score, tmp_path)


def types(recipe, address):
    """Types of the columns of the scores, as the database names them."""
    if not address.endswith("sqlite"):
        return asked(
            recipe,
            address,
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'scores' ORDER BY ordinal_position",
        )
    values = "id", "label", "score"
    found = asked(recipe, address, f"SELECT {', '.join(f'typeof({one})' for one in values)} FROM scores WHERE id = 1")
    return list(zip(values, found[0], strict=True))


TYPES = {
    "postgresql": [("id", "bigint"), ("label", "text"), ("score", "double precision"), ("reject", "text")],
    "sqlite": [("id", "integer"), ("label", "text"), ("score", "real")],
    "duckdb": [("id", "BIGINT"), ("label", "VARCHAR"), ("score", "DOUBLE"), ("reject", "VARCHAR")],
}


def kind(address):
    return next(one for one in DATABASES if one in address)


def test_keys_labels_and_scores_have_the_types_of_the_database(recipe, address):
    recipe.main(address)
    assert types(recipe, address) == TYPES[kind(address)]


def test_a_rerun_computes_nothing_again_and_takes_up_what_changed(recipe, address, monkeypatch):
    recipe.main(address)
    first = scores(recipe, address)
    computed = []
    submit = Stages.submit
    monkeypatch.setattr(Stages, "submit", lambda stages, rows: computed.extend(rows) or submit(stages, rows))
    recipe.main(address)
    assert (scores(recipe, address), computed) == (first, [])
    with recipe.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM reviews WHERE id = 2")
        cursor.execute("UPDATE reviews SET review = 'a text that nobody has seen' WHERE id = 3")
        connection.commit()
    recipe.main(address)
    assert len(computed) == 1
    again = scores(recipe, address)
    assert [row[0] for row in again] == [1, *range(3, ROWS + 1)]
    assert [row for row in again if row[0] != 3] == [row for row in first if row[0] not in (2, 3)]


class InTheMiddle(Scorer):
    """Scorer that does something after its second batch."""

    does = staticmethod(lambda: None)

    def score_table(self, table, **options):
        for number, batch in enumerate(super().score_table(table, **options), 1):
            yield batch
            if number == 2:
                self.does()


@pytest.fixture
def meanwhile(recipe, monkeypatch):
    """Lets a run do something in the middle."""

    def let(function):
        monkeypatch.setattr(recipe, "Scorer", type("Scorer", (InTheMiddle,), {"does": staticmethod(function)}))

    return let


def fail():
    raise RuntimeError("in the middle")


def test_others_read_the_old_scores_until_the_new_ones_are_complete(recipe, address, meanwhile):
    seen = []
    meanwhile(lambda: seen.append(scores(recipe, address)))
    recipe.main(address)
    assert seen == [OLD]
    assert len(scores(recipe, address)) == ROWS


def test_an_error_in_the_middle_leaves_the_old_scores(recipe, address, meanwhile):
    meanwhile(fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        recipe.main(address)
    assert scores(recipe, address) == OLD
    with pytest.raises(adbc_driver_manager.Error):
        asked(recipe, address, "SELECT * FROM scores_new")
    meanwhile(int)
    recipe.main(address)
    assert len(scores(recipe, address)) == ROWS


def test_a_text_that_does_not_fit_leaves_the_old_scores(recipe, address, monkeypatch):
    """An error of the scorer itself, while it scores ahead."""
    submit, calls = Stages.submit, []

    def failing(stages, rows):
        calls.append(rows)
        if len(calls) == 3:
            raise OutOfMemory("the device does not have enough memory.")
        return submit(stages, rows)

    monkeypatch.setattr(Stages, "submit", failing)
    with pytest.raises(OutOfMemory):
        recipe.main(address)
    assert scores(recipe, address) == OLD


_KILLED = """
import os, signal, sys
import score_database

class Killed(score_database.Scorer):
    def score_table(self, table, **options):
        for number, batch in enumerate(super().score_table(table, **options), 1):
            yield batch
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)

score_database.Scorer, score_database.MODEL = Killed, sys.argv[2]
score_database.main(sys.argv[1])
"""


def test_a_killed_run_leaves_the_old_scores(recipe, address, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, address, recipe.MODEL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{RECIPE.parent}"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert scores(recipe, address) == OLD
    recipe.main(address)
    assert len(scores(recipe, address)) == ROWS


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_server_that_crashes_in_the_middle_has_the_old_scores_when_it_is_back(recipe, address, server, meanwhile):
    meanwhile(server.stop)
    with pytest.raises(adbc_driver_manager.Error):
        recipe.main(address)
    server.start()
    assert scores(recipe, address) == OLD


def test_a_key_that_is_not_unique_leaves_the_old_scores(recipe, address, monkeypatch):
    monkeypatch.setattr(recipe, "QUERY", "SELECT 7 AS id, review FROM reviews")
    with pytest.raises(adbc_driver_manager.Error, match=r"(?i)unique|duplicate"):
        recipe.main(address)
    assert scores(recipe, address) == OLD


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_texts_that_begin_where_sqlite_has_chosen_a_type_leave_the_old_scores(recipe, address, monkeypatch):
    monkeypatch.setattr(recipe, "QUERY", "SELECT id, CASE WHEN id > 1050 THEN review END AS review FROM reviews")
    with pytest.raises((TypeError, OSError)):
        recipe.main(address)
    assert scores(recipe, address) == OLD


def test_a_table_without_rows_leaves_the_old_scores(recipe, address, monkeypatch):
    monkeypatch.setattr(recipe, "QUERY", "SELECT id, review FROM reviews WHERE id < 0")
    with pytest.raises(SystemExit, match="the query finds 0 rows, fewer than 1; the old scores stay"):
        recipe.main(address)
    assert scores(recipe, address) == OLD


def documented(title):
    """Constants of a variant of the recipe, as docs/recipes/README.md has them."""
    page = (RECIPE.parent / "README.md").read_text().split("## Databases\n")[1].split(f"**{title}**")[1]
    code = re.search(r"^    .*?(?=\n\n(?!    ))", page, re.M | re.S)[0]
    found = {}
    exec(textwrap.dedent(code), found)
    return {name: value for name, value in found.items() if name.isupper()}


def test_with_the_query_of_the_docs_only_rows_without_scores_are_scored(recipe, address, monkeypatch):
    recipe.main(address)
    first = scores(recipe, address)
    for name, value in documented("Only new rows").items():
        monkeypatch.setattr(recipe, name, value)
    monkeypatch.setattr(recipe, "CACHE", None)
    recipe.main(address)  # finds none
    assert scores(recipe, address) == first
    with recipe.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO reviews VALUES ({ROWS + 1}, 'new'), ({ROWS + 2}, NULL)")
        connection.commit()
    recipe.main(address)
    again = scores(recipe, address)
    assert again[:ROWS] == first
    assert [(row[0], row[3]) for row in again[ROWS:]] == [(ROWS + 1, None), (ROWS + 2, "empty_text")]


def test_with_the_statements_of_the_docs_views_of_the_old_table_stay(recipe, address, monkeypatch):
    recipe.main(address)
    with recipe.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("DROP VIEW IF EXISTS positive")
        cursor.execute("CREATE VIEW positive AS SELECT id FROM scores WHERE score >= 0.5")
        connection.commit()
    try:
        before = asked(recipe, address, "SELECT * FROM positive")
        for name, value in documented("Views and grants").items():
            monkeypatch.setattr(recipe, name, value)
        monkeypatch.setattr(recipe, "QUERY", "SELECT id, review FROM reviews WHERE id > 100")
        recipe.main(address)
        assert asked(recipe, address, "SELECT * FROM positive") == [one for one in before if one[0] > 100]
    finally:
        with recipe.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute("DROP VIEW positive")
            connection.commit()


@pytest.mark.parametrize("address", ["postgresql", "duckdb"], indirect=True)
def test_several_labels_of_a_row_are_a_list(recipe, address, multi_label_bundle, monkeypatch):
    monkeypatch.setattr(recipe, "MODEL", str(multi_label_bundle.path))
    recipe.main(address)
    found = asked(recipe, address, "SELECT labels FROM scores ORDER BY id")
    assert {type(labels) for (labels,) in found} == {list, type(None)}


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("query", "kind"),
    [("gen_random_uuid()", "uuid"), ("'k' || id", "text"), ("id::numeric", "text"), ("id::numeric::bigint", "bigint")],
)
def test_keys_of_postgresql_have_the_types_that_the_docs_state(recipe, address, query, kind, monkeypatch):
    monkeypatch.setattr(recipe, "QUERY", f"SELECT {query} AS id, review FROM reviews")
    recipe.main(address)
    assert types(recipe, address)[0] == ("id", kind)
