"""The public `Scorer`: texts that cannot be scored, threads, the end of a scorer, and forks."""

import copy
import gc
import pickle
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from factories import ROOT, for_each_row, reviews

from scorer import LabelSets, Scorer, Scores, Values
from scorer.base.errors import OutOfMemory, UsageError
from scorer.engine.row_engine import RowEngine

TEXTS = reviews(60, 2, 8).texts
HOLES = ["good", None, "bad", "", " \t", "\u200b", "\ud800", 5, b"good", float("nan"), "superb film"]
WHOLE = [0, 2, 10]


@pytest.fixture(scope="module")
def scorer(bundle):
    return Scorer(bundle, provider="cpu")


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_that_cannot_be_is_refused(bundle, threads):
    with pytest.raises(UsageError) as refused:
        Scorer(bundle, threads=threads)
    assert str(refused.value) == f"threads is {threads}; use at least 1, or None for every usable core."


# Texts that cannot be scored


@pytest.mark.parametrize("name", ["bundle", "bundle_of_three", "staged_windows_bundle", "ordered_bundle"])
def test_a_text_that_cannot_be_scored_has_no_label_and_no_numbers(request, name):
    scorer = Scorer(request.getfixturevalue(name), provider="cpu")
    expected = scorer.score([HOLES[at] for at in WHOLE])
    found = scorer.score(HOLES, on_error="null")
    assert isinstance(found, Scores)
    assert [found.labels[at] for at in WHOLE] == expected.labels
    assert found.probabilities[WHOLE].tobytes() == expected.probabilities.tobytes()
    assert [at for at, label in enumerate(found.labels) if label is not None] == WHOLE
    assert np.flatnonzero(~np.isnan(found.probabilities).any(axis=1)).tolist() == WHOLE
    assert found.probabilities.shape == (len(HOLES), len(scorer.labels))


def test_results_of_other_tasks_have_gaps_as_well(multi_label_bundle, regression_bundle):
    found = Scorer(multi_label_bundle, provider="cpu").score(["good", None], on_error="null")
    assert isinstance(found, LabelSets)
    assert [type(labels) for labels in found.labels] == [tuple, type(None)]
    values = Scorer(regression_bundle, provider="cpu").score(["good", None], on_error="null")
    assert isinstance(values, Values)
    assert np.isnan(values.values).tolist() == [[False], [True]]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["good", None, "bad"], dtype=object),
        pd.Series(["good", None, "bad"], dtype="string"),
        pd.Series(["good", None, "bad"], dtype="category"),
        pd.Series(["good", None, "bad"], dtype=pd.ArrowDtype(pa.string())),
        pl.Series(["good", None, "bad"]),
        pl.Series(["good", None, "bad"], dtype=pl.Categorical),
        pa.array(["good", None, "bad"], pa.string_view()),
        pa.chunked_array([["good", None], ["bad"]]),
        np.array(["good", None, "bad"], dtype=object),
        np.array(["good", "", "bad"]),
        np.array(["good", None, "bad"], dtype=np.dtypes.StringDType(na_object=None)),
    ],
    ids=lambda column: f"{type(column).__module__.partition('.')[0]} {column.type if isinstance(column, pa.Array | pa.ChunkedArray) else column.dtype}",
)  # fmt: skip
def test_a_missing_text_of_any_library_has_no_score(scorer, column):
    found = scorer.score(column, on_error="null")
    assert [label is None for label in found.labels] == [False, True, False]
    with pytest.raises((TypeError, ValueError), match=r'^position 1 \(counted from 0\) is .*pass on_error="null"'):
        scorer.score(column)


def test_a_list_in_which_nothing_can_be_scored_has_a_result(scorer):
    for given in ([], [None], [None, "\u200b"]):
        found = scorer.score(given, on_error="null")
        assert found.labels == [None] * len(given)
        assert found.probabilities.shape == (len(given), 2)


def test_a_text_that_does_not_fit_in_memory_raises_or_has_no_score(bundle, monkeypatch):
    scorer = Scorer(bundle, provider="cpu")
    unlucky = scorer.model.tokenizer.encode(["superb"]).ids[0][1]
    for_each_row(monkeypatch, lambda row: np.nan if unlucky in row else 1)
    with pytest.raises(OutOfMemory):
        scorer.score(["good", "superb"])
    assert [label is None for label in scorer.score(["good", "superb"], on_error="null").labels] == [False, True]


@pytest.mark.parametrize("given", ["a single text", {"text": ["good"]}, pd.DataFrame({"text": ["good"]}), None])
def test_a_table_or_a_single_text_is_an_error_in_any_case(scorer, given):
    with pytest.raises(TypeError, match=r"^score\(\) takes a list of texts"):
        scorer.score(given, on_error="null")


def test_another_value_of_on_error_is_refused(scorer):
    with pytest.raises(ValueError, match=r"^on_error takes \"raise\" or \"null\", not 'ignore'\.$"):
        scorer.score(["good"], on_error="ignore")


# Threads


def test_several_threads_share_a_scorer(bundle, small_chunks, tmp_path):
    expected = dict(zip(TEXTS, Scorer(bundle, provider="cpu").score(TEXTS).probabilities[:, 1].tolist(), strict=True))

    def some(number):
        mine = [TEXTS[(number * 7 + step) % len(TEXTS)] for step in range(40)]
        wanted = [round(expected[text], 6) for text in mine]
        if number % 3 == 0:
            return scorer.score(mine).probabilities[:, 1].round(6).tolist() == wanted
        found = scorer.score_table(pa.table({"text": mine}), batches=number % 3 == 1)
        table = found if isinstance(found, pa.Table) else found.read_all()
        return table["score"].to_pylist() == wanted

    with ThreadPoolExecutor(6) as pool, Scorer(bundle, provider="cpu", cache=tmp_path / "cache.sqlite") as scorer:
        assert all(pool.map(some, range(48)))


@pytest.mark.parametrize(
    "labels_of",
    [
        lambda scorer: scorer.score(TEXTS * 20).labels,
        lambda scorer: scorer.score_table(pa.table({"text": TEXTS * 20}))["label"].to_pylist(),
    ],
    ids=["score", "score_table"],
)
def test_calls_of_other_threads_end_as_usual_after_a_scorer_is_closed(bundle, small_chunks, labels_of):
    begun, closed, run = threading.Event(), threading.Event(), RowEngine._run
    scorer = Scorer(bundle, provider="cpu")

    def slow(engine, row):
        begun.set()
        assert closed.wait(30)
        return run(engine, row)

    expected = labels_of(Scorer(bundle, provider="cpu"))
    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(1) as pool:
        patched.setattr(RowEngine, "_run", slow)
        running = pool.submit(labels_of, scorer)
        assert begun.wait(30)
        scorer.close()
        closed.set()
        assert running.result() == expected
    with pytest.raises(RuntimeError, match="this Scorer is closed"):
        scorer.score(TEXTS)


# The end


def test_a_closed_scorer_raises_and_keeps_what_it_says_of_its_bundle(bundle):
    with Scorer(bundle, provider="cpu") as scorer:
        begun = scorer.score_table(pa.table({"text": TEXTS * 20}), batches=True)
        begun.read_next_batch()
    scorer.close()
    table = pa.table({"text": TEXTS})
    for call in (lambda: scorer.score(TEXTS), lambda: scorer.score_table(table), begun.read_next_batch):
        with pytest.raises(RuntimeError) as refused:
            call()
        assert str(refused.value) == "this Scorer is closed. Open another one, or close it later."
    assert (scorer.bundle_id, scorer.labels) == (bundle.id, bundle.manifest.labels)
    assert scorer.manifest.task == "single_label"


def test_closing_a_scorer_cancels_what_its_readers_began_ahead(bundle, small_chunks, monkeypatch):
    computed, run = [], RowEngine._run
    scorer = Scorer(bundle, provider="cpu", threads=1)
    monkeypatch.setattr(RowEngine, "_run", lambda *row: computed.append(row) or time.sleep(0.05) or run(*row))
    kept = scorer.score_table(pa.table({"text": TEXTS}), batches=True)
    kept.read_next_batch()
    scorer.close()
    time.sleep(0.2)  # for the row that was running
    before = len(computed)
    time.sleep(0.2)
    assert len(computed) == before
    with pytest.raises(RuntimeError, match="this Scorer is closed"):
        kept.read_next_batch()


def test_a_closed_scorer_frees_its_engine_and_its_threads(bundle):
    gc.disable()  # nothing may wait for the collector
    try:
        scorer = Scorer(bundle, provider="cpu")
        scorer.score(TEXTS)
        scorer.score_table(pa.table({"text": TEXTS}))
        engine = scorer.model.engine
        kept = [weakref.ref(one) for one in (scorer.model, engine, engine._session)]
        threads = [*engine._pool._threads]
        assert threads
        del engine
        scorer.close()
        assert [one() for one in kept] == [None] * 3
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    finally:
        gc.enable()


def test_a_scorer_cannot_be_pickled_or_copied(scorer):
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"^a Scorer cannot be pickled or copied. Open a Scorer in each process.$"):
            attempt(scorer)


# Forks

FORKED = """
import multiprocessing, os, sys
import pyarrow as pa
from scorer import Scorer

def refused(call):
    try:
        call()
    except RuntimeError as error:
        return str(error).startswith("this Scorer was opened before the process was forked")

def attempts():
    return [
        refused(lambda: scorer.score(["good film"])),
        refused(lambda: scorer.score_table(pa.table({"text": ["good film"]}))),
        refused(begun.read_next_batch),
    ]

def in_a_pool(text):
    return refused(lambda: scorer.score([text]))

scorer = Scorer(sys.argv[1], provider="cpu", cache=sys.argv[2])
expected = scorer.score(["good film"]).probabilities.tobytes()
begun = scorer.score_table(pa.table({"text": ["good", "bad"] * 1_000}), batches=True)
begun.read_next_batch()
"""


def forked(bundle, tmp_path, rest):
    """Run a program that forks once its scorer computes; it must end by itself."""
    return subprocess.run(
        [sys.executable, "-c", FORKED + rest, bundle.path, tmp_path / "cache.sqlite"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_child_of_a_fork_gets_an_error_opens_its_own_scorer_and_ends(bundle, tmp_path):
    done = forked(
        bundle,
        tmp_path,
        """
child = os.fork()
if not child:
    assert attempts() == [True] * 3
    scorer.close()
    with Scorer(sys.argv[1], provider="cpu") as own:
        assert own.score(["good film"]).probabilities.tobytes() == expected
    del scorer, begun
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert scorer.score(["good film"]).probabilities.tobytes() == expected
scorer.score(["a text for the cache"])
scorer.close()
print("done")
""",
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_workers_of_multiprocessing_get_an_error_and_end(bundle, tmp_path):
    done = forked(
        bundle,
        tmp_path,
        """
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(in_a_pool, ["a", "b", "c"]) == [True] * 3
assert scorer.score(["good film"]).probabilities.tobytes() == expected
print("done")
""",
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_what_was_scored_before_a_fork_is_in_the_cache_once(bundle, tmp_path):
    forked(bundle, tmp_path, "child = os.fork()\nif child: os.waitpid(child, 0)\nscorer.close()\n")
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patched:
        warnings.simplefilter("error")
        scorer = Scorer(bundle, provider="cpu", cache=tmp_path / "cache.sqlite")
        patched.setattr(RowEngine, "_run", lambda engine, row: pytest.fail("computed again"))
        assert scorer.score(["good film", "good", "bad"]).labels
        scorer.close()
