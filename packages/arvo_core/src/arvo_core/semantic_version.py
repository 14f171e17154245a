"""Versions of contracts: reading and comparing them."""

from ._version import (
    WILDCARD_VERSION,
    SemanticVersion,
    is_semantic_version,
    is_wildcard_version,
)

__all__ = [
    "WILDCARD_VERSION",
    "SemanticVersion",
    "is_semantic_version",
    "is_wildcard_version",
]
