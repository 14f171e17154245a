"""`arvo run` on Redis, given only its URL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from real_servers.fixtures import (
    StartRedis,
    redis_flavour as redis_flavour,
    start_redis as start_redis,
)

from .test_order_fulfilment import EXAMPLE

PROGRAM = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    ("query", "carrier"),
    [
        ("", "one multiplexed connection carries the calls to 127.0.0.1:"),
        ("?transport=redis-py", "redis-py carries the calls to 127.0.0.1:"),
    ],
)
def test_the_transport_is_logged_at_debug_level(
    start_redis: StartRedis, tmp_path: Path, query: str, carrier: str
) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, "run", str(EXAMPLE), "--log-level", "debug"),
            *("--events", str(EXAMPLE / "orders.jsonl"), "--memory", start_redis().url + query),
        ],
        cwd=tmp_path,
        env={**os.environ, "ORDER_LEDGER": str(tmp_path / "ledger.db")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr  # some lines of the file are bad on purpose
    assert f"DEBUG arvo_redis: {carrier}" in ran.stderr
