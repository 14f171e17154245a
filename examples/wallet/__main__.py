"""The command: `python -m examples.wallet URL`; see the README."""

import argparse
import asyncio
import sys
import time
from datetime import timedelta

from arvo_event_store import EventStoreError

from .audit import Audit
from .bank import MEMORY
from .customers import Plan
from .day import Day, Progress, live_through
from .worker import WorkerSettings


def main(arguments: list[str]) -> int:
    """Run a day of the bank, and return 0 if every balance is right, else 1."""
    parser = argparse.ArgumentParser(prog="python -m examples.wallet", description=__doc__)
    parser.add_argument(
        "url", help="memory:, sqlite:///wallet.db or postgresql://user@host/database"
    )
    parser.add_argument(
        "--workers", type=int, default=3, metavar="N", help="processes; 3 by default"
    )
    parser.add_argument("--accounts", type=int, default=20, metavar="N", help="20 by default")
    parser.add_argument("--transfers", type=int, default=1_000, metavar="N", help="1000 by default")
    parser.add_argument(
        "--kill",
        type=float,
        metavar="SECONDS",
        help="kill a worker at random so often; not with memory:",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all random choices")
    given = parser.parse_args(arguments)
    if min(given.workers, given.transfers) < 1 or given.accounts < 2:
        parser.error("it takes a worker, a transfer and two accounts at least")
    if given.kill is not None and (given.kill <= 0 or given.url == MEMORY):
        parser.error("--kill takes seconds above 0, and a store that outlives a process")
    day = Day(
        plan=Plan.of(
            accounts=given.accounts,
            transfers=given.transfers,
            seed=given.seed,
            name=f"{time.time_ns():x}-",  # the file may have the transfers of earlier days
        ),
        settings=WorkerSettings(url=given.url),
        workers=given.workers,
        kill_every=None if given.kill is None else timedelta(seconds=given.kill),
        seed=given.seed,
    )
    try:
        found = asyncio.run(live_through(day, show=Progressing().show))
    except (ValueError, EventStoreError) as error:
        parser.error(str(error))
    return report(found)


class Progressing:
    """Says how far it is, about once for each tenth."""

    def __init__(self) -> None:
        self._said = -1

    def show(self, now: Progress) -> None:
        """Say it, if there is something new to say."""
        tenth = 10 * now.ended // now.of
        if tenth > self._said:
            self._said = tenth
            print(f"{now.ended:6} of {now.of} transfers ended, {now.kills} workers killed")


def report(found: Audit) -> int:
    """Print what the audit found, and return the exit status."""
    print("\naccount      available   put aside")
    for account, (available, reserved) in sorted(found.rows.items()):
        print(f"{account:10} {available / 100:11.2f} {reserved / 100:11.2f}")
    print(f"{'all':10} {found.total / 100:11.2f}, of {found.deposited / 100:.2f} deposited\n")
    for end, count in sorted(found.ends.items()):
        print(f"{count:6} transfers: {end}")
    for problem in found.problems[:20]:
        print(f"WRONG: {problem}")
    if found.problems:
        print(f"{len(found.problems)} things are wrong")
        return 1
    print(f"{found.events:6} events read: every balance is right, no transfer is lost or doubled")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
