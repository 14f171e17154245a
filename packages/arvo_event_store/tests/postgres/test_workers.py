"""Reactions run on PostgreSQL as on every store."""

from arvo_event_store.testing import WorkerSuite


class TestWorkers(WorkerSuite):
    pass
