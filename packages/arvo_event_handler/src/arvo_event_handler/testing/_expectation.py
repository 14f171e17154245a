"""What a test expects of an event or an error, and how the outcome differs from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import EllipsisType

from arvo_core import ArvoEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedEvent:
    """What an event must look like. `...`, the default of every field, accepts anything.

    Example:
        >>> expected = ExpectedEvent(type="evt.math.add.success", data={"result": lambda n: n > 3})
        >>> event = ArvoEvent.create(
        ...     source="com.math.add",
        ...     type="evt.math.add.success",
        ...     subject="sum-1",
        ...     data={"result": 3, "unit": "kg"},
        ... )
        >>> expected.differences(event)
        ['data.result: <lambda> does not accept 3']
    """

    type: str | EllipsisType = ...
    """The event's type."""
    data: Mapping[str, object] | EllipsisType = ...
    """Members that the data must have; it may have others, at every depth. A list must have as many
    items. A value may be `...` for anything, a class for its instances, or a function that returns
    whether it accepts the actual value. Others are compared with `==`, so `pytest.approx` works;
    True is not 1."""
    to: str | EllipsisType | None = ...
    """The address it is for."""
    domain: str | EllipsisType | None = ...
    """Its domain; None means no domain."""
    subject: str | EllipsisType = ...
    """The subject of its workflow."""
    source: str | EllipsisType = ...
    """The address that emitted it."""
    id: str | EllipsisType = ...
    """Its id; equal for equal input, unless the handler's function sets one."""
    parentid: str | EllipsisType | None = ...
    """The event it answers or follows."""
    dataschema: str | EllipsisType | None = ...
    """The contract and version that describe it."""
    executionunits: float | EllipsisType | None = ...
    """Its cost, unitless."""
    accesscontrol: str | EllipsisType | None = ...
    """Its access control; None when it has none."""
    redirectto: str | EllipsisType | None = ...
    """Where answers to it go instead of its source."""
    where: Callable[[ArvoEvent], bool] | None = None
    """A final check of the whole event: returns False or raises, as `assert` does, to refuse it."""

    def differences(self, event: ArvoEvent) -> list[str]:
        """Return how the event differs, one line each, starting with the path; empty if it fits."""
        found = [
            line
            for item in fields(self)
            if item.name != "where"
            for line in _differences(
                getattr(self, item.name), getattr(event, item.name), path=item.name
            )
        ]
        if self.where is not None:
            found.extend(_refusal(self.where, event, path="event"))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """An exception that `execute` must raise."""

    type: type[Exception]
    """Its class, or a base of it."""
    message: str | None = None
    """A string that its message contains; None accepts any message."""

    def differences(self, error: Exception) -> list[str]:
        """Return how the error differs, one line each; empty if it fits."""
        if not isinstance(error, self.type):
            return [f"error: expected {self.type.__name__}, got {type(error).__name__}: {error}"]
        if self.message is not None and self.message not in str(error):
            return [f"error: expected a message with {self.message!r}, got {str(error)!r}"]
        return []


def _differences(expected: object, actual: object, *, path: str) -> Iterator[str]:
    if expected is ...:
        return
    if isinstance(expected, Mapping):
        yield from _object_differences(expected, actual, path=path)
    elif isinstance(expected, Sequence) and not isinstance(expected, str | bytes):
        yield from _list_differences(expected, actual, path=path)
    elif isinstance(expected, type):
        if not isinstance(actual, expected) or (isinstance(actual, bool) and expected is int):
            yield f"{path}: expected {expected.__name__}, got {actual!r}"
    elif callable(expected):
        yield from _refusal(expected, actual, path=path)
    elif expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
        yield f"{path}: expected {expected!r}, got {actual!r}"


def _object_differences(
    expected: Mapping[object, object], actual: object, *, path: str
) -> Iterator[str]:
    if not isinstance(actual, Mapping):
        yield f"{path}: expected an object, got {actual!r}"
        return
    for key, value in expected.items():
        if key in actual:
            yield from _differences(value, actual[key], path=f"{path}.{key}")
        else:
            yield f"{path}.{key}: missing"


def _list_differences(expected: Sequence[object], actual: object, *, path: str) -> Iterator[str]:
    if not isinstance(actual, list):
        yield f"{path}: expected a list, got {actual!r}"
    elif len(actual) != len(expected):
        yield f"{path}: expected {len(expected)} items, got {len(actual)}: {actual!r}"
    else:
        for index, (wanted, item) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(wanted, item, path=f"{path}.{index}")


def _refusal(accepts: Callable[..., object], value: object, *, path: str) -> Iterator[str]:
    name = getattr(accepts, "__name__", repr(accepts))
    try:
        if not accepts(value):
            yield f"{path}: {name} does not accept {value!r}"
    except Exception as error:
        yield f"{path}: {name} does not accept {value!r}: {type(error).__name__}: {error}"
