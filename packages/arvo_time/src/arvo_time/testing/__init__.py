"""A clock for tests. Never imported in production."""

from ._fake_clock import FakeClock

__all__ = ["FakeClock"]
