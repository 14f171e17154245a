"""Schema names, quoted."""

from ._machine_key import is_storable

_LONGEST = 63  # bytes; PostgreSQL cuts longer names without a word


def quoted_schema(name: str) -> str:
    """Return a schema name as SQL writes it.

    Raises:
        ValueError: PostgreSQL knows no such name.
    """
    if not name or not is_storable(name) or len(name.encode()) > _LONGEST:
        raise ValueError(
            f"schema must be a name of 1 to {_LONGEST} bytes without NUL, got {name!r}"
        )
    return '"' + name.replace('"', '""') + '"'
