"""The registered reactions, in memory, and the leases of scanning them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from arvo_event_store._reaction_spec import ReactionSpec
from arvo_event_store.stores import changed_reaction, reaction_definition


@dataclass(slots=True, kw_only=True)
class Registered:
    """A reaction as it is registered."""

    spec: ReactionSpec
    scanned: int
    token: int = 0
    """The number of its last lease of scanning; only grows."""
    owner: UUID | None = None
    leased_until: datetime | None = None

    def end_lease(self) -> None:
        """Let nobody scan it, and refuse the page of whoever did."""
        self.owner = self.leased_until = None
        self.token += 1


class Reactions:
    """All reactions, by group and name."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, Registered]] = {}

    def of(self, group: str) -> Mapping[str, Registered]:
        """Return the reactions of a group, by their names."""
        return self._groups.get(group, {})

    def check(
        self, group: str, reactions: Iterable[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """Check that reactions are registered as a caller has them.

        Args:
            group: Their group.
            reactions: The reactions.
            redefine: Whether other definitions are allowed, as far as they can be.

        Raises:
            ReactionChangedError: One is not.
        """
        known = self.of(group)
        for spec in reactions:
            found = known.get(spec.name)
            stored = None if found is None else reaction_definition(found.spec)
            error = changed_reaction(spec, group=group, stored=stored, redefine=redefine)
            if error is not None:
                raise error

    def agreed(
        self, group: str, reactions: Mapping[str, ReactionSpec]
    ) -> Mapping[str, ReactionSpec]:
        """Return those of some reactions that are registered as a caller has them, by their names."""
        known = self.of(group)
        return {
            name: spec
            for name, spec in reactions.items()
            if name in known and reaction_definition(known[name].spec) == reaction_definition(spec)
        }

    def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, horizon: int, redefine: bool
    ) -> list[str]:
        """Make reactions known, and return the names of those that were and have another lane now.

        Raises:
            ReactionChangedError: See `IReactionStore.register`.
        """
        known = self._groups.setdefault(group, {})
        self.check(group, [each for each in reactions if each.name in known], redefine=redefine)
        moved: list[str] = []
        for spec in reactions:
            found = known.get(spec.name)
            if found is None:
                known[spec.name] = Registered(spec=spec, scanned=_start(spec, horizon=horizon))
            elif reaction_definition(found.spec) != reaction_definition(spec):
                if found.spec.lane != spec.lane:
                    moved.append(spec.name)
                found.spec = spec
                # A page that was read with the old definition may lack what the new one takes.
                found.end_lease()
        return moved

    def lease(
        self, group: str, names: Iterable[str], *, owner: UUID, until: datetime, now: datetime
    ) -> dict[str, Registered]:
        """Lease the scan of those that nobody else has, and return them by their names."""
        known = self.of(group)
        leased: dict[str, Registered] = {}
        for name in names:
            found = known[name]
            others = found.owner not in {None, owner}
            if others and found.leased_until is not None and found.leased_until > now:
                continue
            if found.owner != owner:
                found.token += 1
            found.owner, found.leased_until = owner, until
            leased[name] = found
        return leased

    def leased(self, group: str, tokens: Mapping[str, int]) -> list[Registered] | None:
        """Return the reactions whose leases have these tokens; None if one of them is lost."""
        known = self.of(group)
        found = [known.get(name) for name in tokens]
        standing = [
            each
            for each, token in zip(found, tokens.values(), strict=True)
            if each is not None and each.owner is not None and each.token == token
        ]
        return standing if len(standing) == len(tokens) else None

    def leave(self, group: str, *, owner: UUID) -> None:
        """End the leases of a scanner."""
        for found in self.of(group).values():
            if found.owner == owner:
                found.end_lease()


def _start(spec: ReactionSpec, *, horizon: int) -> int:
    if isinstance(spec.start, int):
        return spec.start
    return horizon if spec.start == "now" else 0
