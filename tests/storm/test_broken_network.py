"""The network that breaks on demand does what its methods say."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from broken_network import BrokenNetwork
from running_service import PATIENCE_SECONDS, wait_until


class _Echo(socketserver.BaseRequestHandler):
    """Remembers what it was sent, and sends it back."""

    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.server.heard.append(data)  # type: ignore[attr-defined]
                self.request.sendall(data)
        except OSError:
            pass  # the network broke


@pytest.fixture
def heard() -> list[bytes]:
    return []


@pytest.fixture
def network(heard: list[bytes]) -> Iterator[BrokenNetwork]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        server.heard = heard  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        with BrokenNetwork(server.server_address[1]) as broken:
            yield broken
        server.shutdown()


@pytest.fixture
def client(network: BrokenNetwork) -> Iterator[socket.socket]:
    with connect(network) as connection:
        assert ask(connection, b"hello") == b"hello"
        yield connection


def connect(network: BrokenNetwork) -> socket.socket:
    return socket.create_connection(("127.0.0.1", network.port), timeout=PATIENCE_SECONDS)


def ask(connection: socket.socket, question: bytes) -> bytes:
    connection.sendall(question)
    answer = b""
    while len(answer) < len(question):
        answer += connection.recv(65536) or pytest.fail("the connection ended")
    return answer


def test_everything_passes(client: socket.socket) -> None:
    large = bytes(range(256)) * 4096
    sending = threading.Thread(target=client.sendall, args=(large,))
    sending.start()
    received = bytearray()
    while len(received) < len(large):
        received += client.recv(65536)
    sending.join()
    assert received == large


def test_an_end_is_passed_on(network: BrokenNetwork, client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    wait_until(lambda: network.connections == 0)


def test_refusing_leaves_open_connections_alone(network: BrokenNetwork, client: socket.socket) -> None:
    network.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(network)
    assert ask(client, b"still there?") == b"still there?"
    network.heal()
    with connect(network) as another:
        assert ask(another, b"back") == b"back"


def test_a_cut_resets_what_is_open(network: BrokenNetwork, client: socket.socket) -> None:
    network.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with connect(network) as another:
        assert ask(another, b"again") == b"again"


def test_what_is_stalled_goes_on_later(network: BrokenNetwork, client: socket.socket, heard: list[bytes]) -> None:
    network.stall()
    client.sendall(b"lost?")
    with connect(network) as another:
        another.settimeout(0.2)
        another.sendall(b"anyone?")
        with pytest.raises(TimeoutError):
            another.recv(1)
        assert heard == [b"hello"]
        network.heal()
        another.settimeout(PATIENCE_SECONDS)
        assert another.recv(100) == b"anyone?"
    assert client.recv(100) == b"lost?"


def test_what_is_waited_for_is_the_first_thing_that_stalls(
    network: BrokenNetwork, client: socket.socket, heard: list[bytes]
) -> None:
    network.stall_before(b"epoch 1")
    assert ask(client, b"epoch 0") == b"epoch 0"
    client.sendall(b"epoch 1")
    wait_until(lambda: network.is_stalled)
    assert heard[-1] == b"epoch 0"
    network.lose_answers()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert heard[-1] == b"epoch 1"


def test_an_answer_is_lost_although_the_request_arrived(
    network: BrokenNetwork, client: socket.socket, heard: list[bytes]
) -> None:
    network.lose_answers()
    client.sendall(b"do it")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert heard[-1] == b"do it"


def test_a_delay_and_a_narrow_line_take_their_time(network: BrokenNetwork, client: socket.socket) -> None:
    began = time.monotonic()
    network.delay(0.1)
    ask(client, b"slowly")
    assert time.monotonic() - began >= 0.2  # there and back
    network.throttle(100_000)
    began = time.monotonic()
    ask(client, b"x" * 20_000)
    assert time.monotonic() - began >= 0.2
    network.heal()
    assert ask(client, b"fast") == b"fast"
