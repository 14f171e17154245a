"""The rules in which versions of XState differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

XStateVersion: TypeAlias = Literal["5.33", "5.24"]
"""A version of XState that a machine can follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The behaviour of one version of XState where versions differ."""

    tries_wildcards_after_exact: bool
    """Whether wildcards are tried once all guards of the event's literal key have failed.

    XState does so since 5.32.2. Before, a literal key hid the wildcards beside it.
    """
    history_defaults_to_parallel: bool
    """Whether a history state of a parallel state enters all of it while nothing is recorded.

    XState does so since 5.32.4. Before, such a history state without a target led nowhere.
    """
    failed_start_keeps_context: bool
    """Whether a machine whose first step fails has a value and its first context.

    It does in XState 5.33. In 5.24 its snapshot has a status and an error only.
    """


RULES: Mapping[XStateVersion, Rules] = MappingProxyType(
    {
        "5.33": Rules(
            tries_wildcards_after_exact=True,
            history_defaults_to_parallel=True,
            failed_start_keeps_context=True,
        ),
        "5.24": Rules(
            tries_wildcards_after_exact=False,
            history_defaults_to_parallel=False,
            failed_start_keeps_context=False,
        ),
    }
)
