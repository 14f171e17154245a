"""Orchestration subjects: the address of one run of one workflow, carried by its events."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationError,
)
from pydantic_core import from_json, to_json

from ._deflated_json import pack, unpack
from ._errors import InvalidSubjectError
from ._event_id import new_id
from ._event_rules import DOMAIN_PATTERN, TYPE_PATTERN
from ._frozen_mapping import FrozenMapping
from ._json import DEEPEST, ONE_PASS_CHARACTERS, JsonText, JsonValue, plain_dict
from ._problems import field_problems, find_json_problems
from ._shorten import shorten
from ._version import WILDCARD_VERSION


def _as_dict(members: Mapping[str, str]) -> dict[str, str]:
    # From Python 3.13 on, `dict` has no signature that pydantic accepts.
    return dict(members)


_Name = Annotated[str, Strict(), Field(pattern=TYPE_PATTERN)]
_Version = Annotated[str, Strict(), Field(pattern=r"^[0-9]{1,100}\.[0-9]{1,100}\.[0-9]{1,100}$")]
_ExecutionId = Annotated[str, Strict(), Field(pattern=r"^[^;]+$")]
_Domain = Annotated[str, Strict(), Field(pattern=DOMAIN_PATTERN)]
# Parsed subjects are shared through a cache, so they must be immutable.
_Meta = Annotated[
    Mapping[JsonText, JsonText], AfterValidator(FrozenMapping), PlainSerializer(_as_dict)
]

# Long subjects are rare, and thousands of them would fill the memory. A short string may inflate to
# a long one, so the JSON is measured.
_CACHED_BYTES = 2048
_CACHED_SUBJECTS = 4096


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="allow", hide_input_in_errors=True
    )
    __pydantic_extra__: dict[str, JsonValue]


class SubjectOrchestrator(_Part):
    """Which workflow a subject belongs to."""

    name: _Name
    """The orchestrator contract's type, or a service's for a request outside any workflow."""
    version: _Version
    """The contract's version; 0.0.0 if none was given."""


class SubjectExecution(_Part):
    """Which run of the workflow a subject names."""

    id: _ExecutionId
    """Unique per run; contains no semicolon."""
    initiator: _Name
    """The source of the event that started the run."""
    domain: _Domain | None
    """The domain that the run belongs to; None means no domain."""


class SubjectContent(_Part):
    """The content of an orchestration subject. Unknown members are kept in `model_extra`."""

    orchestrator: SubjectOrchestrator
    """Which workflow the subject belongs to."""
    execution: SubjectExecution
    """Which run of the workflow the subject names."""
    meta: _Meta
    """Free-form strings by name; `redirectto` is where the workflow's completion goes."""


class ArvoOrchestrationSubject:
    """Makes and reads orchestration subjects: JSON, deflated, in base64.

    TypeScript: `ArvoOrchestrationSubject`.

    Example:
        >>> subject = ArvoOrchestrationSubject.new(
        ...     orchestrator="arvo.orc.order", version="1.0.0", initiator="com.app.main"
        ... )
        >>> ArvoOrchestrationSubject.parse(subject).execution.initiator
        'com.app.main'
    """

    @staticmethod
    def new(
        *,
        orchestrator: str,
        version: str | None,
        initiator: str,
        domain: str | None = None,
        meta: Mapping[str, str] | None = None,
        execution_id: str | None = None,
    ) -> str:
        """Make the subject of a new root workflow.

        Args:
            orchestrator: The type of the workflow's contract.
            version: The contract's version; None gives 0.0.0.
            initiator: The source of the event that starts the workflow; a reverse-DNS name.
            domain: The domain that the run belongs to; None means no domain.
            meta: Free-form strings by name.
            execution_id: None gives a random UUID.

        Raises:
            InvalidSubjectError: A value breaks a rule.
        """
        subject, content, size = _encode(
            {
                "orchestrator": {
                    "name": orchestrator,
                    "version": WILDCARD_VERSION if version is None else version,
                },
                "execution": {
                    "id": new_id() if execution_id is None else execution_id,
                    "initiator": initiator,
                    "domain": domain,
                },
                "meta": dict(meta or {}),
            }
        )
        # The process that starts a workflow often runs it too; inflating takes a sixth of the first
        # step.
        _remember(subject, content, size)
        return subject

    @staticmethod
    def from_parent(
        *,
        orchestrator: str,
        version: str | None,
        subject: str,
        domain: str | None = None,
        meta: Mapping[str, str] | None = None,
        execution_id: str | None = None,
    ) -> str:
        """Make the subject of a workflow started by another one. TypeScript: `from`.

        Args:
            orchestrator: The type of the new workflow's contract.
            version: The contract's version; None gives 0.0.0.
            subject: The parent's subject. Its orchestrator becomes the initiator.
            domain: None takes that of the parent.
            meta: Merged into the parent's; the values given here take precedence.
            execution_id: None gives a random UUID.

        Raises:
            InvalidSubjectError: `subject` is not an orchestration subject, or a value breaks a
                rule.
        """
        parent = ArvoOrchestrationSubject.parse(subject)
        return ArvoOrchestrationSubject.new(
            orchestrator=orchestrator,
            version=version,
            initiator=parent.orchestrator.name,
            domain=parent.execution.domain if domain is None else domain,
            meta={**parent.meta, **(meta or {})},
            execution_id=execution_id,
        )

    @staticmethod
    def create(content: Mapping[str, Any] | SubjectContent) -> str:
        """Encode `content`, which must be complete. Unknown members are kept.

        Raises:
            InvalidSubjectError: A member is missing or breaks a rule, or the JSON is longer than
                64 KiB, which `parse` would refuse.
        """
        plain = plain_dict(content)
        if isinstance(plain, SubjectContent):
            plain = plain.model_dump()
        return _encode(plain)[0]

    @staticmethod
    def parse(text: str) -> SubjectContent:
        """Decode a subject. The result is immutable and may be shared by calls with equal strings.

        Raises:
            InvalidSubjectError: `text` is not a subject, or it inflates to more than 64 KiB.
        """
        return _cached.get(text) or _parse(text)

    @staticmethod
    def is_valid(text: str) -> bool:
        """Return whether `parse` accepts `text`."""
        try:
            ArvoOrchestrationSubject.parse(text)
        except InvalidSubjectError:
            return False
        return True


# The content of the subjects made or parsed last, oldest first.
_cached: OrderedDict[str, SubjectContent] = OrderedDict()


def _remember(text: str, content: SubjectContent, size: int) -> None:
    if size <= _CACHED_BYTES:
        _cached[text] = content
        if len(_cached) > _CACHED_SUBJECTS:
            _cached.popitem(last=False)


def _encode(plain: object) -> tuple[str, SubjectContent, int]:
    """Return a subject, its content, and the size of its JSON in bytes."""
    try:
        content = SubjectContent.__pydantic_validator__.validate_python(plain)
        # `fallback` is called for mappings that are not dicts, such as `meta` of a parsed subject.
        json = to_json(plain, fallback=dict)
        return pack(json), content, len(json)
    except ValidationError as error:
        refusal = InvalidSubjectError(
            "cannot make a subject", problems=find_json_problems(plain, max_depth=DEEPEST)
        )
        if not refusal.problems:
            refusal = InvalidSubjectError("cannot make a subject", **field_problems(error))
        raise refusal from None
    except ValueError as error:
        raise InvalidSubjectError(f"cannot make a subject: {error}") from None


def _parse(text: str) -> SubjectContent:
    try:
        json = unpack(text)
        validator = SubjectContent.__pydantic_validator__
        content: SubjectContent = (
            validator.validate_json(json)
            if len(json) <= ONE_PASS_CHARACTERS
            else validator.validate_python(from_json(json))
        )
    except ValidationError as error:
        raise InvalidSubjectError(
            f"not an orchestration subject: {shorten(text)}", **field_problems(error)
        ) from None
    except ValueError as error:
        raise InvalidSubjectError(
            f"not an orchestration subject: {shorten(text)}: {error}"
        ) from None
    # Foreign characters may make the string longer than its JSON.
    _remember(text, content, max(len(json), len(text)))
    return content
