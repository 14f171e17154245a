"""Choosing among recorded spans or metrics by name and attributes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar


class Named(Protocol):
    """What has a name and attributes."""

    @property
    def name(self) -> str:
        """As the instrumented code gave it."""
        ...

    @property
    def attributes(self) -> Mapping[str, object]:
        """As the instrumented code gave them."""
        ...


N = TypeVar("N", bound=Named)


def select(
    items: Iterable[N], *, name: str | None, attributes: Mapping[str, object] | None
) -> list[N]:
    """Return the items of that name that have these attributes among others; None: any."""
    wanted = (attributes or {}).items()
    return [
        item
        for item in items
        if name in (None, item.name)
        and all(key in item.attributes and item.attributes[key] == value for key, value in wanted)
    ]


def select_one(
    items: Iterable[N],
    *,
    name: str | None,
    attributes: Mapping[str, object] | None,
    show: Callable[[], str],
) -> N:
    """Return the only such item.

    Args:
        items: All there are.
        name: None: any.
        attributes: None: any.
        show: Gives all there are as text, for the error.

    Raises:
        LookupError: There is none, or there are several.
    """
    found = select(items, name=name, attributes=attributes)
    if len(found) == 1:
        return found[0]
    wanted = "any name" if name is None else f"name {name!r}"
    if attributes:
        wanted += f" and attributes {dict(attributes)}"
    raise LookupError(f"found {len(found)} of {wanted}; recorded were\n{show() or '(none)'}")
