"""Connections: made, refused, lost and made again."""

import asyncio
import ssl
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse

import nats
import pytest
import trustme
from nats.aio.client import Server
from real_servers.fixtures import StartNats

from arvo_transport import Done, TransportClosedError, TransportError, connect_transport
from arvo_transport_nats import NatsTransport, _connection
from arvo_transport_nats._connection import next_server, servers_of

from .clients import ORDER, PAY, connect, event, new_namespace, numbers, receive

REFUSE_OTHERS = 'authorization { user: "shop", password: "s3cret" }'


class TestConnect:
    async def test_by_url(self, nats_url: str) -> None:
        namespace = new_namespace()
        address = f"{nats_url}?namespace={namespace}&partitions=3&patience=5s"
        async with connect_transport(address) as transport:
            await transport.declare([ORDER])
            [state] = await transport.topics()
            assert state.partitions == 3
            async with transport.inbox(ORDER, prefetch=1) as inbox:
                assert inbox.patience == timedelta(seconds=5)
        async with connect(nats_url, namespace=namespace) as other:
            assert [each.name for each in await other.topics()] == [ORDER.name]

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ("namespace=a.b", "namespace must be 1 to 40 letters, digits and -"),
            ("partitions=0", "partitions must be at least 1"),
            ("patience=500ms", "patience must be at least one second"),
            ("shards=3", "shards"),
        ],
    )
    async def test_a_bad_option_is_refused(self, nats_url: str, query: str, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            async with connect_transport(f"{nats_url}?{query}"):
                pass

    async def test_a_server_that_is_not_there(self) -> None:
        with pytest.raises(TransportError, match=r"be reached at 127\.0\.0\.1:1: Conn") as it:
            async with NatsTransport.connect("nats://me:s3cret@127.0.0.1:1"):
                pass
        assert (it.value.retryable, it.value.outcome) == (True, "failed")
        assert "s3cret" not in str(it.value)

    async def test_wrong_credentials(self, start_nats: StartNats) -> None:
        server = start_nats(config=REFUSE_OTHERS)
        address = f"nats://shop:wrong@{server.host}:{server.port}"
        with pytest.raises(TransportError, match="it refused the credentials") as refused:
            async with NatsTransport.connect(address):
                pass
        assert "wrong" not in str(refused.value)
        async with NatsTransport.connect(address.replace("wrong", "s3cret")) as transport:
            await transport.ping()

    async def test_credentials_that_cannot_be_read(self, nats_url: str, tmp_path: Path) -> None:
        for file in (tmp_path / "none.creds", tmp_path):
            with pytest.raises(TransportError, match="cannot be read") as refused:
                async with NatsTransport.connect(nats_url, credentials=str(file)):
                    pass
            assert repr(str(file)) in str(refused.value)
            assert (refused.value.retryable, refused.value.outcome) == (False, "failed")

    async def test_an_error_within_connecting_is_not_hidden(
        self, nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As nats-py cannot be closed before it has come far."""
        file = tmp_path / "wrong.creds"
        file.write_text("nonsense")
        monkeypatch.setattr(_connection, "find_spec", lambda _: True)
        monkeypatch.setitem(sys.modules, "nkeys", None)
        with pytest.raises(ImportError, match="nkeys"):
            async with NatsTransport.connect(nats_url, credentials=str(file)):
                pass

    @pytest.mark.skipif(find_spec("nkeys") is not None, reason="nkeys is installed")
    async def test_credentials_without_nkeys(self, nats_url: str, tmp_path: Path) -> None:
        file = tmp_path / "some.creds"
        file.write_text("nonsense")
        with pytest.raises(TransportError, match=r"pip install 'nats-py\[nkeys\]'"):
            async with NatsTransport.connect(nats_url, credentials=str(file)):
                pass

    async def test_jetstream_that_is_off(self, start_nats: StartNats) -> None:
        server = start_nats(jetstream=False)
        with pytest.raises(TransportError, match="is it enabled, as by `nats-server --jetstream`"):
            async with NatsTransport.connect(server.url):
                pass

    async def test_over_tls(self, start_nats: StartNats, tmp_path: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        server = start_nats(
            config=f"tls {{ cert_file: '{tmp_path}/cert.pem', key_file: '{tmp_path}/key.pem' }}"
        )
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        address = server.url.replace("nats:", "tls:")
        async with NatsTransport.connect(address, tls=trusting) as transport:
            await transport.ping()
        with pytest.raises(TransportError, match="be reached"):
            async with NatsTransport.connect(address):
                pass

    async def test_a_borrowed_client_stays_open(self, nats_url: str) -> None:
        client = await nats.connect(nats_url)
        transport = NatsTransport(client, namespace=new_namespace())
        await transport.declare([PAY])
        await transport.aclose()
        with pytest.raises(TransportClosedError):
            await transport.ping()
        assert client.is_connected
        await client.close()

    async def test_a_borrowed_client_that_was_closed(self, nats_url: str) -> None:
        client = await nats.connect(nats_url)
        transport = NatsTransport(client, namespace=new_namespace())
        await client.close()
        with pytest.raises(TransportClosedError):
            await transport.declare([PAY])
        await transport.aclose()


class TestServers:
    def test_several_share_a_name_and_password(self) -> None:
        assert servers_of("nats://me:secret@one:4222,two:4223/") == [
            "nats://me:secret@one:4222",
            "nats://me:secret@two:4223",
        ]

    def test_reconnecting_takes_turns_after_growing_pauses_at_random(self) -> None:
        one, two = (
            Server(uri=urlparse(f"nats://{host}:4222"), reconnects=tried)
            for host, tried in (("one", 9), ("two", 3))
        )
        delays = [next_server([one, two], {}) for _ in range(200)]
        assert {server.uri.hostname for server, _ in delays} == {"two"}
        assert all(0 <= delay <= 2 for _, delay in delays)
        assert max(delay for _, delay in delays) > 1
        assert max(next_server([one], {})[1] for _ in range(200)) <= 30


class TestServerThatComesBack:
    async def test_workers_and_publishers_go_on_by_themselves(self, start_nats: StartNats) -> None:
        server = start_nats()
        namespace = new_namespace()
        async with (
            connect(server.url, namespace=namespace) as worker,
            connect(server.url, namespace=namespace) as publisher,
        ):
            await publisher.declare([PAY, ORDER])
            await publisher.publish([event(number, to=ORDER) for number in range(3)])
            async with (
                worker.inbox(ORDER, prefetch=5) as orders,
                worker.inbox(PAY, prefetch=5) as payments,
            ):
                waiting = asyncio.ensure_future(receive(payments, 1))
                await asyncio.sleep(0)
                server.kill()
                server.restart()
                await _published(publisher, number=100)
                assert numbers(await waiting) == [100]
                for number in range(3):
                    [received] = await receive(orders, 1)
                    assert (numbers([received]), received.deliveries) == ([number], 1)
                    await orders.settle(received, Done())

    async def test_what_is_in_hand_can_be_settled_afterwards(self, start_nats: StartNats) -> None:
        server = start_nats()
        async with connect(server.url, namespace=new_namespace()) as transport:
            await transport.declare([PAY])
            await transport.publish([event(1)])
            async with transport.inbox(PAY, prefetch=5) as inbox:
                [received] = await receive(inbox, 1)
                server.stop()
                server.restart()
                await _published(transport, number=2)
                await inbox.settle(received, Done())
                assert numbers(await receive(inbox, 1)) == [2]

    async def test_a_killed_server_may_hand_out_once_more(self, start_nats: StartNats) -> None:
        """It writes down what it handed out a moment later; the event is never lost."""
        server = start_nats()
        async with connect(server.url, namespace=new_namespace()) as transport:
            await transport.declare([PAY])
            await transport.publish([event(1)])
            async with transport.inbox(PAY, prefetch=5) as inbox:
                [received] = await receive(inbox, 1)
                server.kill()
                server.restart()
                await _published(transport, number=2)
                await inbox.settle(received, Done())
                [following] = await receive(inbox, 1)
                if numbers([following]) == [1]:
                    await inbox.settle(following, Done())
                    [following] = await receive(inbox, 1)
                assert numbers([following]) == [2]


async def _published(transport: NatsTransport, *, number: int) -> None:
    """Publish until it is stored: the connection may have been lost in the middle."""
    while True:
        try:
            return await transport.publish([event(number)])
        except TransportError as error:
            if not error.retryable:
                raise
