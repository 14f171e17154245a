"""Workers of reactions run on PostgreSQL as on any store."""

import pytest

from arvo_event_store.testing import WorkerSuite


@pytest.mark.scaled
class TestWorkers(WorkerSuite):
    pass
