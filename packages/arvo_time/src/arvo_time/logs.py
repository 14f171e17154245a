"""Loggers and excerpts of bounded length, however long the events they describe."""

from ._bounded_logger import bounded_logger
from ._excerpt import excerpt

__all__ = ["bounded_logger", "excerpt"]
