"""The names of the keys of one prefix.

Everything of one workflow, and the index of what is due in its part of the key space, has to be in one slot of
a Cluster. So the name of a workflow's key begins with a hash tag, one of 256. The index has a tag of its own, as
its sets change together.
"""

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

_DIGEST_BYTES: Final = 16
_DIGEST: Final = rb"[0-9a-f]{32}"
_TAGS: Final = tuple(str(number) for number in range(256))


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the memories that share a prefix.

    Raises:
        ValueError: The prefix begins with `}`, which would end the hash tag before it has begun.
    """

    prefix: str
    """What tells the keys of these memories from all others."""
    layout: str = field(init=False)
    """The hash that says how the other keys are named."""
    index: str = field(init=False)
    """The sorted set of all workflows by their start; the index's other keys begin like it."""
    machines: str = field(init=False)
    """A pattern that every workflow's key matches, and hardly another key."""
    earlier_machines: str = field(init=False)
    """The same for the layout before."""
    _machine: re.Pattern[bytes] = field(init=False, repr=False)
    _earlier_machine: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.prefix.startswith("}"):
            raise ValueError(f"prefix must not begin with }}, got {self.prefix!r}")
        escaped = _escaped(self.prefix)
        exact = re.escape(self.prefix.encode())
        for name, value in {
            "layout": f"{{{self.prefix}i}}:layout",
            "index": f"{{{self.prefix}i}}:all",
            "machines": f"{{{escaped}[0-9]*}}m:*",
            "earlier_machines": f"{escaped}m:*",
            "_machine": re.compile(rb"\{%b([0-9]{1,3})\}m:(%b)" % (exact, _DIGEST)),
            "_earlier_machine": re.compile(rb"%bm:(%b)" % (exact, _DIGEST)),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def tags(self) -> tuple[str, ...]:
        """The ends of all hash tags."""
        return _TAGS

    def due(self, tag: str) -> str:
        """Return the key of a part of the due index."""
        return f"{{{self.prefix}{tag}}}due"

    def machine(self, machine_id: str) -> str:
        """Return the key of a workflow."""
        return self._tagged(_digest(machine_id))

    def member(self, machine_id: str) -> str:
        """Return what the index calls a workflow: the hash in its key."""
        return _digest(machine_id).hex()

    def of_member(self, member: bytes) -> str:
        """Return the key of a workflow of the index.

        Raises:
            ValueError: It is no such name.
        """
        return self._tagged(bytes.fromhex(member.decode()))

    def member_of(self, key: bytes) -> bytes | None:
        """Return what the index calls the workflow of a key; None for any other key."""
        found = self._machine.fullmatch(key)
        if found is None or int(found[1]) != int(found[2][-2:], 16):
            return None
        return found[2]

    def moved(self, key: bytes) -> str | None:
        """Return where a key of the layout before belongs now; None for any other key."""
        found = self._earlier_machine.fullmatch(key)
        return None if found is None else self._tagged(bytes.fromhex(found[1].decode()))

    def _tagged(self, digest: bytes) -> str:
        return f"{{{self.prefix}{digest[-1]}}}m:{digest.hex()}"


def _digest(machine_id: str) -> bytes:
    # Subjects are long.
    return blake2b(encoded(machine_id), digest_size=_DIGEST_BYTES).digest()


def encoded(machine_id: str) -> bytes:
    """Return a workflow's subject as it is stored."""
    return machine_id.encode("utf-8", "surrogatepass")


def _escaped(prefix: str) -> str:
    return "".join(f"\\{each}" if each in "*?[]^-\\" else each for each in prefix)
