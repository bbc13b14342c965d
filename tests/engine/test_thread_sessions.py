"""Threads get sessions of their own when they compute for long and memory allows it."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scorer.engine import runtime, thread_sessions
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import Session
from scorer.engine.thread_sessions import ThreadSessions, has_room
from scorer.model.loaded import LoadedModel

FEED = {"input_ids": np.array([[1, 2, 3]])}


class Sums:
    """Session that adds up token ids, and records the threads that use it."""

    independent_rows = True

    def __init__(self):
        self.threads = []

    def run(self, names, feed):
        self.threads.append(threading.get_ident())
        return [feed["input_ids"].sum(axis=1, keepdims=True)]


class Opener:
    """Function that opens sessions, as often as it may, and holds what they are opened from."""

    def __init__(self, most=99):
        self.opened = []
        self._most = most

    def __call__(self):
        if len(self.opened) == self._most:
            raise MemoryError
        self.opened.append(Sums())
        return self.opened[-1]


def run_on(sessions, threads, runs=3):
    """Run a few times on each of some threads at a time."""
    together = threading.Barrier(threads, timeout=20)

    def runs_of_thread():
        found = []
        for _ in range(runs):
            together.wait()
            found.append(int(sessions.run(None, FEED)[0][0, 0]))
        return found

    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(runs_of_thread) for _ in range(threads)]
        return [number for task in tasks for number in task.result()]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let threads open sessions after their first run, on a machine with memory for all of them."""
    monkeypatch.setattr(thread_sessions, "_TIMES_OPENING", 0)
    monkeypatch.setattr(thread_sessions, "has_room", lambda size: True)


def test_every_thread_computes_on_a_session_of_its_own_but_one_that_keeps_the_first():
    opener = Opener()
    sessions = ThreadSessions(opener, 3, 100)
    assert run_on(sessions, 3) == [6] * 9
    assert len(opener.opened) == 3
    assert len(opener.opened[0].threads) == 3 + 2  # the first run of each thread, and the others of one
    assert [len(set(one.threads)) for one in opener.opened[1:]] == [1, 1]


def test_a_thread_that_computes_for_a_moment_opens_no_session(monkeypatch):
    monkeypatch.setattr(thread_sessions, "_TIMES_OPENING", 10**9)
    opener = Opener()
    assert run_on(ThreadSessions(opener, 3, 100), 3) == [6] * 9
    assert len(opener.opened) == 1


def test_no_more_sessions_are_opened_than_memory_has_room_for(monkeypatch):
    room = iter([True, False])
    monkeypatch.setattr(thread_sessions, "has_room", lambda size: next(room, False))
    opener = Opener()
    assert run_on(ThreadSessions(opener, 4, 100), 4) == [6] * 12
    assert len(opener.opened) == 2


def test_threads_keep_the_shared_session_if_another_cannot_be_opened():
    opener = Opener(most=1)
    assert run_on(ThreadSessions(opener, 2, 100), 2) == [6] * 6
    assert len(opener.opened[0].threads) == 6


def test_the_graphs_bytes_are_freed_once_every_thread_has_its_session():
    opener = Opener()
    held = weakref.ref(opener)
    sessions = ThreadSessions(opener, 2, 100)
    run_on(sessions, 2)
    del opener
    gc.collect()
    assert held() is None


def test_own_sessions_give_the_bits_of_the_shared_one(bundle):
    sessions = []

    def opened():
        sessions.append(Session(bundle.graph("int8"), "cpu", external=bundle.external("int8")))
        return sessions[-1]

    rows = [np.arange(5, 5 + length) for length in range(1, 25)] * 4
    expected = RowEngine(opened(), 1).logits(rows)
    engine = RowEngine(ThreadSessions(opened, 3, 100), 3)
    for _ in range(3):
        assert engine.logits(rows).tobytes() == expected.tobytes()
    assert len(sessions) == 1 + 3


def test_a_loaded_model_opens_them_once_its_memory_is_limited_no_more(bundle, monkeypatch):
    monkeypatch.setattr(thread_sessions, "has_room", has_room)
    opened = []

    class Counted(runtime.Session):
        def __init__(self, *given, **named):
            opened.append(self)
            super().__init__(*given, **named)

    monkeypatch.setattr(runtime, "Session", Counted)
    with LoadedModel(bundle, provider="cpu", threads=2) as model:
        assert len(opened) == 1  # the golden rows were computed under the limit of loading
        ids = model.tokenizer.encode([f"a film {'great ' * (number % 20)}" for number in range(200)]).ids
        for _ in range(20):
            model.engine.logits(ids)
    assert len(opened) == 2


def test_a_process_with_a_limit_keeps_one_session_and_no_bytes_of_the_graph(bundle, monkeypatch):
    monkeypatch.setattr("scorer.model.loaded.memory_left", lambda: 10**12)
    with LoadedModel(bundle, provider="cpu", threads=2) as model:
        assert model.engine._session._open is None


def test_a_session_may_take_a_quarter_of_the_available_memory_and_nothing_under_a_limit(monkeypatch):
    monkeypatch.setattr(thread_sessions, "available_memory", lambda: 8_000)
    monkeypatch.setattr(thread_sessions, "memory_left", lambda: None)
    assert [has_room(size) for size in (100, 2_000, 2_001)] == [True, True, False]
    monkeypatch.setattr(thread_sessions, "memory_left", lambda: 10**12)
    assert not has_room(100)
    monkeypatch.setattr(thread_sessions, "memory_left", lambda: None)
    monkeypatch.setattr(thread_sessions, "available_memory", lambda: None)
    assert not has_room(100)
