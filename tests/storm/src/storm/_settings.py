"""What a storm is like."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a storm is like; all of it reaches the workers too."""

    memory: str
    """The machine memory, as a URL."""
    workers: int
    """How many processes handle events."""
    workflows: int
    """How many root workflows are started."""
    portions: int
    """In how many portions they are started, one after each blow; so many blows there are, then."""
    seed: int
    """For everything that is left to chance."""
    ttl: timedelta
    """How long a lease lasts when its holder is gone."""
    kill_every: timedelta
    """The pause between two blows."""
    think: timedelta
    """The longest pause that the workflows and services make within a step."""
    timeout: timedelta
    """When to give up: what is not complete by then counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is told."""

    number: int
    """Its number; a worker that comes for a killed one has a new one."""
    address: str
    """The unix socket of the queue."""
    ledger: str
    """The file where services book."""
    settings: Settings
    """The rest."""
