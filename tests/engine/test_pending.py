"""Pending results are collected once, and their work is cancelled once no caller waits for it."""

from concurrent.futures import CancelledError

import pytest

from scorer.engine.pending import Pending, cancelled_on_error


def test_a_result_is_collected_once_however_often_it_is_requested():
    collected, mapped = [], []
    pending = Pending(lambda: collected.append(1) or 20)
    doubled = pending.map(lambda value: mapped.append(1) or 2 * value)
    assert [doubled.result(), pending.result(), doubled.result()] == [40, 20, 40]
    assert (len(collected), len(mapped)) == (1, 1)


def test_cancelling_a_mapped_result_cancels_the_work_itself():
    given_up = []
    Pending(lambda: 1, lambda: given_up.append(1)).map(str).map(len).cancel()
    assert given_up == [1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, CancelledError])
def test_an_error_or_an_interrupt_while_waiting_cancels_the_rest_and_is_raised_again(error):
    given_up = []

    def collect():
        raise error

    pending = Pending(collect, lambda: given_up.append(1))
    for times in (1, 2):
        with pytest.raises(error):
            pending.result()
        assert len(given_up) == times


def test_an_error_while_work_is_submitted_cancels_the_work_submitted_before():
    given_up = []
    with pytest.raises(KeyboardInterrupt), cancelled_on_error(Pending(int, lambda: given_up.append(1))):
        raise KeyboardInterrupt
    assert given_up == [1]
