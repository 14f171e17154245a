"""Which workload a storm has."""

from ._settings import Settings
from ._shopping import SHOPPING
from ._waiting import Patience
from ._workload import Workload


def workload_of(settings: Settings) -> Workload:
    """Return the workload of a storm with these settings."""
    if settings.timers:
        return Patience(timers=settings.timers, within=settings.within)
    return SHOPPING
