"""Workers of reactions run on PostgreSQL as on any store."""

from arvo_event_store.testing import WorkerSuite


class TestWorkers(WorkerSuite):
    pass
