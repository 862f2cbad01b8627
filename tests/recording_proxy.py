"""A TCP proxy that keeps what clients send, to see the requests of another process as they travel.

Imports the standard library.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from types import TracebackType

_REQUEST = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SentRequest:
    method: str
    path: str
    #: By lower-case name.
    headers: dict[str, str]


class RecordingProxy:
    """Passes everything on to a port of this machine, and can tell which requests there were."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._sent: list[bytearray] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RecordingProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # ends the wait for a connection, which closing alone does not
        self._listening.close()

    def requests(self) -> list[SentRequest]:
        """Every request so far, connection by connection."""
        return [_request(found) for sent in self._sent for found in _REQUEST.finditer(bytes(sent))]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to_port))
            except OSError:  # nobody is there (any more)
                client.close()
                continue
            sent = bytearray()
            self._sent.append(sent)
            threading.Thread(target=_pass_on, args=(client, server, sent), daemon=True).start()
            threading.Thread(target=_pass_on, args=(server, client, None), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
    with source, target:
        try:
            while piece := source.recv(65536):
                if kept is not None:
                    kept += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # the other direction has ended
            return


def _request(found: re.Match[bytes]) -> SentRequest:
    method, path, head = (part.decode("latin-1") for part in found.groups())
    lines = (line.partition(":") for line in head.split("\r\n"))
    return SentRequest(method, path, {name.lower(): value.strip() for name, _, value in lines})
