"""Every program in the documentation runs and prints what the page says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples
from real_servers.fixtures import missing

from real_servers import NatsServer, PostgresServer, RedisServer, ServerNotFoundError

ROOT = Path(__file__).parent.parent
READMES = sorted(ROOT.glob("packages/*/README.md"))
EXAMPLES = list(find_examples(ROOT / "README.md", *READMES, *sorted(ROOT.glob("docs/*.md"))))


@pytest.fixture(scope="module")
def postgres_dsn() -> Iterator[str]:
    try:
        with PostgresServer.start() as server:
            yield server.dsn
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    try:
        with RedisServer.start() as server:
            yield server.url
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture(scope="module")
def nats_url() -> Iterator[str]:
    try:
        with NatsServer.start() as server:
            yield server.url
    except ServerNotFoundError as error:
        missing(error)


@pytest.fixture
def servers(
    example: CodeExample, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start the servers whose addresses a program reads from its environment."""
    for variable, fixture in (
        ("ARVO_NATS_URL", "nats_url"),
        ("ARVO_POSTGRES_DSN", "postgres_dsn"),
        ("REDIS_URL", "redis_url"),
    ):
        if variable in example.source:
            monkeypatch.setenv(variable, request.getfixturevalue(fixture))


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_program_prints_what_the_text_says(example: CodeExample, eval_example: EvalExample) -> None:
    eval_example.set_config(line_length=100)
    if eval_example.update_examples:
        eval_example.run_print_update(example)
    else:
        eval_example.run_print_check(example)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_package_shows_a_program(readme: Path) -> None:
    assert readme in {example.path for example in EXAMPLES}
