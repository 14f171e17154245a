"""`arvo store retention`: cuts off what need not be kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from arvo_cli._errors import INTERRUPTED, CommandError, one_line
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import print_json, print_table
from arvo_cli._terminal._log import shown_logs
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import Archive, InvalidEventError, RetentionPolicy, RetentionWorker, StreamCut

from ._rows import CUT_COLUMNS, cut_json, cut_row
from ._url import looked_into_store, store_for


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionJob:
    """The options of `arvo store retention`."""

    store: str
    """The store's URL."""
    prefix: str
    """How the names of the streams begin."""
    max_age: timedelta | None
    """How old an event may be; None is no bound."""
    max_count: int | None
    """How many events of each stream are kept; None is no bound."""
    snapshots: str | None
    """The kind of the snapshots that must cover what is cut off; None if none need to."""
    no_snapshots: bool
    """Whether the streams are not an aggregate's, so that no snapshot need cover what is cut off."""
    archive: str | None
    """The folder of the archive to write first; None if events are just deleted."""
    dry_run: bool
    """Whether only to show what would be cut off."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Cut streams off, and return the exit status.

        Raises:
            CommandError: The store cannot be used, the bounds are wrong, or the user does not want it.
        """
        policy = self._policy()
        with shown_logs("error", say=say):  # a stream that fails is shown in its row
            return self._run(policy)

    def _run(self, policy: RetentionPolicy) -> int:
        planned = asyncio.run(self._planned(policy))
        events = sum(max(0, each.wanted - each.first_version) for each in planned)
        what = f"{counted(events, 'event')} of {counted(len(planned), 'stream')}"
        if self.dry_run or not events:
            self._show(planned)
            say(f"would cut off {what}" if events else "nothing to cut off")
            return 1 if any(each.error for each in planned) else 0
        first = (
            f" after writing them to {self.archive}" if self.archive else "; they are not archived"
        )
        confirm(f"Cut off {what}{first}?", yes=self.yes)
        try:
            cuts = asyncio.run(self._cut(policy))
        except KeyboardInterrupt:
            say("interrupted; run it again to go on")
            return INTERRUPTED
        self._show(cuts)
        gone = sum(each.kept - each.first_version for each in cuts)
        held = sum(each.kept < each.wanted and each.error is None for each in cuts)
        say(f"{counted(gone, 'event')} cut off")
        if held:
            say(f"{counted(held, 'stream')} held back: a reaction still has to read what is next")
        return 1 if any(each.error for each in cuts) else 0

    def _policy(self) -> RetentionPolicy:
        if self.max_age is None and self.max_count is None:
            raise CommandError("what is kept? Give --max-age or --max-count, or both")
        if self.max_age == timedelta(0):
            raise CommandError("--max-age must be longer than zero")
        if (self.snapshots is None) != self.no_snapshots:
            raise CommandError(
                "give --snapshots CATEGORY if these are streams of an aggregate, whose state is "
                "loaded from a snapshot then, or else --no-snapshots"
            )
        try:
            return RetentionPolicy(
                self.prefix,
                max_age=self.max_age,
                max_count=self.max_count,
                archive=None if self.archive is None else Archive(Path(self.archive).absolute()),
                snapshot_kind=self.snapshots,
            )
        except InvalidEventError as error:
            raise CommandError(one_line(error)) from error

    async def _planned(self, policy: RetentionPolicy) -> Sequence[StreamCut]:
        async with looked_into_store(self.store) as store:
            return await RetentionWorker(store, policies=[policy]).run_once(dry_run=True)

    async def _cut(self, policy: RetentionPolicy) -> Sequence[StreamCut]:
        async with store_for("cut off", self.store) as store:
            return await RetentionWorker(store, policies=[policy]).run_once()

    def _show(self, cuts: Sequence[StreamCut]) -> None:
        if self.json:
            print_json(map(cut_json, cuts))
        elif cuts:
            print_table(CUT_COLUMNS, map(cut_row, cuts))
