"""Every program in the documentation runs and prints what the text says it prints."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples
from real_servers.fixtures import missing

from real_servers import RedisServer, ServerNotFoundError

ROOT = Path(__file__).parent.parent
READMES = sorted(ROOT.glob("packages/*/README.md"))
EXAMPLES = list(find_examples(ROOT / "README.md", *READMES, *sorted(ROOT.glob("docs/*.md"))))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, example: CodeExample) -> Iterator[None]:
    """Starts what a program marked `requires="redis"` needs, where it looks for it."""
    with ExitStack() as stack:
        if example.prefix_settings().get("requires") == "redis":
            try:
                started = stack.enter_context(RedisServer.start())
            except ServerNotFoundError as error:
                missing(error)
            monkeypatch.setenv("REDIS_URL", started.url)
        yield


@pytest.mark.usefixtures("server")
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
