"""Wrong URLs of transports, as the commands report them, over real engines."""

from collections.abc import Callable
from pathlib import Path

import pytest
from real_servers.fixtures import (
    StartNats,
    StartRedis,
    nats_flavour as nats_flavour,
    redis_cluster as redis_cluster,
    redis_flavour as redis_flavour,
    start_nats as start_nats,
    start_redis as start_redis,
)

from arvo_cli import main
from real_servers import RedisCluster

SCRIBE = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets/scribe"
COMMANDS = [
    ("topics", "list"),
    ("worker", SCRIBE, "--wait-for-transport", "1d"),  # which is for engines that are away
    ("send", SCRIBE, "--events", __file__),
]
Refused = Callable[[str], list[tuple[int, str]]]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Call commands with a URL; return their statuses and last lines."""

    def call(url: str) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for words in COMMANDS:
            status = main([*map(str, words), "--transport", url])
            message = capsys.readouterr().err
            assert "s3cret" not in message
            found.append((status, message.splitlines()[-1]))
        return found

    return call


class TestRedis:
    def test_a_bad_namespace(self, start_redis: StartRedis, refused: Refused) -> None:
        for status, message in refused(f"{start_redis().url}?namespace=a_b"):
            assert status == 2
            assert "cannot open the redis transport: namespace must be" in message

    def test_wrong_credentials(self, start_redis: StartRedis, refused: Refused) -> None:
        for status, message in refused(start_redis().url.replace("://", "://me:s3cret@")):
            assert status == 4
            assert "the redis transport: " in message
            assert "refused the login: " in message

    def test_wrong_credentials_of_the_memory(
        self, start_redis: StartRedis, capsys: pytest.CaptureFixture[str]
    ) -> None:
        url = start_redis().url
        wrong = url.replace("://", "://me:s3cret@")
        waits = ("--wait-for-transport", "1d")
        assert main(["worker", str(SCRIBE), "--transport", url, "--memory", wrong, *waits]) == 4
        message = capsys.readouterr().err
        assert "cannot reach the redis memory: Redis at 127.0.0.1:" in message
        assert "refused the login: " in message
        assert "s3cret" not in message

    def test_a_server_that_evicts(self, start_redis: StartRedis, refused: Refused) -> None:
        server = start_redis(options={"maxmemory-policy": "allkeys-lru"})
        for status, message in refused(server.url):
            assert status == 2
            assert "cannot open the redis transport: the server's maxmemory-policy is" in message
            assert "CONFIG SET maxmemory-policy noeviction" in message

    def test_a_cluster(self, redis_cluster: RedisCluster, refused: Refused) -> None:
        for status, message in refused(redis_cluster.url):
            assert status == 2
            assert "cannot open the redis transport: a Redis Cluster cannot" in message
            assert "use one server, with replicas and a Sentinel" in message


class TestNats:
    def test_a_bad_namespace(self, start_nats: StartNats, refused: Refused) -> None:
        for status, message in refused(f"{start_nats().url}?namespace=a_b"):
            assert status == 2
            assert "cannot open the nats transport: namespace must be" in message

    def test_wrong_credentials(self, start_nats: StartNats, refused: Refused) -> None:
        server = start_nats(config='authorization { user: "shop", password: "right" }')
        for status, message in refused(server.url.replace("://", "://shop:s3cret@")):
            assert status == 4
            assert "the nats transport: " in message
            assert "it refused the credentials" in message

    def test_jetstream_that_is_off(self, start_nats: StartNats, refused: Refused) -> None:
        for status, message in refused(start_nats(jetstream=False).url):
            assert status == 4
            assert "is it enabled, as by `nats-server --jetstream`?" in message
