"""The budget itself: it lets through what is linear and stops what is not."""

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


def test_memory_beyond_the_budget_is_told() -> None:
    with pytest.raises(AssertionError, match=r"10 bytes took [0-9]+ bytes; at most"):
        spend(lambda: bytes(64 * 2**20), size=10)


def test_time_beyond_the_budget_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SECONDS", 0.01)

    def work() -> None:
        until = thread_time() + 0.02
        while thread_time() < until:
            pass

    with pytest.raises(AssertionError, match=r"0 bytes took [0-9.]+ s; at most 0\.01 s"):
        spend(work, size=0)
