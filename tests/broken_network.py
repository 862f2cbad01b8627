"""A network that breaks on demand: a TCP proxy with a port of its own, in a thread, between two parts of the service.

Imports the standard library. What one part sends to `BrokenNetwork.url` reaches the other, or does not:

    with BrokenNetwork(to_port=service.port) as network:
        service.start("host-worker", KTRDR_URL=network.url)
        network.lose_answers()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from enum import Enum, auto
from types import TracebackType
from typing import Any

_HOST = "127.0.0.1"
_PIECE_BYTES = 65536
#: A closed socket with this option sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


class _Mode(Enum):
    PASS = auto()
    REFUSE = auto()
    STALL = auto()
    LOSE_ANSWERS = auto()


class BrokenNetwork:
    """Passes everything on, until one of the methods says otherwise; each has taken effect when it returns.

    A mode lasts until the next is set, and holds for connections that are open already too (`refuse` excepted).
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._mode = _Mode.PASS
        self._delay_seconds = 0.0
        self._bytes_per_second: float | None = None
        #: What a request has to hold for everything to stall; None if nothing does.
        self._stalls_before: bytes | None = None
        self._open: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        # Bound but never listening, it keeps the port ours while connections are refused.
        self._holder = _bound_socket(0)
        self.port: int = self._holder.getsockname()[1]
        self.url = f"http://{_HOST}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broken network", daemon=True)
        self._thread.start()
        self._flowing = asyncio.Event()
        self._run(self._set(_Mode.PASS))

    def __enter__(self) -> BrokenNetwork:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def heal(self) -> None:
        """Everything passes at once again; what was stalled goes on."""
        self._run(self._set(_Mode.PASS))

    def refuse(self) -> None:
        """New connections are refused; open ones go on (`cut` ends them)."""
        self._run(self._set(_Mode.REFUSE))

    def cut(self) -> None:
        """Resets every open connection, once; the mode stays."""
        self._run(self._cut())

    def stall(self) -> None:
        """Connections are accepted and stay open, and nothing passes in either direction."""
        self._run(self._set(_Mode.STALL))

    def stall_before(self, words: bytes) -> None:
        """Everything passes until a request holds these words; it is the first thing that stalls.

        What is sent and when is for others to decide, so a test that looks for the moment and then breaks the network
        can come too late; one that waits until `is_stalled` cannot.
        """
        self._run(self._set(_Mode.PASS, stalls_before=words))

    @property
    def is_stalled(self) -> bool:
        return self._mode is _Mode.STALL

    def lose_answers(self) -> None:
        """Requests arrive and are carried out; their answers are dropped and the connection is reset."""
        self._run(self._set(_Mode.LOSE_ANSWERS))

    def delay(self, seconds: float) -> None:
        """Every piece of up to 64 KiB waits so long."""
        self._run(self._set(_Mode.PASS, delay_seconds=seconds))

    def throttle(self, bytes_per_second: float) -> None:
        """Each direction of each connection passes so many bytes."""
        self._run(self._set(_Mode.PASS, bytes_per_second=bytes_per_second))

    def close(self) -> None:
        """Resets what is open and gives the port back."""
        self._run(self._set(_Mode.REFUSE))
        self._run(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._holder.close()

    def _run(self, change: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(change, self._loop).result()

    async def _set(
        self,
        mode: _Mode,
        *,
        delay_seconds: float = 0.0,
        bytes_per_second: float | None = None,
        stalls_before: bytes | None = None,
    ) -> None:
        self._mode, self._delay_seconds, self._bytes_per_second = mode, delay_seconds, bytes_per_second
        self._stalls_before = stalls_before
        if mode is _Mode.REFUSE and self._server is not None:
            self._server.close()
            self._server = None
        elif mode is not _Mode.REFUSE and self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_bound_socket(self.port))
        if mode is _Mode.STALL:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _cut(self) -> None:
        await asyncio.sleep(0)  # one that was accepted a moment ago has begun after this
        connections = list(self._open)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._open.add(connection)
        writers = [writer]
        try:
            server_reader, server_writer = await asyncio.open_connection(_HOST, self._to_port)
            writers.append(server_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, server_writer, is_answer=False))
                both.create_task(self._pump(server_reader, writer, is_answer=True))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            for one in writers:
                _reset(one)
        finally:
            for one in writers:
                await _close(one)
            self._open.discard(connection)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            if not is_answer and self._stalls_before is not None and self._stalls_before in piece:
                await self._set(_Mode.STALL)
            await self._flowing.wait()
            if is_answer and self._mode is _Mode.LOSE_ANSWERS:
                raise ConnectionResetError
            if pause := self._delay_seconds + (len(piece) / self._bytes_per_second if self._bytes_per_second else 0.0):
                await asyncio.sleep(pause)
            writer.write(piece)
            await writer.drain()
        await self._flowing.wait()
        with contextlib.suppress(OSError):  # the other side may have gone as well
            writer.write_eof()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((_HOST, port))
    return bound


async def _close(writer: asyncio.StreamWriter) -> None:
    """Returns once the socket is closed; at once if what is left in it goes nowhere and the task is cancelled."""
    writer.close()
    try:
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    except asyncio.CancelledError:
        writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
