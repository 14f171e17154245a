"""The command line: selects benchmarks, runs them, prints and stores the results."""

import argparse
import asyncio
import importlib
import json
import math
import pkgutil
import sys
from contextlib import nullcontext
from pathlib import Path

from . import suite
from .idle_cores import cores_kept_awake
from .measurement import ROUNDS, measure
from .report import as_json, as_table
from .workload import Benchmark, WrongResultError, registered


def main() -> int:
    """Run the command and return its exit status."""
    benchmarks = _all_benchmarks()
    parser = _parser(benchmarks)
    arguments = parser.parse_args()
    chosen = [item for item in benchmarks if f".{arguments.only}" in f".{item.name}"]
    if not chosen:
        known = "\n  ".join(item.name for item in benchmarks)
        parser.error(
            f"no benchmark has a part that begins with {arguments.only!r}; there are\n  {known}"
        )
    with nullcontext(False) if arguments.let_cores_sleep else cores_kept_awake() as awake:
        try:
            report = asyncio.run(measure(chosen, seconds=arguments.seconds))
        except WrongResultError as error:
            print(error, file=sys.stderr)
            return 1
    print(as_table(report, cores_awake=awake))
    if arguments.json is not None:
        content = json.dumps(
            as_json(report, seconds=arguments.seconds, cores_awake=awake), indent=2
        )
        arguments.json.write_text(f"{content}\n", "utf-8")
    return 0


def _all_benchmarks() -> list[Benchmark]:
    """Import every suite and return what they registered."""
    for module in pkgutil.iter_modules(suite.__path__, prefix=f"{suite.__name__}."):
        importlib.import_module(module.name)
    return registered()


def _parser(benchmarks: list[Benchmark]) -> argparse.ArgumentParser:
    claims = "\n".join(f"  {item.name}\n      {item.claim.splitlines()[0]}" for item in benchmarks)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(
            f"Measures what Arvo costs, in {ROUNDS} interleaved rounds after a warm-up. "
            "Compare only figures of one run: machines drift."
        ),
        epilog=f"benchmarks and their claims:\n{claims}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", type=_writable, metavar="FILE", help="also write results and machine facts here"
    )
    parser.add_argument(
        "--let-cores-sleep",
        action="store_true",
        help="do not keep idle cores awake, which is done as root on Linux: on an idle machine a "
        "task that waits for a server then also waits for cores to wake up",
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="PREFIX",
        help="run those whose name, or a part of it, begins with this, as in event. or redis",
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=0.5,
        metavar="S",
        help="about how long one round of one benchmark takes (default: %(default)s)",
    )
    return parser


def _writable(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in an existing folder")
    return path


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero")
    return number


if __name__ == "__main__":
    sys.exit(main())
