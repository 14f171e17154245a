"""The `dataschema` attribute: which contract, in which version, describes an event's data."""

from dataclasses import dataclass
from functools import lru_cache

from typing_extensions import override

from ._version import is_semantic_version

_CACHED_CHARACTERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSchema:
    """A contract's URI and a version, written `<uri>/<version>`.

    Example:
        >>> str(DataSchema(uri="#/org/calculator/add", version="1.0.0"))
        '#/org/calculator/add/1.0.0'
        >>> DataSchema.parse("#/org/calculator/add/1.0.0").version
        '1.0.0'
    """

    uri: str
    """The contract's URI; empty if `parse` found none."""
    version: str
    """A semantic version as written; 0.0.0 means any."""

    @staticmethod
    def parse(text: str) -> "DataSchema | None":
        """Split at the last slash; return None if no semantic version follows it."""
        # Values from the wire may be of any length, and the cache would keep them.
        return _parse_cached(text) if len(text) <= _CACHED_CHARACTERS else _parse(text)

    @override
    def __str__(self) -> str:
        return f"{self.uri}/{self.version}"


def _parse(text: str) -> DataSchema | None:
    uri, _, version = text.rpartition("/")
    return DataSchema(uri=uri, version=version) if is_semantic_version(version) else None


_parse_cached = lru_cache(maxsize=1024)(_parse)
