"""Lines that cannot be run, and how lines are read."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import greeter
import pytest
import tally

from arvo_cli._errors import RejectedLineError
from arvo_cli._input._lines import Line
from arvo_cli._input._requests import decoder_for
from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorEventFactory,
    EventLimits,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import ArvoEventHandler, IArvoEventHandler

Jsonl = Callable[[Iterable[object]], Path]


def greeting(**changes: Any) -> dict[str, Any]:
    factory = ArvoEventFactory(greeter.greet.version(greeter.GREET_V1))
    return (
        factory.accepts(source="com.test.main", data=greeter.Greet(name="ada")).to_dict() | changes
    )


def tallying(**changes: Any) -> dict[str, Any]:
    factory = ArvoOrchestratorEventFactory(tally.tally.version(tally.TALLY_V1))
    return factory.init(source="com.test.main", data=tally.Word(word="tea")).to_dict() | changes


BAD_EVENTS = {
    "cut off": ('{"id": "1", "sou', "not JSON: unterminated string starting at column 13\n"),
    "prose": ("hello there", "not JSON: expecting value at column 1\n"),
    "two values": ("{} {}", "not JSON: extra data at column 4\n"),
    "too deep": ("[" * 100_000, "nested more than 128 levels deep; flatten the data\n"),
    "too many digits": (f'{{"id": {"7" * 5000}}}', "not JSON: Exceeds the limit"),
    "NaN": (
        json.dumps(greeting(data={"name": float("nan")})),
        "not JSON: NaN is not a JSON number",
    ),
    "list": ([], "not a CloudEvent: expected a JSON object, got list"),
    "attributes": ({"type": "com.greet.name"}, "invalid event (id=None, type='com.greet.name'): "),
    "time": (greeting(time="soon"), "time: must be an RFC 3339 time"),
    "handler": (greeting(to="com.no.body"), "no handler for 'com.no.body'; there are handlers for"),
    "contract": (
        greeting(dataschema="#/other/1.0.0"),
        "unknown contract '#/other/1.0.0'; com.greet.name is described by #/test/greet/1.0.0",
    ),
    "no contract": (tallying(dataschema=None), "unknown contract None"),
    "version": (greeting(dataschema="#/test/greet/7.0.0"), "has no version '7.0.0'"),
    "data": (greeting(data={"name": 7}), "data does not match Greet: name: Input should be a"),
    "workflow data": (tallying(data={"word": "tea"}), "parentSubject$$: is required"),
    "subject": (tallying(subject="tea/7"), "not an orchestration subject: 'tea/7'"),
    "answer's subject": (
        greeting(to="arvo.orc.tally", type="evt.word.ask.success", subject="tea/7"),
        "not an orchestration subject: 'tea/7'",
    ),
    "stranger's subject": (
        tallying(subject=greeting()["subject"]),
        "the subject belongs to 'com.greet.name', not to 'arvo.orc.tally'",
    ),
    "asks itself": (
        greeting(source="com.greet.name"),
        "the answer would go to 'com.greet.name', which is one of the handlers",
    ),
}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A target with the service and the workflow."""
    (tmp_path / "greeter_and_tally.py").write_text(
        "import greeter, tally\n"
        "def handlers(memory):\n"
        "    return [*greeter.create_handlers(memory), *tally.create_handlers(memory)]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "greeter_and_tally", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return "greeter_and_tally:handlers"


@pytest.mark.parametrize(("line", "reason"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_is_rejected_and_the_rest_goes_on(
    arvo: Any, both: str, jsonl: Jsonl, line: object, reason: str
) -> None:
    tally.calls.clear()
    done = arvo("run", both, "--events", jsonl([line, greeting()]))
    assert done.data == [{"text": "hello ada"}]
    assert done.status == 3
    assert done.err.startswith("line 1 rejected: ")
    assert reason in done.err
    assert "1 result + 1 rejected + 0 failed = 2 lines read" in done.err
    assert tally.calls == []


@pytest.mark.parametrize(
    "changes", [{"dataschema": None}, {"dataschema": "#/test/greet/0.0.0"}], ids=["none", "any"]
)
def test_a_service_uses_its_latest_version_when_none_is_named(
    arvo: Any, both: str, jsonl: Jsonl, changes: dict[str, Any]
) -> None:
    assert arvo("run", both, "--events", jsonl([greeting(**changes)])).status == 0


def test_a_workflow_uses_the_version_of_its_subject(arvo: Any, both: str, jsonl: Jsonl) -> None:
    event = tallying(dataschema="#/test/tally/0.0.0")
    assert arvo("run", both, "--events", jsonl([event])).data == [{"letters": 3}]


def test_an_answer_for_a_waiting_workflow_is_accepted_as_input(arvo: Any, jsonl: Jsonl) -> None:
    """A person decides hours later, when the run that began the workflow is over."""
    start = ArvoEvent.from_dict(tallying(data={"parentSubject$$": None, "word": "undecidable"}))
    answer = ArvoEventFactory(tally.ask.version(tally.ASK_V1)).emits(
        type="evt.word.ask.success",
        source="com.human.help",
        to="arvo.orc.tally",
        subject=start.subject,
        data=tally.Count(letters=11),
    )
    lines = [start.to_json(), answer.to_json()]
    target = "tally:create_handlers"
    done = arvo("run", target, "--events", jsonl(lines), "--concurrency", 1)
    assert done.data == [{"letters": 11}]
    assert "line 1 failed: ended without a final event" in done.err


BAD_PAYLOADS = {
    "not JSON": ("nope", "not JSON: expecting value at column 1\n"),
    "not an object": ("[1]", "a payload must be a JSON object, not list"),
    "wrong": ('{"name": 3}', "name: Input should be a valid string"),
    "NaN": ('{"name": "ada", "times": NaN}', "not JSON: NaN is not a JSON number"),
    # Greet ignores unknown fields; the line is checked before that.
    "NaN in an unknown field": ('{"name": "ada", "x": NaN}', "not JSON: NaN is not a JSON number"),
    "Infinity": ('{"name": "ada", "x": [Infinity]}', "not JSON: Infinity is not a JSON number"),
    "-Infinity": ('{"name": "ada", "x": -Infinity}', "not JSON: -Infinity is not a JSON number"),
    "too large a number": ('{"name": "ada", "x": 1e400}', "x: inf is not a JSON number"),
    "too large an integer": (f'{{"name": "ada", "x": 1{"0" * 400}}}', "x: the integer is beyond"),
    "half a letter": ('{"name": "ada", "x": "\\ud800"}', "x: the string holds a lone surrogate"),
    "half a letter in a name": ('{"name": "ada", "\\ud800": 1}', "a key holds a lone surrogate"),
    "too deep": ('{"x":' * 300 + "1" + "}" * 300, "nested more than"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_PAYLOADS.values(), ids=BAD_PAYLOADS)
def test_a_bad_payload_is_rejected(
    arvo: Any, targets: Path, jsonl: Jsonl, line: str, reason: str
) -> None:
    path = jsonl([line])
    done = arvo("run", targets / "greeter", "--events", path, "--contract", "#/test/greet/1.0.0")
    assert done.status == 3
    assert "line 1 rejected: " in done.err
    assert reason in done.err


@pytest.mark.parametrize("depth", [129, 200, 900, 2_000, 50_000])
@pytest.mark.parametrize("piece", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize(
    "options", [(), ("--contract", "#/test/greet/1.0.0")], ids=["event", "payload"]
)
def test_data_nested_too_deeply_are_reported_with_the_limit_and_a_remedy(
    arvo: Any,
    targets: Path,
    jsonl: Jsonl,
    options: tuple[str, ...],
    piece: tuple[str, str],
    depth: int,
) -> None:
    opener, closer = piece
    line = f'{{"name": "ada", "x": {opener * depth}0{closer * depth}}}'
    if not options:
        line = json.dumps(greeting(data={})).replace('"data": {}', f'"data": {line}')
    done = arvo("run", targets / "greeter", "--events", jsonl([line]), *options)
    assert done.status == 3
    assert done.out == ""
    shown = done.err.replace("\n", " ")
    assert "line 1 rejected: " in shown
    assert "nested more than 128 levels deep; flatten the data " in shown
    assert "EventLimits" not in shown


def test_data_nested_as_deeply_as_the_limit_allows_are_run(
    arvo: Any, targets: Path, jsonl: Jsonl
) -> None:
    line = f'{{"name": "ada", "x": {"[" * 128}{"]" * 128}}}'
    done = arvo(
        "run", targets / "greeter", "--events", jsonl([line]), "--contract", "#/test/greet/1.0.0"
    )
    assert done.data == [{"text": "hello ada"}]


class Loose(greeter.Greet):
    x: Any


@pytest.mark.parametrize("contract", [None, "#/test/loose/1.0.0"], ids=["event", "payload"])
def test_decoders_apply_the_depth_limit_they_are_given(contract: str | None) -> None:
    version = SimpleVersion("1.0.0", accepts=Loose, emits=greeter.Greeted)
    loose = SimpleArvoContract(uri="#/test/loose", type="greet.loose", versions=[version])
    handlers: list[IArvoEventHandler] = [
        ArvoEventHandler(contract=loose, handler={"1.0.0": greeter.greet_v1})
    ]
    factory = ArvoEventFactory(loose.version(version))
    event = factory.accepts(source="com.test.main", data={"name": "ada", "x": 0}).to_json()
    for limit in (3, 128, 200):
        decoder = decoder_for(handlers, contract, limits=EventLimits(max_depth=limit))
        for depth in (limit - 1, limit, 5_000):
            data = f'{{"name":"ada","x":{"[" * depth}0{"]" * depth}}}'
            text = data if contract else event.replace('{"name":"ada","times":1,"x":0}', data)
            line = Line(number=1, content=text.encode(), size=len(text))
            if depth < limit:
                assert decoder.decode(line).event.data["name"] == "ada"
                continue
            with pytest.raises(RejectedLineError, match=f"more than {limit} levels deep"):
                decoder.decode(line)


@pytest.mark.parametrize("line", [line for line, _ in BAD_PAYLOADS.values() if line[0] == "{"])
def test_bad_json_of_a_payload_is_refused_in_an_event_too(
    line: str, arvo: Any, both: str, jsonl: Jsonl
) -> None:
    """The data of an event are refused for the same reasons as a payload."""
    event = json.dumps(greeting(data={})).replace('"data": {}', f'"data": {line}')
    assert arvo("run", both, "--events", jsonl([event])).out == ""


def cloud_event(**changes: Any) -> dict[str, Any]:
    """A valid CloudEvent with the fewest attributes."""
    least = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.greet.name"}
    return {name: value for name, value in (least | changes).items() if value is not None}


WHOLE = greeting()
NOT_ARVO_EVENTS = {
    "least": (cloud_event(), "without subject, datacontenttype, time, data, which Arvo requires"),
    "no data": (greeting(data=None), "without data, which Arvo requires"),
    "binary": (
        {"data_base64": "aGV5"} | {name: WHOLE[name] for name in WHOLE if name != "data"},
        "without data, which Arvo requires",
    ),
    "null is left out": (greeting(subject=None), "without subject, which Arvo requires"),
    "type": (greeting(type="greet"), "type: must be three or more segments"),
    "data are text": (greeting(data="hey"), "data: expected a JSON object, got str"),
    "data are XML": (greeting(datacontenttype="text/xml"), "datacontenttype: must contain"),
    "to": (greeting(to=None), "to: is required with Arvo's datacontenttype"),
    "subject": (greeting(subject="a b"), "subject: must be a non-empty, percent-encoded URI"),
}
NOT_CLOUD_EVENTS = {
    "id": cloud_event(id=""),
    "id is a number": cloud_event(id=7),
    "no id": cloud_event(id=None),
    "source": cloud_event(source="a b"),
    "no source": cloud_event(source=None),
    "specversion": cloud_event(specversion="0.3"),
    "no type": cloud_event(type=None),
    "subject": cloud_event(subject=""),
    "time": cloud_event(time="2026-01-31"),
    "dataschema": cloud_event(dataschema=""),
    "a name of an extension": cloud_event(traceId="7"),
    "an extension": cloud_event(trace={"id": 7}),
    "a fraction as extension": cloud_event(trace=0.5),
    "a large integer as extension": cloud_event(trace=2**31),
    "data twice": cloud_event(data={}, data_base64=""),
    "binary data": cloud_event(data_base64=[1]),
}


@pytest.mark.parametrize(
    ("event", "reason"), NOT_ARVO_EVENTS.values(), ids=map(str, NOT_ARVO_EVENTS)
)
def test_a_valid_cloud_event_that_arvo_cannot_run_is_not_an_arvo_event(
    arvo: Any, both: str, jsonl: Jsonl, event: object, reason: str
) -> None:
    done = arvo("run", both, "--events", jsonl([event]))
    assert done.err.startswith("line 1 rejected: not an Arvo event: ")
    assert reason in done.err


@pytest.mark.parametrize("event", NOT_CLOUD_EVENTS.values(), ids=map(str, NOT_CLOUD_EVENTS))
def test_an_invalid_cloud_event_is_not_a_cloud_event(
    arvo: Any, both: str, jsonl: Jsonl, event: object
) -> None:
    done = arvo("run", both, "--events", jsonl([event]))
    assert done.err.startswith("line 1 rejected: not a CloudEvent: ")


@pytest.mark.parametrize(
    "time",
    ["2026-01-31t09:30:00z", "2016-12-31T23:59:60Z", "2016-12-31t18:59:60.5-05:00"],
)
def test_a_time_is_accepted_as_it_is_written(arvo: Any, both: str, jsonl: Jsonl, time: str) -> None:
    assert arvo("run", both, "--events", jsonl([greeting(time=time)])).data == [
        {"text": "hello ada"}
    ]


class TestBytes:
    @pytest.fixture
    def run(self, arvo: Any, targets: Path, tmp_path: Path) -> Callable[[bytes], Any]:
        def call(content: bytes) -> Any:
            (tmp_path / "events").write_bytes(content)
            return arvo(
                "run", targets / "greeter", "--events", tmp_path / "events",
                "--contract", "#/test/greet/1.0.0", "--concurrency", 1,
            )  # fmt: skip

        return call

    def test_blank_lines_count_only_in_line_numbers(self, run: Any) -> None:
        done = run(b'\n{"name": "ada"}\n   \n\n{"nom": "ben"}\n')
        assert "line 5 rejected" in done.err
        assert "1 result + 1 rejected + 0 failed = 2 lines read" in done.err
        assert "3 blank lines skipped" in done.err
        assert "1 blank line skipped" in run(b"\n{}\n").err

    def test_windows_line_ends_and_byte_order_mark_are_dropped(self, run: Any) -> None:
        done = run(b'\xef\xbb\xbf{"name": "ada"}\r\n{"name": "ben"}\r\n')
        assert [item["text"] for item in done.data] == ["hello ada", "hello ben"]

    def test_the_last_line_may_lack_a_line_break(self, run: Any) -> None:
        assert len(run(b'{"name": "ada"}\n{"name": "ben"}').data) == 2

    def test_an_empty_file_has_no_lines(self, run: Any) -> None:
        done = run(b"")
        assert done.status == 0
        assert "0 results + 0 rejected + 0 failed = 0 lines read" in done.err

    def test_a_line_that_is_not_utf_8_is_rejected(self, run: Any) -> None:
        done = run(b'{"name": "\xff"}\n{"name": "ada"}\n')
        assert "line 1 rejected: not UTF-8 at byte 11" in done.err
        assert len(done.data) == 1

    def test_other_separators_of_unicode_do_not_end_a_line(self, run: Any) -> None:
        assert run('{"name": "a\u2028b"}\n'.encode()).data == [{"text": "hello a\u2028b"}]

    def test_lines_longer_than_a_piece_are_read(self, run: Any) -> None:
        names = ["x" * size for size in (70_000, 200_000, 5)]
        done = run(b"".join(json.dumps({"name": name}).encode() + b"\n" for name in names))
        assert [len(item["text"]) - 6 for item in done.data] == [70_000, 200_000, 5]


class TestStandardInput:
    def test_is_read_to_its_end(
        self, arvo: Any, targets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, writing = os.pipe()
        with os.fdopen(reading) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            os.write(writing, b'{"name": "ada"}\n{"name": "ben"}\n')
            os.close(writing)
            done = arvo(
                "run", targets / "greeter", "--events", "-", "--contract", "#/test/greet/1.0.0"
            )
        assert len(done.data) == 2

    def test_each_line_is_answered_when_it_arrives(self, targets: Path) -> None:
        command: list[str | Path] = [
            sys.executable,
            "-c",
            "import arvo_cli; arvo_cli.main()",
            "run",
        ]
        arguments: list[str | Path] = [
            targets / "greeter",
            "--events",
            "-",
            "--contract",
            "#/test/greet/1.0.0",
        ]
        with subprocess.Popen(
            command + arguments,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            for name in ("ada", "ben"):
                process.stdin.write(json.dumps({"name": name}).encode() + b"\n")
                process.stdin.flush()
                assert name in ArvoEvent.from_json(process.stdout.readline()).data["text"]
            process.stdin.close()
            assert process.stdout.read() == b""

    def test_may_be_closed(self, targets: Path) -> None:
        arvo: list[str | Path] = [
            sys.executable,
            "-c",
            "import sys, arvo_cli; sys.exit(arvo_cli.main())",
            "run",
        ]
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *arvo, targets / "greeter", "--events", "-"],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr == b"arvo: cannot read standard input: it is closed\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.jsonl", "No such file or directory"), (".", "it is a folder")],
)
def test_input_that_cannot_be_opened_is_reported(
    arvo: Any, targets: Path, name: str, reason: str
) -> None:
    done = arvo("run", targets / "greeter", "--events", name)
    assert done.status == 2
    assert done.err == f"arvo: cannot read {name}: {reason}\n"


def test_input_that_cannot_be_read_is_reported(arvo: Any, targets: Path) -> None:
    done = arvo("run", targets / "greeter", "--events", "/proc/self/mem")
    assert done.status == 2
    assert "arvo: cannot read /proc/self/mem: Input/output error" in done.err


def test_only_a_piece_of_a_large_file_is_held(targets: Path, tmp_path: Path) -> None:
    """64 MiB of lines pass through a process that may grow by less than half of that."""
    line = json.dumps({"nom": "x" * 4000}).encode() + b"\n"
    path = tmp_path / "events"
    with path.open("wb") as file:
        for _ in range(16 * 1024):
            file.write(line)
    script = (
        "import resource, sys, arvo_cli\n"
        "arvo_cli.main(['run', '--help'])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "arvo_cli.main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", targets / "greeter", "--events", path,
         "--contract", "#/test/greet/1.0.0", "--rejects", os.devnull],
        capture_output=True, check=True,
    )  # fmt: skip
    assert b"16384 rejected" in done.stderr
    assert int(done.stdout.split()[-1]) < 32 * 1024  # KiB
