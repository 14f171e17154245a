"""One payload of a contract: parsing wire data into a Python type, and writing it again."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from arvo_core._errors import FieldProblem, InvalidContractError, InvalidDataError
from arvo_core._json import JsonObject, WrittenData, copy_json
from arvo_core._problems import field_problems, json_problems

from .changed_values import changed, is_equal, rewritten
from .collector import may_be_large, uncollected
from .core_schema import (
    class_members,
    class_taken_as_it_is,
    is_never_an_object,
    keeps_containers,
    member_names,
)
from .fidelity import fidelity
from .left_out import LeftOut
from .lossy_fields import lossy_fields
from .lost_numbers import has_null, plain, put_back
from .own_functions import with_functions
from .wire_form import WireForm, event_form, wire_form

T = TypeVar("T")

_copy_if_json = TypeAdapter(JsonObject).validator.validate_python

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Payload(Generic[T]):
    """A Python type that reads from and writes to a JSON object.

    A written value must be read back as the same value. A type that cannot guarantee that is
    refused: secrets, which pydantic writes as asterisks; `exclude=True`; an `InitVar`; `Json[...]`;
    an alias for one direction only; bytes written in another encoding than they are read in. If it
    depends on the value, as with your own serializers and validators, an `Any`, or a union whose
    members look alike when written, `to_wire` compares.

    Args:
        kind: A pydantic model or a `TypeAdapter` that yields a JSON object.
        where: Prefix of messages about `kind`, such as "version 1.0.0, accepts".

    Raises:
        InvalidContractError: pydantic cannot build a schema for `kind`; or no value of it is a
            JSON object; or fields of it are not written as they are read, and
            `problems` lists them.
    """

    __slots__ = (
        "_adapter",
        "_event_form",
        "_event_form_is_made",
        "_fidelity",
        "_keeps_containers",
        "_left_out",
        "_own_class",
        "_serialize",
        "_uncollected",
        "_validate",
        "_wire_form",
        "kind",
        "name",
    )

    def __init__(self, kind: type[T] | TypeAdapter[T], *, where: str = "") -> None:
        where = f"{where}: " if where else ""
        try:
            self._adapter: TypeAdapter[T] = (
                kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
            )
            self._validate = self._adapter.validator.validate_python
            self._serialize = self._adapter.serializer.to_python
            schema = self._adapter.core_schema
        except Exception as error:
            raise InvalidContractError(
                f"{where}{kind!r} cannot describe a payload; use a pydantic model or a TypeAdapter: "
                f"{error}"
            ) from error
        self.kind: type[T] | TypeAdapter[T] = kind
        """The model or adapter that the payload was made from."""
        self.name: str = getattr(kind, "__name__", None) or str(kind)
        """The name of the type in messages."""
        if is_never_an_object(schema):
            raise InvalidContractError(
                f"{where}{self.name} is not written as a JSON object; put it into a model"
            )
        if problems := lossy_fields(schema):
            raise InvalidContractError(
                f"{where}{self.name} has fields that are not written as they are read",
                problems=problems,
            )
        self._fidelity = fidelity(schema)
        self._wire_form = wire_form(schema) if self._fidelity.tells_apart else None
        # Made with the first event, since a process makes no events of many types that it declares.
        self._event_form: WireForm | None = None
        self._event_form_is_made = False
        # The user's serializers and validators must not run while the collector is held off.
        self._uncollected = may_be_large(schema) and not self._fidelity.writes_its_own_way
        self._left_out = LeftOut(class_members(schema))
        self._keeps_containers = keeps_containers(schema)
        self._own_class = class_taken_as_it_is(schema)

    def parse(self, data: object, *, is_json: bool = False) -> T:
        """Parse wire data, or accept an instance of the type as it is.

        Wire data is read as Python values first. If the type refuses that, it is read as JSON text,
        in which a strict model accepts a date. The result shares no dicts and lists with the data.

        Args:
            data: A mapping, or an instance.
            is_json: Whether a mapping is known to hold nothing but JSON, as an event's data does,
                so that it can be copied without being checked.

        Raises:
            InvalidDataError: The data does not match; `problems` has the path of each field.
        """
        if type(data) is self._own_class:
            return data  # type: ignore[return-value]
        if self._keeps_containers and isinstance(data, Mapping):
            try:
                data = copy_json(data) if is_json else _copied_object(data)
            except RecursionError:
                raise InvalidDataError(
                    f"data does not match {self.name}: it is nested too deeply"
                ) from None
        return self._read(data)

    def _read(self, data: object, where: str = "") -> T:
        try:
            read = self._validate
            return uncollected(read, data) if self._uncollected else read(data)  # type: ignore[no-any-return]
        except ValidationError as error:
            failure = error
        if isinstance(data, Mapping):
            try:
                return self._adapter.validate_json(to_json(data))
            except ValidationError as error:
                # Each reading may refuse what the other accepts, such as a strict date.
                failure = min(error, failure, key=ValidationError.error_count)
            except ValueError:
                pass  # not JSON, so only the error of the first reading matters
        raise InvalidDataError(
            f"data does not match {self.name}{where}", **field_problems(failure)
        ) from None

    def dump(self, value: T) -> dict[str, Any]:
        """Write a parsed value as a JSON object, unchecked; `to_wire` checks.

        Aliases are used. A field that was not set and whose default is None is left out, at every
        depth except in sets, because an absent optional member is absent on the wire. A dataclass
        does not know what was set, so it always leaves out a None that is the default. Other
        defaults are written. Computed fields are too, unless their model forbids unknown members.

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
        # pydantic writes NaN and infinities as null; only the Python form shows them.
        if has_null(dumped) and put_back(self._python_form(value, exclude), dumped):
            raise InvalidDataError(
                f"{self.name} cannot be written as JSON", problems=json_problems(dumped)
            )
        return dumped  # type: ignore[no-any-return]

    def _python_form(self, value: T, exclude: dict[Any, Any] | None) -> Any:
        try:
            return self._write(value, "python", exclude)
        except TypeError:
            # In Python mode a set of models would be a set of dicts, which cannot be hashed.
            return plain(value)

    def _write(
        self, value: T, mode: Literal["json", "python"], exclude: dict[Any, Any] | None
    ) -> Any:
        try:
            # Values of the wrong type need no warnings: `to_wire` reads the result again.
            return self._serialize(value, mode=mode, by_alias=True, exclude=exclude, warnings=False)
        except ValueError as error:
            raise InvalidDataError(f"{self.name} cannot be written as JSON: {error}") from error

    def to_wire(self, data: object) -> dict[str, Any]:
        """Dump `data`, a model or a mapping, and check that the type reads what is written.

        Raises:
            InvalidDataError: The data does not match the type (a model may have been changed after
                it was made), cannot be written as a JSON object, or is read back as a different
                value.
        """
        wire = self._written_directly(data, self._wire_form)
        return self._checked(self.parse(data)) if wire is None else wire

    def to_event_data(self, data: object) -> dict[str, Any]:
        """Return the same as `to_wire`, for a single event.

        `ArvoEvent.create` takes over the result if it can, instead of copying it. So make only one
        event of it, and do not change it.

        Raises:
            InvalidDataError: As `to_wire`.
        """
        form = self._event_form
        if form is None and not self._event_form_is_made:
            form = self._make_event_form()
        wire = self._written_directly(data, form)
        return self.to_wire(data) if wire is None else WrittenData(wire)

    def _make_event_form(self) -> WireForm | None:
        form = self._wire_form and event_form(self._adapter.core_schema, self._wire_form)
        self._event_form = form
        self._event_form_is_made = True
        return form

    def _written_directly(self, data: object, form: WireForm | None) -> dict[str, Any] | None:
        """Write plain JSON types in one pass; None if that is impossible or finds a problem."""
        if form is None:
            return None
        try:
            if type(data) is self._own_class:
                wire = self._at_rest(lambda value: form.of_model(value, self._serialize), data)
                if not form.takes_models and not self._reads_alike(data, wire):
                    return None
            elif isinstance(data, Mapping):
                wire = self._at_rest(form.of_mapping, data)
            else:
                return None
        except ValueError:
            return None  # the longer way reports what is wrong
        return wire if isinstance(wire, dict) else None

    def _reads_alike(self, value: object, wire: object) -> bool:
        """Return whether the written form is certain to be read back as an equal value."""
        return self._fidelity.equality_tells and is_equal(
            value, self._at_rest(self._validate, wire)
        )

    def _at_rest(self, call: Callable[[Any], Any], data: object) -> Any:
        return uncollected(call, data) if self._uncollected else call(data)

    def _checked(self, value: T) -> dict[str, Any]:
        dumped = self.dump(value)
        read = self._read(dumped, " as it would be written")
        if not self._fidelity.sure and (problems := self._changes(value, dumped, read)):
            raise InvalidDataError(
                f"{self.name} changes when it is written and read again; its serializers must "
                "write, and its types must tell apart, everything that is read",
                problems=with_functions(self._adapter.core_schema, problems),
            )
        return dumped

    def _changes(self, value: T, dumped: dict[str, Any], read: T) -> list[FieldProblem]:
        """List what is read back as a different value or would be written differently."""
        if self._fidelity.writes_its_own_way and (again := self.dump(read)) != dumped:
            problems = list(rewritten(dumped, again))
            if problems:
                return problems
        if self._fidelity.equality_tells and is_equal(value, read):
            return []
        return list(changed(value, read, free=self._fidelity.free))

    def member_names(self) -> frozenset[str]:
        """Return the names of the members, read or written, that the type declares."""
        return frozenset(member_names(self._adapter.core_schema))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of what `parse` accepts.

        Raises:
            InvalidContractError: The type contains something that JSON Schema cannot express.
        """
        try:
            schema = self._adapter.json_schema(by_alias=True, mode="validation")
        except Exception as error:
            raise InvalidContractError(f"{self.name} has no JSON Schema: {error}") from error
        return {"$schema": JSON_SCHEMA_DIALECT, **schema}


def _copied_object(data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _copy_if_json(data)  # type: ignore[no-any-return]
    except ValidationError:  # it contains more than JSON
        return {name: _copied(item) for name, item in data.items()}


def _copied(value: object) -> object:
    """Copy dicts and lists; keep everything else as it is."""
    match value:
        case dict():
            return {key: _copied(item) for key, item in value.items()}
        case list():
            return [_copied(item) for item in value]
        case _:
            return value
