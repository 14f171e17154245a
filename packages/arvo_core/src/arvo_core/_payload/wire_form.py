"""Validates data directly into its wire form, without making instances of the payload's classes.

Making and freeing a model for each of a hundred thousand small objects costs more than everything
else that is done with them. If a type consists of plain JSON types, its schema also determines what
is written, so one pass over the data, or over the dump of a model, is enough.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic_core import SchemaValidator

from .wire_schema import DEEPEST_TYPE, NoWireForm, WireSchemaMaker, shared_types


class WireForm(NamedTuple):
    """Writes a payload of plain JSON types."""

    validator: SchemaValidator
    """Accepts mappings without instances in them. In its result an absent optional member is absent
    and other defaults are filled in."""
    of_held: SchemaValidator | None
    """Accepts the members of models that are not None, and fills in None instead of defaults.

    None if no member is optional, so that models are dumped as they are, or if a dump does not show
    all of a model's content."""
    has_optional: bool
    """True if a member is None by default."""
    takes_models: bool
    """True if the dump of a model shows all of its content. Where anything is accepted it does not,
    and only reading the written form shows a change."""

    def of_mapping(self, data: Mapping[str, Any]) -> Any:
        """Return the written form of a mapping.

        Raises:
            ValueError: The type does not accept it, or not in one pass.
        """
        return self.validator.validate_python(data)

    def of_model(self, value: object, dump: Callable[..., Any]) -> Any:
        """Return the written form of a model; None if only examining each member can tell.

        An optional member is absent if it is None and was not set. The names of the members that
        were set do not suffice: a value may have been put into a model, or into one of its lists,
        in another way. So the content of the model must equal what was set plus the defaults.

        Args:
            value: A model that the type accepts as it is.
            dump: The type's serializer.

        Raises:
            ValueError: The type does not accept it, or not in one pass.
        """
        given = dump(value, by_alias=True, exclude_unset=self.has_optional, warnings=False)
        wire = self.validator.validate_python(given)
        if self.of_held is None:
            return wire
        held = dump(value, by_alias=True, exclude_none=True, warnings=False)
        # If there is no None that must be written, the two are equal already.
        return wire if held == wire or self.of_held.validate_python(held) == wire else None


def wire_form(schema: Mapping[str, Any]) -> WireForm | None:
    """Make a validator whose result is what the type would write.

    Args:
        schema: A schema whose `Fidelity.tells_apart` is true, so it has no functions.

    Returns:
        None if the type contains something that JSON does not have, a default that must be made
        each time, or a field that is also read under another name.
    """
    shared = shared_types(schema)
    maker = WireSchemaMaker(shared)
    try:
        validator = SchemaValidator(maker.make_all(schema))
        of_held = None
        if maker.has_optional and not maker.is_free:
            of_held = SchemaValidator(WireSchemaMaker(shared, of_held=True).make_all(schema))
    except (NoWireForm, RecursionError):
        return None
    return WireForm(
        validator=validator,
        of_held=of_held,
        has_optional=maker.has_optional,
        takes_models=not maker.is_free,
    )


def event_form(schema: Mapping[str, Any], form: WireForm) -> WireForm | None:
    """Make a form that writes only valid data of events.

    It refuses more than it must: where anything is accepted, all that is more than 16 levels deep.

    Args:
        schema: The schema that `form` was made from.
        form: The form for other uses.

    Returns:
        None for a type that may be too deep, such as one that contains itself.
    """
    maker = WireSchemaMaker(shared_types(schema), for_event=True)
    try:
        validator = SchemaValidator(maker.make_all(schema))
    except (NoWireForm, RecursionError):
        return None
    return form._replace(validator=validator) if maker.levels <= DEEPEST_TYPE else None
