import gc
import json
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import tally

from arvo_cli._backend._concurrency import MEASURED_CONCURRENCY, default_concurrency
from arvo_core import ArvoEvent, ArvoOrchestrationSubject, ArvoOrchestratorEventFactory

Jsonl = Callable[[Iterable[object]], Path]


def init(word: str, **options: Any) -> ArvoEvent:
    factory = ArvoOrchestratorEventFactory(tally.tally.version(tally.TALLY_V1))
    return factory.init(source="com.test.main", data=tally.Word(word=word), **options)


def lines_of(*events: ArvoEvent) -> list[str]:
    return [event.to_json() for event in events]


class TestPlainPayloads:
    def test_each_line_gets_its_final_event(self, greet: Any) -> None:
        done = greet("ada", "ben")
        assert sorted(item["text"] for item in done.data) == ["hello ada", "hello ben"]
        assert done.status == 0
        assert "2 results + 0 rejected + 0 failed = 2 lines read" in done.err

    def test_the_same_input_gives_the_same_events(self, greet: Any) -> None:
        first, second = greet("ada", "ada", "ben"), greet("ada", "ada", "ben")
        ids = {answer.parentid for answer in first.answers}
        assert len(ids) == 3  # equal lines are two requests
        assert {answer.parentid for answer in second.answers} == ids
        subjects = {answer.subject for answer in first.answers}
        assert {answer.subject for answer in second.answers} == subjects

    def test_a_payload_starts_a_workflow(self, arvo: Any, targets: Path, jsonl: Jsonl) -> None:
        path = jsonl([{"word": "tea"}])
        done = arvo("run", targets / "tally", "--events", path, "--contract", "#/test/tally/1.0.0")
        assert done.data == [{"letters": 3}]
        content = ArvoOrchestrationSubject.parse(done.answers[0].subject)
        assert content.orchestrator.name == "arvo.orc.tally"

    def test_a_payload_may_name_its_parent_workflow(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        path = jsonl([{"word": "tea", "parentSubject$$": "nobody"}])
        done = arvo("run", targets / "tally", "--events", path, "--contract", "#/test/tally/1.0.0")
        assert "parentSubject$$ is not an orchestration subject" in done.err

    def test_a_service_failure_is_a_final_event(self, greet: Any) -> None:
        done = greet("broken")
        assert [answer.type for answer in done.answers] == ["sys.com.greet.name.error"]
        assert done.status == 0

    def test_an_unknown_contract_is_reported_with_the_known_ones(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        done = arvo("run", targets / "tally", "--events", jsonl([]), "--contract", "#/no/1.0.0")
        assert done.status == 2
        assert done.err == (
            "arvo: no handler has a contract '#/no/1.0.0'; "
            "choose one of: #/test/count/1.0.0, #/test/tally/1.0.0\n"
        )

    @pytest.mark.parametrize("name", ["#/test/tally", "#/test/tally/"])
    def test_a_contract_without_version_is_reported_with_the_versions(
        self, arvo: Any, targets: Path, jsonl: Jsonl, name: str
    ) -> None:
        done = arvo("run", targets / "tally", "--events", jsonl([]), "--contract", name)
        assert done.status == 2
        assert done.err == (
            f"arvo: --contract {name} lacks the version; write #/test/tally/1.0.0\n"
        )

    def test_without_the_option_the_summary_lists_the_contracts_once(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        path = jsonl([{"word": "tea"}, {"word": "milk"}])
        done = arvo("run", targets / "tally", "--events", path)
        assert done.status == 3
        assert done.err.count("has no specversion and no type; plain payloads need") == 2
        assert done.err.endswith(
            "for plain payloads give --contract '#/test/count/1.0.0' or '#/test/tally/1.0.0'\n"
        )

    def test_the_hint_is_not_shown_for_an_input_with_other_lines(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        for other in (init("tea").to_json(), "nonsense", {"type": "arvo.orc.tally"}):
            path = jsonl([{"word": "tea"}, other])
            done = arvo("run", targets / "tally", "--events", path)
            assert (
                "line 1 rejected: not a CloudEvent: it has no specversion and no type" in done.err
            )
            assert "for plain payloads give" not in done.err


class TestCloudEvents:
    def test_workflows_run_to_their_end(self, arvo: Any, targets: Path, jsonl: Jsonl) -> None:
        path = jsonl(lines_of(init("tea"), init("coffee")))
        done = arvo("run", targets / "tally", "--events", path)
        assert sorted(item["letters"] for item in done.data) == [3, 6]

    def test_module_and_factory(self, arvo: Any, jsonl: Jsonl) -> None:
        done = arvo("run", "tally:create_handlers", "--events", jsonl(lines_of(init("tea"))))
        assert done.data == [{"letters": 3}]

    def test_an_event_for_a_domain_is_answered_through_the_listener(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        path = jsonl(lines_of(init("gooseberries")))
        assert arvo("run", targets / "tally", "--events", path).data == [{"letters": 12}]

    def test_a_failed_workflow_has_a_final_event(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        done = arvo("run", targets / "tally", "--events", jsonl(lines_of(init("bad"))))
        assert [answer.type for answer in done.answers] == ["sys.arvo.orc.tally.error"]

    @pytest.mark.parametrize("concurrency", [1, 8])
    def test_an_event_that_comes_twice_is_answered_twice(
        self, arvo: Any, targets: Path, jsonl: Jsonl, concurrency: int
    ) -> None:
        event = init("gooseberries")
        path = jsonl(lines_of(event, event, init("tea"), event))
        done = arvo("run", targets / "tally", "--events", path, "--concurrency", concurrency)
        repeated = [answer for answer in done.answers if answer.parentid == event.id]
        assert len(repeated) == 3
        assert len({answer.id for answer in repeated}) == 1
        assert done.status == 0
        assert "2 of the results answer an event seen on an earlier line" in done.err

    def test_the_answer_goes_where_the_event_redirects_it(
        self, arvo: Any, targets: Path, jsonl: Jsonl
    ) -> None:
        path = jsonl(lines_of(init("tea", redirectto="com.test.archive")))
        done = arvo("run", targets / "tally", "--events", path)
        assert [answer.to for answer in done.answers] == ["com.test.archive"]


COUNTER = """
import asyncio
from greeter import ArvoEventHandler, Emit, Greeted, greet

running, most = 0, 0

async def count_v1(call):
    global running, most
    running += 1
    most = max(most, running)
    for _ in range(100):
        await asyncio.sleep(0)
    running -= 1
    return Emit("evt.greet.name.success", Greeted(text="hey"))

def create_handlers(memory):
    return [ArvoEventHandler(contract=greet, handler={"1.0.0": count_v1})]
"""


class TestConcurrency:
    @pytest.fixture
    def most(
        self, arvo: Any, jsonl: Jsonl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., int]:
        """Run 200 lines and return the highest number that ran at the same time."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "counter.py").write_text(COUNTER)
        monkeypatch.setattr(sys, "path", list(sys.path))

        def run(*options: object) -> int:
            monkeypatch.delitem(sys.modules, "counter", raising=False)
            done = arvo(
                "run", "counter:create_handlers", "--contract", "#/test/greet/1.0.0",
                "--events", jsonl({"name": str(count)} for count in range(200)), *options,
            )  # fmt: skip
            assert done.status == 0
            most: int = sys.modules["counter"].most
            return most

        return run

    def test_default_is_the_one_measured_for_the_memory(self, most: Callable[..., int]) -> None:
        assert most() == 64
        pytest.importorskip("arvo_memory_sqlite", reason="arvo-cli does not depend on it")
        assert most("--memory", "sqlite:///state.db") == 32

    def test_option_sets_it(self, most: Callable[..., int]) -> None:
        assert most("--concurrency", 5) == 5

    @pytest.mark.parametrize(("url", "concurrency"), [("redis://host", 32), ("mongodb://host", 16)])
    def test_default_of_other_memories(self, url: str, concurrency: int) -> None:
        assert default_concurrency(url) == concurrency

    def test_help_lists_the_defaults(self, arvo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "1000")
        text = arvo("run", "--help").out
        for scheme, concurrency in MEASURED_CONCURRENCY.items():
            [shown] = re.findall(rf"(\d+) with (?:[a-z]+:, )*{scheme}:", text)
            assert int(shown) == concurrency


class TestNoAnswer:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("silent", "ended without a final event"),
            ("outside", "the event has the domain 'some.where', but the target's module does not"),
            ("liar", "ContractViolation at com.greet.name"),
        ],
    )
    def test_a_line_without_final_event_has_failed(
        self, greet: Any, name: str, reason: str
    ) -> None:
        done = greet(name, "ada")
        assert done.status == 3
        assert "line 1 failed: " in done.err
        assert reason in done.err
        assert done.data == [{"text": "hello ada"}]
        assert "1 result + 0 rejected + 1 failed = 2 lines read" in done.err

    @pytest.mark.parametrize(
        ("word", "reason"),
        [("undecidable", "ended without a final event"), ("unanswerable", "the line is dead")],
    )
    def test_a_domain_that_does_not_answer_fails_the_line(
        self, arvo: Any, targets: Path, jsonl: Jsonl, word: str, reason: str
    ) -> None:
        done = arvo("run", targets / "tally", "--events", jsonl(lines_of(init(word))))
        assert done.status == 3
        assert reason in done.err

    def test_a_failure_beside_the_answer_is_reported(self, greet: Any) -> None:
        done = greet("chatty")
        assert done.data == [{"text": "hello chatty"}]
        assert done.status == 3
        assert "line 1 has its result, but: UnroutableError" in done.err
        assert "com.no.body" in done.err


class TestFiles:
    def test_out_holds_the_results_and_standard_output_the_summary(
        self, greet: Any, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.jsonl"
        out.write_text("from an earlier run\n")
        done = greet("ada", options=["--out", out])
        assert json.loads(out.read_text())["data"] == {"text": "hello ada"}
        assert "1 result + 0 rejected + 0 failed = 1 line read" in done.out
        assert "evt.greet.name.success" in done.out
        assert done.err == ""

    def test_rejects_hold_line_reason_and_text(self, greet: Any, tmp_path: Path) -> None:
        rejects = tmp_path / "rejects.jsonl"
        rejects.write_text("from an earlier run\n")
        done = greet("ada", {"nom": "ada"}, "silent", options=["--rejects", rejects])
        assert [json.loads(line) for line in rejects.read_text().splitlines()] == [
            {
                "line": 2,
                "outcome": "rejected",
                "reason": "com.greet.name of #/test/greet/1.0.0: "
                "data does not match Greet: name: Field required",
                "text": '{"nom": "ada"}',
            },
            {
                "line": 3,
                "outcome": "failed",
                "reason": "ended without a final event; it may be waiting for something",
                "text": '{"name": "silent"}',
            },
        ]
        assert f"are in {rejects}" in done.err
        assert "line 2" not in done.err

    @pytest.mark.parametrize("option", ["--out", "--rejects"])
    def test_an_output_must_not_be_the_input(self, greet: Any, tmp_path: Path, option: str) -> None:
        done = greet("ada", options=[option, tmp_path / "events.jsonl"])
        assert done.status == 2
        assert "are the same file" in done.err
        assert (tmp_path / "events.jsonl").read_text() == '{"name": "ada"}\n'

    def test_outputs_must_differ(self, greet: Any, tmp_path: Path) -> None:
        both = tmp_path / "both"
        assert greet("ada", options=["--out", both, "--rejects", both]).status == 2

    def test_an_output_that_cannot_be_opened_is_reported(self, greet: Any, tmp_path: Path) -> None:
        done = greet("ada", options=["--out", tmp_path / "no" / "out.jsonl"])
        assert done.status == 2
        assert done.err.startswith("arvo: cannot write")
        assert done.err.count("\n") == 1

    def test_a_full_disk_ends_the_run(self, greet: Any) -> None:
        done = greet("ada", "ben", "cara", options=["--out", "/dev/full", "--concurrency", 1])
        assert done.status == 1
        assert "arvo: cannot write /dev/full: No space left on device" in done.err
        assert "0 results + 0 rejected + 1 failed + 2 not started = 3 lines read" in done.out

    def test_an_answer_that_cannot_be_written_is_not_a_result(self, greet: Any) -> None:
        done = greet("ada", "ben", "cara", "dan", options=["--out", "/dev/full"])
        assert done.status == 1
        assert "0 results + 0 rejected + 4 failed = 4 lines read" in done.out
        assert done.err.count("failed: ") == 4

    def test_an_answer_after_the_run_was_broken_off_is_not_a_result(self, greet: Any) -> None:
        # One of these numbers of loop steps ends just before the line is cancelled.
        late = [{"name": "late", "times": times} for times in range(12)]
        done = greet("ada", *late, options=["--out", "/dev/full"])
        assert "has its result" not in done.err
        assert "0 results + 0 rejected + 13 failed = 13 lines read" in done.out

    @pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
    def test_rejects_that_cannot_be_written_are_counted(self, greet: Any, concurrency: int) -> None:
        options = ["--rejects", "/dev/full", "--concurrency", concurrency]
        done = greet(*["silent"] * 4, "nonsense", "ada", options=options)
        assert done.status == 1
        assert "arvo: cannot write /dev/full: No space left on device" in done.err
        [balance] = [line for line in done.err.splitlines() if line.endswith(" = 6 lines read")]
        assert len(done.answers) == int(balance.split()[0])

    def test_a_closed_standard_output_is_reported(
        self, greet: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        done = greet("ada")
        assert done.status == 2
        assert done.err == "arvo: cannot write standard output: it is closed\n"

    def test_a_misspelt_target_leaves_earlier_results_alone(
        self, arvo: Any, jsonl: Jsonl, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.jsonl"
        out.write_text("precious\n")
        assert arvo("run", "no:where", "--events", jsonl([]), "--out", out).status == 2
        assert out.read_text() == "precious\n"


def test_the_garbage_collector_is_left_as_it_was(greet: Any) -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    assert greet("ada").status == 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() <= frozen


def test_summary_shows_latencies(greet: Any) -> None:
    summary = greet("ada", "ben").err
    assert "latency p50 " in summary
    assert "events per second" in summary
    assert "latency" in greet("ada").err
    assert "latency" not in greet().err


def test_debugging_shows_the_traceback(arvo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARVO_DEBUG", "1")
    done = arvo("run", "no:where", "--events", "nothing.jsonl")
    assert "Traceback" in done.err
    assert done.status == 2


def test_help_lists_options_and_statuses(arvo: Any) -> None:
    assert "run" in arvo("--help").out
    text = arvo("run", "--help").out
    words = ("--events", "--contract", "--rejects", "--memory", "130", "Ctrl-C", "terminal")
    for word in (*words, "sqlite:///state.db"):
        assert word in text


def test_version(arvo: Any) -> None:
    done = arvo("--version")
    assert done.out == f"arvo {version('arvo-cli')}\n"
    assert done.status == 0


def test_usage_errors_have_status_2(arvo: Any, targets: Path) -> None:
    assert arvo("run").status == 2
    assert arvo("run", targets / "greeter", "--events", "-", "--concurrency", 0).status == 2
