"""Cases that differ on purpose without saying so themselves."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

LIMIT = 15
"""More than this would no longer be deviations."""

_FILE = Path(__file__).parents[2] / "deviations.toml"


def deviations() -> Mapping[str, str]:
    """Return the reason of each deviation by case, `area::name`."""
    return tomllib.loads(_FILE.read_text("utf-8"))
