"""The settings of a storm."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a storm. The workers get them too."""

    memory: str
    """The machine memory, as a URL."""
    transport: str | None
    """The transport between the workers, as a URL; None for a queue of the storm's own."""
    workers: int
    """How many processes handle events."""
    workflows: int
    """How many root workflows are started."""
    timers: int
    """How many timers each of them waits for; with 0 they shop."""
    within: timedelta
    """How far ahead those timers are set at most."""
    portions: int
    """In how many portions they are started, one after each kill. So there are at least that many."""
    seed: int
    """The seed of all random choices."""
    ttl: timedelta
    """How long a lease lasts when its holder is gone."""
    kill_every: timedelta
    """The pause between two kills."""
    think: timedelta
    """The longest pause that the workflows and services make within a step."""
    timeout: timedelta
    """When to give up: what is not complete by then counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """The settings of one worker."""

    number: int
    """Its number; the worker that replaces a killed one has a new number."""
    address: str
    """The unix socket of the queue."""
    ledger: str
    """The file where services book."""
    settings: Settings
    """The settings of the storm."""
