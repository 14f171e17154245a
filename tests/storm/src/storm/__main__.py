"""`python -m storm`."""

import argparse
import asyncio
import os
import sys
from datetime import timedelta

from ._memory_url import check_scheme
from ._report import Report
from ._settings import Settings
from ._storm import Storm
from ._transport_storm import TransportStorm


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


def _memory(url: str) -> str:
    try:
        check_scheme(url)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m storm",
        description="Runs workflows in several processes over one machine memory while random "
        "processes are killed, or stopped for longer than a lease lasts. Exits with 1 when a "
        "workflow is lost, completes twice, or anything is booked wrongly.",
    )
    parser.add_argument(
        "--memory",
        type=_memory,
        required=True,
        metavar="URL",
        help="sqlite:///state.db, redis://localhost, postgresql://localhost/db or file:///folder; "
        "an empty one",
    )
    parser.add_argument(
        "--transport",
        metavar="URL",
        help="carry the events over this transport, such as redis://localhost, and not through a "
        "queue of the storm's own; nothing may be declared in its namespace",
    )
    parser.add_argument("--workers", type=_count, default=4, metavar="N", help="default: 4")
    parser.add_argument("--workflows", type=_count, default=500, metavar="N", help="default: 500")
    parser.add_argument(
        "--timers",
        type=_count,
        default=0,
        metavar="N",
        help="let each workflow wait for N timers, of which about half are cancelled; "
        "default: they shop",
    )
    parser.add_argument(
        "--within",
        type=_seconds,
        default="20",
        metavar="S",
        help="how far ahead timers are set at most; default: 20",
    )
    parser.add_argument(
        "--portions",
        type=_count,
        default=1,
        metavar="N",
        help="start the workflows in N portions, one after each kill, so that the storm lasts; "
        "default: 1",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="default: a random one, printed")
    parser.add_argument(
        "--ttl", type=_seconds, default="1", metavar="S", help="of leases; default: 1"
    )
    parser.add_argument(
        "--kill-every", type=_seconds, default="0.3", metavar="S", help="default: 0.3"
    )
    parser.add_argument(
        "--think",
        type=_seconds,
        default="0.02",
        metavar="S",
        help="longest pause within a step; default: 0.02",
    )
    parser.add_argument("--timeout", type=_seconds, default="600", metavar="S", help="default: 600")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def main() -> int:
    """Run a storm with the options of the command line, and return the exit status."""
    arguments = vars(_parser().parse_args())
    as_json = arguments.pop("json")
    if arguments["seed"] is None:
        arguments["seed"] = int.from_bytes(os.urandom(4), "big")
    print(f"storm: seed {arguments['seed']}", file=sys.stderr)  # noqa: T201
    report = asyncio.run(_run(Settings(**arguments)))
    print(report.to_json() if as_json else report)  # noqa: T201
    return 0 if report.ok else 1


async def _run(settings: Settings) -> Report:
    if settings.transport is not None:
        return await TransportStorm(settings).run()
    return await Storm(settings).run()


if __name__ == "__main__":
    sys.exit(main())
