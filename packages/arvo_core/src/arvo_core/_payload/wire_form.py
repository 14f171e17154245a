"""Validation straight to the wire form, without making the objects that a payload's type names.

Making and collecting a model for each of a hundred thousand small objects costs more than all else
that happens to them. Where a type holds nothing but JSON's own kinds, its schema also says what is
written, so one pass over the data, or over what a model dumps, is enough.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic_core import SchemaValidator

from .wire_schema import DEEPEST_TYPE, NoWireForm, WireSchemaMaker, shared_types


class WireForm(NamedTuple):
    """How a payload of JSON's own kinds is written."""

    validator: SchemaValidator
    """Takes mappings that hold no objects. In its result an absent optional member stays absent and
    other defaults are filled in."""
    of_held: SchemaValidator | None
    """Takes what models hold that is not None: fills in None instead of defaults. None where nothing
    is optional, so that models are dumped as they are; and where a dump does not show all."""
    has_optional: bool
    """Whether a member is None by default."""
    takes_models: bool
    """Whether the dump of a model shows all that it holds. Where anything may stand it does not, and
    only reading what was written tells."""

    def of_mapping(self, data: Mapping[str, Any]) -> Any:
        """Return how a mapping is written.

        Raises:
            ValueError: The type does not read it, or not in one pass.
        """
        return self.validator.validate_python(data)

    def of_model(self, value: object, dump: Callable[..., Any]) -> Any:
        """Return how a model is written; None where only a look at each member tells.

        An optional member is absent where it is None and was not set. What was set tells alone for
        nothing: a value may have been put into a model, or into a list of its, in another way. So
        what a model holds must be what was set and defaults.

        Args:
            value: One that the type takes as it is.
            dump: The type's serializer.

        Raises:
            ValueError: The type does not read it, or not in one pass.
        """
        given = dump(value, by_alias=True, exclude_unset=self.has_optional, warnings=False)
        wire = self.validator.validate_python(given)
        if self.of_held is None:
            return wire
        held = dump(value, by_alias=True, exclude_none=True, warnings=False)
        # Without a None that must be written the two are the same already.
        return wire if held == wire or self.of_held.validate_python(held) == wire else None


def wire_form(schema: Mapping[str, Any]) -> WireForm | None:
    """Make a validator whose result is what the type would write.

    Args:
        schema: One of which `fidelity` says that it tells apart, so without functions.

    Returns:
        None for a type that holds what JSON does not have, a default that must be made anew, or a
        name that is read beside the one that is written.
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
    """Make a form that writes nothing but what an event's data may be.

    It refuses more than it must: of what stands where anything may, all below 16 levels.

    Args:
        schema: The one that `form` was made of.
        form: How it is written otherwise.

    Returns:
        None for a type that may be too deep, as one that holds itself.
    """
    maker = WireSchemaMaker(shared_types(schema), for_event=True)
    try:
        validator = SchemaValidator(maker.make_all(schema))
    except (NoWireForm, RecursionError):
        return None
    return form._replace(validator=validator) if maker.levels <= DEEPEST_TYPE else None
