"""The budget itself: it passes a cost within its bounds and reports one beyond."""

from time import thread_time

import pytest

import budget
from budget import spend


def test_a_result_is_returned() -> None:
    assert spend(lambda: "done", size=0) == "done"


def test_an_exception_is_returned() -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    assert spend(fail, size=0) is error


def test_memory_beyond_the_budget_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"10 bytes took [0-9]+ bytes; at most"):
        spend(lambda: bytes(64 * 2**20), size=10)


def test_time_beyond_the_budget_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SECONDS", 0.01)

    def work() -> None:
        until = thread_time() + 0.02
        while thread_time() < until:
            pass

    with pytest.raises(AssertionError, match=r"0 bytes took [0-9.]+ s; at most 0\.01 s"):
        spend(work, size=0)
