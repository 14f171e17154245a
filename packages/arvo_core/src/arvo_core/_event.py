"""The event: a CloudEvent with Arvo's attributes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import to_json
from typing_extensions import override

from ._errors import FieldProblem, InvalidEventError
from ._event_id import EventId, developer_id, new_id
from ._event_limits import DEFAULT_LIMITS, EventLimits, check_size, measured, parsed
from ._event_refusal import refuse
from ._event_rules import (
    ARVO_CONTENT_TYPE,
    ATTRIBUTES,
    ContentType,
    Domain,
    EventType,
    ExtensionValue,
    Number,
    SpecVersion,
    Text,
    Time,
    Uri,
    is_extension_name,
    time_text,
    with_encoded_uris,
)
from ._json import MAX_DEPTH, ONE_PASS_CHARACTERS, EventData, WrittenData, copy_json, plain_dict
from ._shorten import shorten

_OTEL_NAMES = {
    "id": "cloudevents.event_id",
    "source": "cloudevents.event_source",
    "specversion": "cloudevents.event_spec_version",
    "subject": "cloudevents.event_subject",
    "type": "cloudevents.event_type",
    "time": "cloudevents.event_time",
    "datacontenttype": "cloudevents.event_datacontenttype",
    "dataschema": "cloudevents.event_dataschema",
    "redirectto": "cloudevents.arvo.event_redirectto",
    "to": "cloudevents.arvo.event_to",
    "executionunits": "cloudevents.arvo.event_executionunits",
    "parentid": "cloudevents.arvo.event_parentid",
    "domain": "cloudevents.arvo.event_domain",
}
_CONTEXT = (
    "id", "source", "specversion", "type", "subject", "datacontenttype", "dataschema", "time"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEventView:
    """An event, divided as in the CloudEvents specification."""

    attributes: dict[str, Any]
    """The attributes that CloudEvents 1.0.2 defines, by name."""
    data: dict[str, Any]
    """The payload, a JSON object."""
    extensions: dict[str, str | bool | int | float | None]
    """Everything else: Arvo's attributes, the tracing ones and the custom extensions."""


class ArvoEvent(BaseModel):
    """A CloudEvent (specification 1.0.2) with Arvo's attributes for routing and correlation.

    The constructor is strict: every value must be as it is on the wire. To make an event, use
    `ArvoEvent.create` or an `ArvoEventFactory`, which fill in what is missing.
    Further keyword arguments are custom extensions. The event is frozen; its data is a copy.
    Two events are equal if their source and id are, which is CloudEvents' identity.

    An attribute is at most 131072 characters long, enough for the longest subject, and contains no
    CR, LF or NUL, which a header cannot carry (RFC 9110, 5.5).

    TypeScript: `ArvoEvent`, `createArvoEvent`.

    Raises:
        InvalidEventError: An attribute, the data or an extension breaks a rule.

    Example:
        >>> event = ArvoEvent.create(
        ...     source="com.app.main", type="com.user.create", subject="user/7", data={"age": 3}
        ... )
        >>> ArvoEvent.from_json(event.to_json()) == event
        True
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True
    )
    __pydantic_extra__: dict[str, ExtensionValue]

    id: Text
    """Unique among the events of `source`. Never percent-encoded."""
    source: Uri
    """The producer of the event: a handler's type, or any URI."""
    specversion: SpecVersion
    """The CloudEvents version."""
    type: EventType
    """What happened or is requested: three or more segments joined by dots."""
    subject: Uri
    """What the event is about. For workflows an `ArvoOrchestrationSubject`."""
    datacontenttype: ContentType
    """A JSON content type, normally `ARVO_CONTENT_TYPE`."""
    dataschema: Uri | None = None
    """Contract URI and version of the data; None when no contract describes it."""
    data: EventData
    """The payload, a JSON object."""
    time: Time
    """When it happened: RFC 3339 with an offset, as the producer wrote it."""
    to: Uri | None = None
    """The recipient, a broker's topic. None only if `datacontenttype` is not Arvo's."""
    accesscontrol: Text | None = None
    """Opaque data for the application's own checks. Never shown by `repr` or in telemetry."""
    redirectto: Uri | None = None
    """Where the reply goes; None means `source`."""
    executionunits: Number | None = None
    """Unitless cost of producing the event; None if not accounted."""
    traceparent: Text | None = None
    """W3C trace context of the producer; None if it was not traced."""
    tracestate: Text | None = None
    """W3C trace state, or None."""
    parentid: Text | None = None
    """The id of the event that caused this one; None at the root."""
    domain: Domain | None = None
    """Where outside the system the event goes; None means that it stays inside."""

    if not TYPE_CHECKING:  # type checkers derive the constructor from the fields

        def __init__(self, /, **attributes: Any) -> None:
            try:
                self.__pydantic_validator__.validate_python(attributes, self_instance=self)
            except ValidationError as error:
                refuse(type(self), attributes, error)

        # Without this mark pydantic would call the constructor again for every validated dict.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.__pydantic_extra__ and not all(map(is_extension_name, self.__pydantic_extra__)):
            raise ValueError("an extension's name must consist of a-z and 0-9")
        if self.to is None and self.datacontenttype == ARVO_CONTENT_TYPE:
            raise ValueError("to is required with Arvo's datacontenttype")
        return self

    @classmethod
    def create(
        cls,
        *,
        source: str,
        type: str,
        subject: str,
        data: Mapping[str, Any],
        id: str | EventId | None = None,
        specversion: SpecVersion | None = None,
        datacontenttype: str | None = None,
        dataschema: str | None = None,
        time: str | datetime | None = None,
        to: str | None = None,
        accesscontrol: str | None = None,
        redirectto: str | None = None,
        executionunits: float | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        parentid: str | None = None,
        domain: str | None = None,
        extensions: Mapping[str, str | bool | int | float | None] | None = None,
        limits: EventLimits = DEFAULT_LIMITS,
    ) -> Self:
        """Make an event, filling in what is missing.

        URI attributes that are not valid URIs are percent-encoded; `id` and `parentid` never are.

        Args:
            source: The producer of the event.
            type: Three or more segments of a-z and 0-9 joined by dots.
            subject: What the event is about.
            data: A JSON object, at most 128 levels deep; copied.
            id: The id itself, or a policy. None gives a random UUID.
            specversion: None gives "1.0", the only one.
            datacontenttype: None gives `ARVO_CONTENT_TYPE`.
            dataschema: Contract URI and version; None or "" if no contract describes the data.
            time: RFC 3339, with T and Z in upper case and no leap second, or an aware datetime,
                cut to milliseconds. None gives now, in UTC.
            to: None or "" gives `type`.
            accesscontrol: Opaque data for the application's own checks, or None.
            redirectto: Where the reply goes; None or "" means `source`.
            executionunits: Unitless cost; None means not accounted.
            traceparent: W3C trace context, or None.
            tracestate: W3C trace state, or None.
            parentid: The id of the event that caused this one; None or "" at the root.
            domain: Where outside the system the event goes; None means that it stays inside.
            extensions: Custom extensions by name; names of attributes are refused.
            limits: How deep the data may be. The size is checked by `from_json`, which has the
                JSON text.

        Raises:
            InvalidEventError: A value breaks a rule; `problems` lists those of the first failing
                stage.
            InvalidUriError: A URI attribute holds a lone surrogate, or is too long when encoded;
                `problems` names it.
        """
        is_ready = (
            isinstance(data, WrittenData) and limits.max_depth == MAX_DEPTH and cls is ArvoEvent
        )
        values: dict[str, Any] = {
            "id": new_id() if id is None else _id_text(id),
            "source": source,
            "specversion": "1.0" if specversion is None else specversion,
            "type": type,
            "subject": subject,
            "datacontenttype": ARVO_CONTENT_TYPE if datacontenttype is None else datacontenttype,
            "dataschema": dataschema or None,
            "data": {} if is_ready else plain_dict(data),
            "time": time_text(time),
            "to": to or type,
            "accesscontrol": accesscontrol,
            "redirectto": redirectto or None,
            "executionunits": executionunits,
            "traceparent": traceparent,
            "tracestate": tracestate,
            "parentid": parentid or None,
            "domain": domain,
        }
        shadowing: list[str] = []
        if extensions:
            if ATTRIBUTES.isdisjoint(extensions):
                values.update(extensions)
            else:
                shadowing = [name for name in extensions if name in ATTRIBUTES]
                values = {**extensions, **values}
        checked = values if limits.max_depth == MAX_DEPTH else measured(values, limits)
        try:
            event = cls.__pydantic_validator__.validate_python(checked)
        except ValidationError as error:
            encoded = with_encoded_uris(checked)
            if encoded is None:
                refuse(cls, values, error, shadowing, limits)
            try:
                event = cls.__pydantic_validator__.validate_python(encoded)
            except ValidationError as second_error:
                encoded["data"] = values["data"]
                refuse(cls, encoded, second_error, shadowing, limits)
        if shadowing:
            refuse(cls, values, None, shadowing)
        if is_ready:
            event.__dict__["data"] = dict(data)
        return event  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, text: str | bytes, *, limits: EventLimits = DEFAULT_LIMITS) -> Self:
        """Read an event in CloudEvents' JSON format, strictly.

        Unknown members are custom extensions. If a name occurs twice, the last one counts.

        Args:
            text: The JSON object; bytes are UTF-8.
            limits: How large the text and how deep its data may be: by default 8 MiB, 128 levels.

        Raises:
            InvalidEventError: The text exceeds a limit, is not JSON or not an object, or a value
                breaks a rule.
        """
        check_size(text, limits)
        if len(text) <= ONE_PASS_CHARACTERS and limits.max_depth == MAX_DEPTH:
            try:
                return cls.__pydantic_validator__.validate_json(text)  # type: ignore[no-any-return]
            except ValidationError:
                pass  # what is wrong is found below
        return cls.from_dict(parsed(text, limits), limits=limits)

    def to_json(self, *, indent: int | None = None) -> str:
        """Write the event in CloudEvents' JSON format, members in Arvo's order.

        Args:
            indent: Spaces per level; None writes one line without spaces.

        Events of any size are written, but `from_json` refuses those above 8 MiB unless its caller
        raises the limit.
        """
        if self.__pydantic_extra__:
            return to_json(self.to_dict(), indent=indent).decode("utf-8")
        return self.__pydantic_serializer__.to_json(self, indent=indent).decode("utf-8")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, limits: EventLimits = DEFAULT_LIMITS) -> Self:
        """Read an event from the members of its JSON object, strictly.

        Args:
            values: The members by name.
            limits: How deep the data may be. The size limit does not apply.

        Raises:
            InvalidEventError: The data is too deep, or a value breaks a rule.
        """
        members = plain_dict(values)
        if limits.max_depth != MAX_DEPTH and isinstance(members, dict):
            members = measured(members, limits)
        try:
            return cls.__pydantic_validator__.validate_python(members)  # type: ignore[no-any-return]
        except ValidationError as error:
            refuse(cls, values, error, limits=limits)

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the event's JSON object in Arvo's order, as a copy."""
        # `__dict__` has the fields in order, and pydantic's dump takes three times as long.
        values = {**self.__dict__, "data": copy_json(self.data)}
        if not self.__pydantic_extra__:
            return values
        names = list(values)
        until_time = names.index("time") + 1
        return {
            **{name: values[name] for name in names[:until_time]},
            **self.__pydantic_extra__,
            **{name: values[name] for name in names[until_time:]},
        }

    @property
    def extensions(self) -> dict[str, str | bool | int | float | None]:
        """The custom extensions by name, as a copy."""
        return dict(self.__pydantic_extra__)

    @property
    def cloudevent(self) -> CloudEventView:
        """The event divided as in CloudEvents: attributes, data, extensions."""
        values = self.to_dict()
        data = values.pop("data")
        attributes = {name: values.pop(name) for name in _CONTEXT}
        return CloudEventView(attributes=attributes, data=data, extensions=values)

    @property
    def otel_attributes(self) -> dict[str, str | int | float]:
        """The event as span attributes, with the names used everywhere in Arvo; "N/A" means None.

        Data and access control are left out deliberately.
        """
        attributes = self.__dict__
        return {
            otel_name: "N/A" if (value := attributes[name]) is None else value
            for name, otel_name in _OTEL_NAMES.items()
        }

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArvoEvent):
            return NotImplemented
        return self.id == other.id and self.source == other.source

    @override
    def __hash__(self) -> int:
        return hash((self.source, self.id))

    @override
    def __repr__(self) -> str:
        shown = {
            name: shorten(value)
            for name, value in self.__dict__.items()
            if value is not None and name not in {"data", "accesscontrol"}
        }
        if self.__pydantic_extra__:
            shown["extensions"] = repr(sorted(self.__pydantic_extra__))
        return f"ArvoEvent({', '.join(f'{name}={text}' for name, text in shown.items())})"

    __str__ = __repr__


def _id_text(given: object) -> object:
    if isinstance(given, str):
        return developer_id(given)
    if not isinstance(given, EventId):
        return given
    try:
        return given.text()
    except ValueError as error:
        raise InvalidEventError(
            "cannot make an event id",
            problems=[FieldProblem(path=("id",), message=str(error))],
        ) from None
