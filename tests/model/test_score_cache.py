"""The cache of outcomes: what a key is made of, which entries are valid, and `Scorer(cache=...)`."""

import sqlite3
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from factories import for_each_row, reviews
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from scorer import CacheSettings, Scorer
from scorer.base.errors import UsageError
from scorer.model.decision import Decision
from scorer.model.loaded import LoadedModel
from scorer.model.outcomes import Outcomes
from scorer.model.score_cache import ScoreCache

TEXTS = reviews(40, 2, 8).texts
CONTEXT = {"bundle": "1f", "precision": "fp32"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "scores.sqlite"


def opened(path, context=CONTEXT, logits=2, **settings):
    return closing_cache(ScoreCache(CacheSettings(str(path), **settings), context, logits, report=pytest.fail))


def closing_cache(cache):
    """Make a context that closes a cache's file."""
    cache.close = cache.file.close
    return closing(cache)


def outcomes_of(logits, **fields):
    """Return outcomes with given logits, float32 (texts, logits), and some values for the rest."""
    rows = len(logits)
    some = {"early": False, "windows": 1, "decided_by": 1, "tokens": 7, "unknown": 0, "truncated": False}
    kinds = {"early": bool, "truncated": bool}
    given = {name: np.broadcast_to(fields.get(name, value), rows).astype(kinds.get(name, np.int64)) for name, value in some.items()}  # fmt: skip
    never = np.zeros(rows, dtype=bool)
    return Outcomes(np.asarray(logits, dtype=np.float32), **given, empty=never, cached=never)


def put(path, texts, outcomes, context=CONTEXT, logits=2):
    with opened(path, context, logits) as cache:
        cache.add(cache.look_up(texts), outcomes)


def look_up(path, texts, context=CONTEXT, logits=2):
    with opened(path, context, logits) as cache:
        return cache.look_up(texts)


# Entries


@given(
    st.integers(1, 5).flatmap(
        lambda logits: st.tuples(
            nps.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(logits)), elements=st.floats(width=32, allow_nan=False)),
            st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans(), st.booleans(),
        )
    )
)  # fmt: skip
def test_an_outcome_comes_back_bit_by_bit(tmp_path_factory, found):
    logits, many, number, early, truncated = found
    path = tmp_path_factory.mktemp("cache") / "scores.sqlite"
    texts = [f"text {row}" for row in range(len(logits))]
    given = outcomes_of(logits, early=early, windows=number, decided_by=number, tokens=many, unknown=number, truncated=truncated)  # fmt: skip
    put(path, texts, given, logits=logits.shape[1])
    back = look_up(path, texts, logits=logits.shape[1])
    assert not back.missing.any()
    assert back.outcomes.cached.all()
    for name, values, others in zip(given._fields, given, back.outcomes, strict=True):
        if name != "cached":
            assert (values.dtype, values.tobytes()) == (others.dtype, others.tobytes()), name


def test_texts_of_other_bytes_have_other_entries(file):
    near = [
        "", " ", "a", "A", "a ", " a", "a\n", "a\r\n", "a\0", "caf\u00e9", "cafe\u0301", "\ufb01", "fi", "\U0001f600",
        "\ud83d", "\ude00", "\ude00\ud83d", "\ud800 good", "\udfff good",
    ]  # fmt: skip
    logits = np.arange(2 * len(near), dtype=np.float32).reshape(-1, 2)
    put(file, near, outcomes_of(logits))
    assert look_up(file, near).outcomes.logits.tolist() == logits.tolist()
    assert look_up(file, ["b", "good", "\ud801 good"]).missing.all()


def test_a_text_without_logits_is_not_kept(file):
    nan = np.nan
    put(file, ["a", "b", "c", "d"], outcomes_of([[0, 1], [nan, nan], [nan, 1], [2, 3]]))
    assert look_up(file, ["a", "b", "c", "d"]).missing.tolist() == [False, True, True, False]


def test_a_text_that_occurs_several_times_has_one_entry(file):
    with opened(file) as cache:
        cache.add(cache.look_up(["a", "b", "a"]), outcomes_of([[0, 1], [2, 3], [0, 1]]))
        cache.file.wait()
        own = cache.look_up(["b", "a", "b", "c"])
        assert own.missing.tolist() == [False, False, False, True]
        assert not own.outcomes.cached.any()  # this run computed them
        assert cache.file.added == 2
    assert look_up(file, ["b", "a", "b", "c"]).outcomes.cached.tolist() == [True, True, True, False]


def test_nothing_is_looked_up_for_no_texts(file):
    with opened(file) as cache:
        found = cache.look_up([])
        cache.add(found, outcomes_of(np.zeros((0, 2))))
        assert (len(found.keys), len(found.outcomes.logits), len(found.missing)) == (0, 0, 0)


@pytest.mark.parametrize(
    "other",
    [{"bundle": "20", "precision": "fp32"}, {"bundle": "1f", "precision": "int8"}, {**CONTEXT, "more": None}, {}],
)
def test_what_another_context_added_is_not_found(file, other):
    put(file, ["a"], outcomes_of([[0, 1]]))
    assert look_up(file, ["a"], other).missing.all()
    put(file, ["a"], outcomes_of([[5, 6]]), other)
    assert look_up(file, ["a"]).outcomes.logits.tolist() == [[0, 1]]
    assert look_up(file, ["a"], other).outcomes.logits.tolist() == [[5, 6]]


def test_the_order_of_a_contexts_names_does_not_matter(file):
    put(file, ["a"], outcomes_of([[0, 1]]))
    assert not look_up(file, ["a"], dict(reversed(CONTEXT.items()))).missing.any()


def changed(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def test_an_entry_with_a_flipped_bit_is_computed_again_and_replaced(file):
    put(file, ["a", "b"], outcomes_of([[0, 1], [2, 3]]))
    ((key, value),) = changed(file, "SELECT key, value FROM scores ORDER BY id LIMIT 1")
    for bit in range(8 * len(value)):
        damaged = bytearray(value)
        damaged[bit // 8] ^= 1 << bit % 8
        changed(file, "UPDATE scores SET value = ? WHERE key = ?", bytes(damaged), key)
        with opened(file) as cache:
            found = cache.look_up(["a", "b"])
            assert (found.missing.tolist(), found.invalid, cache.damaged) == ([True, False], {key}, 1), bit
            if bit in (0, 8 * len(value) - 1):
                cache.add(found, outcomes_of([[0, 1]]))
                cache.file.wait()
                assert not cache.look_up(["a", "b"]).missing.any()


@pytest.mark.parametrize("value", [b"", b"short", bytes(32), bytes(33), bytes(1000)])
def test_an_entry_of_any_other_bytes_is_invalid(file, value):
    put(file, ["a"], outcomes_of([[0, 1]]))
    assert changed(file, "SELECT length(value) FROM scores") == [(33,)]
    changed(file, "UPDATE scores SET value = ?", value)
    assert look_up(file, ["a"]).missing.all()


def test_the_entry_of_one_text_is_invalid_for_another(file):
    put(file, ["a", "b"], outcomes_of([[0, 1], [2, 3]]))
    (one, two) = changed(file, "SELECT value FROM scores ORDER BY id")
    changed(file, "UPDATE scores SET value = CASE value WHEN ? THEN ? ELSE ? END", one[0], two[0], one[0])
    assert look_up(file, ["a", "b"]).missing.all()


def test_the_file_holds_no_text(file):
    secret = "the patient's name is Änne Quist"
    put(file, [secret, "bad " * 1000], outcomes_of([[0, 1], [2, 3]]))
    content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    for words in (secret, "patient", "Quist", "bad bad"):
        for encoding in ("utf-8", "utf-16-le", "latin-1"):
            assert words.encode(encoding) not in content


# A scorer with a cache


@pytest.fixture
def cached(file):
    """Make a scorer with the cache, on CPU."""
    return lambda bundle, **options: Scorer(bundle, **{"provider": "cpu", "cache": file, **options})


@pytest.fixture
def computed(monkeypatch):
    """Rows that an engine computes, golden rows aside: they are computed while a scorer is made."""
    rows = []
    for_each_row(monkeypatch, rows.append)
    return rows


def scored(scorer, computed, texts=TEXTS):
    """Score texts and close the scorer; return the probabilities and the number of rows computed."""
    with scorer:
        computed.clear()
        return scorer.score(texts).probabilities, len(computed)


def test_a_second_scorer_computes_nothing_and_has_the_same_bits(bundle, cached, computed):
    expected = Scorer(bundle, provider="cpu").score(TEXTS).probabilities
    first, rows = scored(cached(bundle), computed)
    assert rows > 30
    second, again = scored(cached(bundle.path), computed)
    assert again == 0
    assert first.tobytes() == second.tobytes() == expected.tobytes()
    assert scored(cached(bundle), computed, [*TEXTS, "a new film"])[1] == 1


def test_the_rule_that_chooses_labels_is_not_in_the_context(bundle, cached, computed):
    scored(cached(bundle), computed)
    with cached(bundle, decision=Decision(threshold=1)) as strict, cached(bundle, threads=1) as usual:
        computed.clear()
        assert set(usual.score(TEXTS).labels) == {"negative", "positive"}
        assert set(strict.score(TEXTS).labels) == {"negative"}
        assert not computed


def test_another_bundle_precision_or_cascade_is_another_context(bundle, staged_bundle, cached, computed):
    rows = {}
    for name, model, options in (
        ("bundle", bundle, {"precision": "fp32"}),
        ("precision", bundle, {"precision": "int8"}),
        ("other", staged_bundle, {"precision": "fp32", "cascade": False}),
        ("staged", staged_bundle, {"precision": "fp32"}),
    ):
        found, rows[name] = scored(cached(model, **options), computed)
        expected = Scorer(model, provider="cpu", **options).score(TEXTS).probabilities
        assert found.tobytes() == expected.tobytes(), name
        assert scored(cached(model, **options), computed)[0].tobytes() == expected.tobytes(), name
    assert rows["bundle"] == rows["precision"] > 30
    assert rows["other"] > rows["staged"] > 30  # those of the wide part as well


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scorer.model.loaded.__version__", "99"),
        ("scorer.model.loaded.onnxruntime_version", lambda: "99"),
        ("tokenizers.__version__", "99"),
        ("platform.machine", lambda: "riscv128"),
        ("scorer.model.loaded.cpu_features", lambda: ["abacus"]),
    ],
)
def test_another_version_or_machine_is_another_context(bundle, cached, computed, monkeypatch, name, value):
    rows = scored(cached(bundle), computed)[1]
    with monkeypatch.context() as patched:
        patched.setattr(name, value)
        assert scored(cached(bundle), computed)[1] == rows
    assert scored(cached(bundle), computed)[1] == 0


def test_a_bundle_without_a_cascade_has_one_context_with_it_and_without_it(bundle, cached, computed):
    scored(cached(bundle, cascade=True), computed)
    assert scored(cached(bundle, cascade=False), computed)[1] == 0


@pytest.mark.parametrize("empty", ["\u200b", "\u200b\u200b"])
def test_a_text_without_a_token_is_refused_at_once_and_the_others_are_found_later(bundle, cached, computed, empty):
    scored(cached(bundle), computed, TEXTS[:3])
    with cached(bundle) as scorer:
        with pytest.raises(ValueError, match=r"position 2 \(counted from 0\) is .* which has no tokens"):
            scorer.score([TEXTS[0], "a new film", empty, TEXTS[1]])
        computed.clear()
        assert scorer.score([TEXTS[0], "a new film", TEXTS[1]]).labels
        assert len(computed) == 1
    assert scored(cached(bundle), computed, [*TEXTS[:3], "a new film"])[1] == 0
    assert look_up_as(cached(bundle), [empty]).missing.all()


def look_up_as(scorer, texts):
    with scorer:
        return scorer.model.cache.look_up(texts)


def test_a_text_that_finds_no_memory_is_computed_again_the_next_time(bundle, cached, computed, monkeypatch):
    with cached(bundle) as scorer, monkeypatch.context() as patched:
        unlucky = scorer.model.tokenizer.encode(["superb"]).ids[0][1]
        for_each_row(patched, lambda row: np.nan if unlucky in row else 1)
        logits = scorer.model.submit_texts(["good film", "superb film", "bad film"]).result().logits
        assert np.isnan(logits).any(axis=1).tolist() == [False, True, False]
    assert scored(cached(bundle), computed, ["good film", "superb film", "bad film"])[1] == 1


def test_a_closed_model_still_computes_and_adds_nothing(bundle, cached, file):
    model = LoadedModel(bundle, provider="cpu", cache=file)
    expected = model.submit_texts(TEXTS).result().logits
    model.close()
    model.close()
    assert model.cache is None
    assert model.submit_texts(TEXTS).result().logits.tobytes() == expected.tobytes()
    assert len(model.submit_texts(["never seen"]).result().logits) == 1
    assert look_up_as(cached(bundle), ["never seen"]).missing.all()


def test_a_result_that_is_collected_after_the_model_was_closed_is_complete(bundle, file):
    model = LoadedModel(bundle, provider="cpu", cache=file)
    pending = model.submit_texts(TEXTS)
    model.close()
    expected = LoadedModel(bundle, provider="cpu").submit_texts(TEXTS).result()
    assert pending.result().logits.tobytes() == expected.logits.tobytes()


def test_what_is_not_closed_is_in_the_file_once_it_is_durable(bundle, cached):
    scorer = cached(bundle)
    scorer.score(TEXTS)
    scorer.model.cache.file.wait()
    assert not look_up_as(cached(bundle), TEXTS).missing.any()
    scorer.close()


def test_several_threads_share_a_scorer_and_its_cache(bundle, cached, computed):
    expected = dict(zip(TEXTS, Scorer(bundle, provider="cpu").score(TEXTS).probabilities.tolist(), strict=True))

    def some(number):
        mine = [TEXTS[(number * 7 + step) % len(TEXTS)] for step in range(10)]
        return [expected[text] for text in mine] == scorer.score(mine).probabilities.tolist()

    with warnings.catch_warnings(), ThreadPoolExecutor(6) as pool, cached(bundle) as scorer:
        warnings.simplefilter("error")
        assert all(pool.map(some, range(60)))
    assert scored(cached(bundle), computed)[1] == 0


def test_a_model_may_be_closed_while_other_threads_score(bundle, file):
    for _ in range(5):
        model = LoadedModel(bundle, provider="cpu", cache=file)
        begun = threading.Barrier(4)

        def some(number, model=model, begun=begun):
            begun.wait()
            texts = [[f"{text} {number} {step}" for text in TEXTS[:4]] for step in range(8)]
            return [len(model.submit_texts(some).result().logits) for some in texts]

        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(some, number) for number in range(3)]
            begun.wait()
            model.close()
            assert [one.result() for one in running] == [[4] * 8] * 3


def test_two_scorers_share_a_file(bundle, cached, computed):
    with cached(bundle) as one, cached(bundle) as other:
        one.score(TEXTS[:20])
        one.model.cache.file.wait()
        computed.clear()
        other.score(TEXTS[:20])
        assert not computed
        other.score(TEXTS[20:])
    assert scored(cached(bundle), computed)[1] == 0


def test_settings_limit_a_cache_or_leave_it_as_it_is(bundle, file, cached, computed):
    scored(cached(bundle, cache=CacheSettings(str(file), max_rows=10)), computed)
    assert changed(file, "SELECT count(*) FROM scores") == [(10,)]
    with cached(bundle, cache=CacheSettings(str(file), read_only=True)) as scorer:
        scorer.score([*TEXTS, "a new film"])
    assert changed(file, "SELECT count(*) FROM scores") == [(10,)]


def test_a_problem_with_the_file_is_a_warning_and_the_texts_are_scored(bundle, file):
    file.with_name("folder").mkdir()
    file.with_name("folder").chmod(0o500)
    missing = CacheSettings(str(file), read_only=True)
    with pytest.warns(RuntimeWarning, match=rf"The cache {file} cannot be used \(.*\). The run continues without it."):
        scorer = Scorer(bundle, provider="cpu", cache=missing)
    assert len(scorer.score(TEXTS).labels) == len(TEXTS)


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ("text.txt", r"--cache .*text.txt exists and is no cache of this program; name another file"),
        ("none/scores.sqlite", r"--cache .*scores.sqlite: the folder .*none does not exist; create it first"),
        ("s3://bucket/scores.sqlite", r"--cache s3://bucket/scores.sqlite is an address; name a file on a local disk"),
        ("", "the name of the cache is empty"),
        (CacheSettings("a", max_rows=0), r"--cache-max-rows takes a whole number of at least 1, not 0"),
        (CacheSettings("a", max_rows=True), r"--cache-max-rows takes a whole number of at least 1, not True"),
        (CacheSettings("a", max_rows=2.5), r"--cache-max-rows takes a whole number of at least 1, not 2.5"),
        (5, r"cache takes the name of a file or CacheSettings, not 5"),
        (True, r"cache takes the name of a file or CacheSettings, not True"),
        (b"scores.sqlite", r"cache takes the name of a file or CacheSettings, not b'scores.sqlite'"),
    ],
)
def test_what_cannot_be_a_cache_is_refused_before_the_bundle_is_read(tmp_path, monkeypatch, cache, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("Dear diary, " * 20)
    with pytest.raises(UsageError, match=message):
        LoadedModel(tmp_path / "no bundle", cache=cache)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert (tmp_path / "text.txt").read_text() == "Dear diary, " * 20
