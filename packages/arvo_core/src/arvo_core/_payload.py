"""One payload of a contract: parsing wire data into a Python type, and dumping it again."""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from ._core_schema import (
    class_members,
    class_taken_as_it_is,
    is_never_an_object,
    keeps_containers,
    member_names,
    unreadable_names,
)
from ._errors import InvalidContractError, InvalidDataError
from ._left_out import LeftOut
from ._lost_numbers import has_null, put_back
from ._problems import field_problems, json_problems

T = TypeVar("T")

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Payload(Generic[T]):
    """A Python type that reads from and writes to a JSON object.

    Args:
        kind: A pydantic model or a `TypeAdapter` that yields a JSON object.

    Raises:
        InvalidContractError: pydantic cannot build a schema for `kind`; or no value of it is a
            JSON object; or a member is written under a name that is not read.
    """

    __slots__ = (
        "_adapter",
        "_keeps_containers",
        "_left_out",
        "_own_class",
        "_serialize",
        "_validate",
        "kind",
        "name",
    )

    def __init__(self, kind: type[T] | TypeAdapter[T]) -> None:
        try:
            self._adapter: TypeAdapter[T] = (
                kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
            )
            self._validate = self._adapter.validator.validate_python
            self._serialize = self._adapter.serializer.to_python
            schema = self._adapter.core_schema
        except Exception as error:
            raise InvalidContractError(
                f"{kind!r} cannot describe a payload; use a pydantic model or a TypeAdapter: "
                f"{error}"
            ) from error
        self.kind: type[T] | TypeAdapter[T] = kind
        """The model or adapter the payload was made of."""
        self.name: str = getattr(kind, "__name__", None) or str(kind)
        """How messages call the type."""
        if is_never_an_object(schema):
            raise InvalidContractError(
                f"{self.name} is not written as a JSON object; put it into a model"
            )
        if lost := unreadable_names(schema):
            raise InvalidContractError(
                f"{self.name} writes members under names it does not read: {', '.join(lost)}; "
                "give a field one alias for both"
            )
        self._left_out = LeftOut(class_members(schema))
        self._keeps_containers = keeps_containers(schema)
        self._own_class = class_taken_as_it_is(schema)

    def parse(self, data: object) -> T:
        """Parse wire data, or accept an instance of the type as it is.

        Wire data is read as Python values first. What the type refuses then is read as JSON text,
        where a strict model takes a date. The result holds none of the data's dicts and lists.

        Raises:
            InvalidDataError: The data does not match; `problems` has the path of each field.
        """
        if type(data) is self._own_class:
            return data  # type: ignore[return-value]
        if self._keeps_containers and isinstance(data, Mapping):
            try:
                data = {name: _copied(item) for name, item in data.items()}
            except RecursionError:
                raise InvalidDataError(
                    f"data does not match {self.name}: it is nested too deeply"
                ) from None
        return self._read(data)

    def _read(self, data: object, where: str = "") -> T:
        try:
            return self._validate(data)  # type: ignore[no-any-return]
        except ValidationError as error:
            failure = error
        if isinstance(data, Mapping):
            try:
                return self._adapter.validate_json(to_json(data))
            except ValidationError as error:
                # Each reading may stumble over what the other one takes, such as a strict date.
                failure = min(error, failure, key=ValidationError.error_count)
            except ValueError:
                pass  # not JSON, so only the first reading has something to tell
        raise InvalidDataError(
            f"data does not match {self.name}{where}", **field_problems(failure)
        ) from None

    def dump(self, value: T) -> dict[str, Any]:
        """Write a parsed value as a JSON object, unchecked; `to_wire` checks.

        Aliases are used. A field that was not set and whose default is None is left out, at every
        depth but in sets, because an absent optional member is absent on the wire. A dataclass
        does not know what was set, so its None by default is left out too. Other defaults are
        written. Computed fields are, too, unless their model forbids members it does not know.

        Raises:
            InvalidDataError: The value cannot be written as a JSON object.
        """
        dumped = self._write(value, "json", None)
        if not isinstance(dumped, dict):
            raise InvalidDataError(
                f"{self.name} is written as {type(dumped).__name__}, not as a JSON object"
            )
        if not self._left_out.always and not has_null(dumped):
            return dumped
        exclude = self._left_out.of(value)
        if exclude:
            dumped = self._write(value, "json", exclude)
        # pydantic writes NaN and infinities as null, which only the Python form can tell.
        if has_null(dumped) and put_back(self._write(value, "python", exclude), dumped):
            raise InvalidDataError(
                f"{self.name} cannot be written as JSON", problems=json_problems(dumped)
            )
        return dumped  # type: ignore[no-any-return]

    def _write(
        self, value: T, mode: Literal["json", "python"], exclude: dict[Any, Any] | None
    ) -> Any:
        try:
            # Values of the wrong type are no matter of warnings: `to_wire` reads again.
            return self._serialize(value, mode=mode, by_alias=True, exclude=exclude, warnings=False)
        except ValueError as error:
            raise InvalidDataError(f"{self.name} cannot be written as JSON: {error}") from error

    def to_wire(self, data: object) -> dict[str, Any]:
        """Dump `data`, a model or a mapping, and check that the type reads what is written.

        Raises:
            InvalidDataError: It does not match, as a model may that was changed after it was
                made; or it cannot be written as a JSON object.
        """
        return self._checked(self.parse(data))

    def _checked(self, value: T) -> dict[str, Any]:
        dumped = self.dump(value)
        self._read(dumped, " as it would be written")
        return dumped

    def member_names(self) -> frozenset[str]:
        """Return the members of the JSON object that the type names, read or written."""
        return frozenset(member_names(self._adapter.core_schema))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of what `parse` accepts.

        Raises:
            InvalidContractError: The type holds something JSON Schema cannot express.
        """
        try:
            schema = self._adapter.json_schema(by_alias=True, mode="validation")
        except Exception as error:
            raise InvalidContractError(f"{self.name} has no JSON Schema: {error}") from error
        return {"$schema": JSON_SCHEMA_DIALECT, **schema}


def _copied(value: object) -> object:
    """Copy the containers of JSON; what else a caller may give stays."""
    match value:
        case dict():
            return {key: _copied(item) for key, item in value.items()}
        case list():
            return [_copied(item) for item in value]
        case _:
            return value
