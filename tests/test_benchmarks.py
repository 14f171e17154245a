"""Every benchmark does the work it claims to measure; speed is not asserted."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.alone  # every benchmark runs once, with its servers

ROOT = Path(__file__).parent.parent
FIXED_NAMES = {
    "event.create",
    "event.create.generated",
    "event.to_json",
    "event.from_json",
    "event.large.make",
    "event.large.make.model",
    "event.large.from_json",
    "factory.accepts.subject_given",
    "factory.accepts.subject_generated",
    "subject.new",
    "subject.parse",
    "handler.execute",
    "handler.large",
    "resumable.step",
    "resumable.flow2",
    "orchestrator.step",
    "orchestrator.flow3",
    "statechart.flat",
    "statechart.parallel",
    "statechart.guard_assign",
    "statechart.resume.flat",
    "statechart.resume.parallel",
    "statechart.cold.mix",
    "memory.concurrent.cycle",
    "broker.resolve.handler",
    "broker.resolve.orchestrator",
    "broker.noop.10k",
    "broker.handler.2k",
    "broker.orchestrations.200",
    "broker.contended",
    "memory.sqlite.c1",
    "memory.sqlite.c50",
    "limit.sqlite.c1",
    "limit.sqlite.c50",
    "naive.sqlite.c1",
    "naive.sqlite.c50",
}


def run_benchmarks(
    *arguments: str, root: Path = ROOT, module: str = "benchmarks"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def printed_and_written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("benchmarks") / "results.json"
    run = run_benchmarks("--seconds", "0.01", "--json", str(file))
    assert run.returncode == 0, run.stderr
    return run.stdout, json.loads(file.read_text("utf-8"))


def test_names_that_other_implementations_use_exist(
    printed_and_written: tuple[str, dict[str, Any]],
) -> None:
    assert set(printed_and_written[1]["results"]) >= FIXED_NAMES


def test_results_have_the_documented_shape(
    printed_and_written: tuple[str, dict[str, Any]],
) -> None:
    for result in printed_and_written[1]["results"].values():
        assert result.keys() == {"ops_per_s", "rounds", "p50_ms", "p95_ms"}
        assert len(result["rounds"]) >= 5
        assert min(result["rounds"]) > 0
        assert result["ops_per_s"] == statistics.median(result["rounds"])


def test_results_name_the_machine(printed_and_written: tuple[str, dict[str, Any]]) -> None:
    machine = printed_and_written[1]["machine"]
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["cores_awake"] in (True, False)
    assert machine["platform"]
    assert machine["python"].endswith(sys.version.split()[0])
    assert machine["gc"]["enabled"] is True
    assert machine["packages"].keys() >= {"arvo-core", "arvo-event-handler", "pydantic"}


def test_table_has_a_line_for_each(printed_and_written: tuple[str, dict[str, Any]]) -> None:
    printed, written = printed_and_written
    heading, *lines, idling = printed.splitlines()
    assert " ".join(heading.split()) == "name ops/s median best spread p50 ms p95 ms"
    ran = [line for line in lines if ": not run, " not in line]  # without their peers
    assert [line.split()[0] for line in ran] == list(written["results"])
    assert idling.startswith("Idle cores ")


def test_only_with_a_part_of_a_name_runs_the_benchmarks_that_have_it() -> None:
    run = run_benchmarks("--seconds", "0.001", "--only", "resume.")
    assert run.returncode == 0, run.stderr
    names = [line.split()[0] for line in run.stdout.splitlines()[1:-1]]
    assert names == ["statechart.resume.flat", "statechart.resume.parallel"]


def test_only_with_a_prefix_runs_the_benchmarks_that_begin_with_it() -> None:
    run = run_benchmarks("--seconds", "0.001", "--only", "subject.")
    assert run.returncode == 0, run.stderr
    assert [line.split()[0] for line in run.stdout.splitlines()[1:-1]] == [
        "subject.new",
        "subject.parse",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "evnt"], "no benchmark has a part that begins with 'evnt'; there are\n  "),
        (["--seconds", "0"], "'0' is not a number of seconds above zero"),
        (["--seconds", "nan"], "'nan' is not a number of seconds above zero"),
        (["--json", "no/such/folder/x.json"], "is not a file in an existing folder"),
    ],
)
def test_wrong_arguments_are_reported(arguments: list[str], message: str) -> None:
    run = run_benchmarks(*arguments)
    assert run.returncode == 2
    assert message in run.stderr


def test_help_lists_every_benchmark_with_its_claim() -> None:
    run = run_benchmarks("--help")
    assert run.returncode == 0
    for name in FIXED_NAMES:
        assert f"\n  {name}\n      " in run.stdout


SUITE = '''
"""A suite of a test."""

import struct
from collections.abc import AsyncIterator

from benchmarks.workload import UnavailableError, Workload, benchmark

@benchmark("made.wrong")
async def wrong() -> AsyncIterator[Workload[int, int]]:
    """Adding one gives what it should."""
    yield Workload(inputs=range, operation=lambda item: item, check=lambda result: result == 1)


@benchmark("made.concurrent")
async def concurrent() -> AsyncIterator[Workload[int, int]]:
    """Ten tasks count twice as much as one."""

    async def operation(item: int) -> int:
        return item

    yield Workload(
        inputs=range,
        operation=operation,
        check=lambda result: result == 0,
        concurrency=10,
        units=2,
        latencies=True,
    )
    print("cleaned up")


@benchmark("made.idle")
async def idle() -> AsyncIterator[Workload[int, int]]:
    """Linux allows idle cores no time to wake up."""

    def longest_wake_up_us(_: int) -> int:
        with open("/dev/cpu_dma_latency", "rb") as file:
            return int(struct.unpack("=i", file.read(4))[0])

    yield Workload(inputs=range, operation=longest_wake_up_us, check=lambda result: result == 0)


@benchmark("made.without_server")
async def without_server() -> AsyncIterator[Workload[int, int]]:
    """A server answers."""
    raise UnavailableError("no server answers; start one")
    yield
'''


class TestANewSuite:
    """Adding a suite takes one file and nothing else."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        source = ROOT / "benchmarks"
        for path in [*source.glob("*.py"), source / "suite" / "__init__.py"]:
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        (tmp_path / "benchmarks" / "suite" / "made.py").write_text(SUITE, "utf-8")
        return tmp_path

    def test_that_does_not_do_what_it_claims_fails(self, root: Path) -> None:
        run = run_benchmarks("--seconds", "0.001", "--only", "made.wrong", root=root)
        assert run.returncode == 1
        assert run.stderr == "made.wrong does not do what it claims: it gave 0\n"

    def test_may_share_its_work_among_tasks_and_report_latencies(self, root: Path) -> None:
        run = run_benchmarks(
            "--seconds", "0.001", "--only", "made.concurrent", "--json", "result.json", root=root
        )
        assert run.returncode == 0, run.stderr
        assert "cleaned up" in run.stdout
        written = json.loads((root / "result.json").read_text("utf-8"))
        result = written["results"]["made.concurrent"]
        assert 0 < result["p50_ms"] <= result["p95_ms"]

    @pytest.mark.skipif(
        not os.access("/dev/cpu_dma_latency", os.W_OK), reason="only Linux, and root, can do it"
    )
    def test_finds_idle_cores_awake_unless_they_may_sleep(self, root: Path) -> None:
        arguments = ["--seconds", "0.001", "--only", "made.idle"]
        run = run_benchmarks(*arguments, root=root)
        assert run.returncode == 0, run.stderr
        assert run.stdout.endswith("Idle cores were kept awake.\n")
        run = run_benchmarks(*arguments, "--let-cores-sleep", root=root)
        assert run.returncode == 1
        assert run.stderr.startswith("made.idle does not do what it claims: it gave ")

    def test_may_report_that_it_cannot_run_here(self, root: Path) -> None:
        run = run_benchmarks("--seconds", "0.001", "--only", "made.without_server", root=root)
        assert run.returncode == 0, run.stderr
        assert "made.without_server: not run, no server answers; start one" in run.stdout


class TestLoad:
    def test_every_round_and_the_end_are_printed(self) -> None:
        run = run_benchmarks("--workflows", "60", "--rounds", "3", module="benchmarks.load")
        assert run.returncode == 0, run.stderr
        lines = run.stdout.splitlines()
        assert [line.split()[:2] for line in lines[:3]] == [["round", str(n)] for n in (1, 2, 3)]
        assert all("p99" in line and "MB" in line for line in lines[:3])
        assert lines[3].startswith("60 workflows in ")
        assert lines[4].startswith("memory from round 2 on: ")

    def test_memory_that_grows_is_a_failure(self) -> None:
        # No workflow is forgotten, so memory grows in the second half of the rounds.
        run = run_benchmarks(
            *("--workflows", "16000", "--rounds", "8", "--remember", "3600"),
            module="benchmarks.load",
        )
        assert run.returncode == 1, run.stdout
        assert "memory leaks" in run.stderr
