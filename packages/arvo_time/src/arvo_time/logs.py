"""Loggers and texts whose length is bounded, whatever is said of which event."""

from ._bounded_logger import bounded_logger
from ._excerpt import excerpt

__all__ = ["bounded_logger", "excerpt"]
