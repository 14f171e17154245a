"""Semantic versions of contracts: three numbers, and the wildcard 0.0.0."""

import re
from typing import NamedTuple, Self

from typing_extensions import override

from ._errors import InvalidVersionError
from ._shorten import shorten

WILDCARD_VERSION = "0.0.0"
"""The version that stands for "any"; reserved, so no contract version may use it."""

# Bounded, because Python refuses to read numbers of thousands of digits.
_PATTERN = re.compile(r"([0-9]{1,100})\.([0-9]{1,100})\.([0-9]{1,100})")
_WILDCARD = re.compile(r"0{1,100}\.0{1,100}\.0{1,100}")


class SemanticVersion(NamedTuple):
    """A version as three numbers; compares as such.

    Example:
        >>> SemanticVersion.parse("1.10.0") > SemanticVersion.parse("1.9.0")
        True
    """

    major: int
    """Raised by a breaking change."""
    minor: int
    """Raised by an addition."""
    patch: int
    """Raised by a correction."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `major.minor.patch`, ASCII digits only. Leading zeros are allowed and ignored.

        Raises:
            InvalidVersionError: `text` is anything else.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InvalidVersionError(
                f"{shorten(text)} is not a semantic version; write three numbers, such as '1.0.0'"
            )
        major, minor, patch = match.groups()
        return cls(int(major), int(minor), int(patch))

    @override
    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def is_semantic_version(text: str) -> bool:
    """Return whether `SemanticVersion.parse` accepts `text`.

    Example:
        >>> is_semantic_version("1.0.0"), is_semantic_version("v1.0.0")
        (True, False)
    """
    return _PATTERN.fullmatch(text) is not None


def is_wildcard_version(text: str) -> bool:
    """Return whether `text` is a version equal to 0.0.0, however it is written.

    Example:
        >>> is_wildcard_version("00.0.0"), is_wildcard_version("1.0.0")
        (True, False)
    """
    return _WILDCARD.fullmatch(text) is not None
