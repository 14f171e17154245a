"""How many workflows run at the same time, by memory. Imports nothing: `--help` shows it."""

from typing import Final

from ._engine_url import scheme_of

DEFAULT: Final = "memory:"
"""The memory that this package brings."""
USUAL_CONCURRENCY: Final = 16
"""How many workflows run at the same time over a memory that was not measured."""
MEASURED_CONCURRENCY: Final = {
    "memory": 64,
    "sqlite": 32,
    "redis": 32,
    "rediss": 32,
    "unix": 32,
    "postgres": 16,
    "postgresql": 16,
}
"""How many workflows run at the same time over each memory that Arvo brings.

The smallest of 16, 32 and 64 at which the order example reaches 95 % of its highest events per
second; `benchmarks/RESULTS.md` has the figures.
"""


def default_concurrency(url: str) -> int:
    """Return how many workflows run at the same time over a memory without `--concurrency`."""
    return MEASURED_CONCURRENCY.get(scheme_of(url), USUAL_CONCURRENCY)
