"""`ktrdr top`: workers, queue and events in one live picture. Imports click; client and rich when it runs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ktrdr.cli.exit_codes import INTERRUPTED
from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import console, is_terminal, put_json, put_styled

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ktrdr.api.views import EventView
    from ktrdr.cli.board import Board
    from ktrdr.client import Client

#: How soon a key or an event shows.
_LOOK_SECONDS = 0.1
#: What no event tells (a worker that has come, or was lost) is asked for so often, and after events at most so often.
_WORKERS_SECONDS, _AGAIN_SECONDS = 5.0, 0.5


@click.command()
@click.option("--once", is_flag=True, help="Print one picture and end, as in a pipe.")
@url_option
@json_option
def top(once: bool, url: str | None, as_json: bool) -> None:
    """Shows the service live: workers with their jobs, the queue and why each job waits, the last events.

    The picture follows the event stream, across restarts of the API. q ends it. Into a pipe it is printed once; with
    --json there is one object for each change, until Ctrl-C.

    \b
    Examples:
      ktrdr top
      ktrdr top --once
      ktrdr top --json | jq -c '{position, counts}'
    """
    from ktrdr.cli.board import look

    with connect_to(url) as client:
        board = look(client)
        try:
            if as_json:
                put_json(board.document())
                if not once:
                    _put_changes(client, board)
            elif once or not is_terminal():
                _put_once(board)
            else:
                _show(client, board)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


def _put_once(board: Board) -> None:
    from ktrdr.cli.board_picture import picture

    for line in picture(board):
        put_styled(*line)


def _put_changes(client: Client, board: Board) -> None:
    news = _News(client, board)
    while True:
        changed = news.take()
        if changed:
            put_json(news.board.document())
        time.sleep(_LOOK_SECONDS)


def _show(client: Client, board: Board) -> None:
    from rich.live import Live

    from ktrdr.cli.keys import pressed_keys

    news = _News(client, board)
    screen = console()
    shown_at = 0.0
    with pressed_keys() as key, Live(console=screen, screen=True, auto_refresh=False) as live:
        while True:
            # Times of waiting go on without events.
            if news.take() or time.monotonic() - shown_at > 1:
                live.update(_rendered(news.board, screen.height), refresh=True)
                shown_at = time.monotonic()
            if key(_LOOK_SECONDS) in ("q", "Q"):
                return


def _rendered(board: Board, height: int) -> RenderableType:
    from rich.text import Text

    from ktrdr.cli.board_picture import picture

    hint = Text("q ends", style="dim")
    lines = [Text.assemble(*line, no_wrap=True, overflow="ellipsis") for line in picture(board, height - 2)]
    return Text("\n").join([*lines, Text(), hint])


class _News:
    """What a thread hears from the stream, taken in here: the board belongs to the thread that shows it."""

    def __init__(self, client: Client, board: Board) -> None:
        self.board = board
        self._client = client
        self._heard: queue.SimpleQueue[EventView | Exception | None] = queue.SimpleQueue()
        self._looked_at = time.monotonic()
        self._should_look = False
        threading.Thread(target=self._listen, args=(board.position,), name="listens to events", daemon=True).start()

    def take(self) -> bool:
        """Takes in what there is; whether the board has changed. Raises as the client does."""
        changed = False
        for heard in self._waiting():
            changed = True
            if isinstance(heard, Exception):
                raise heard
            if heard is None:
                self.board.is_away = True
            else:
                self._should_look |= self.board.tell(heard)
        since = time.monotonic() - self._looked_at
        if since > _WORKERS_SECONDS or (self._should_look and since > _AGAIN_SECONDS):
            changed |= self._look_again()
        return changed

    def _look_again(self) -> bool:
        from ktrdr.cli.board import look
        from ktrdr.client import ServiceUnreachableError

        self._looked_at = time.monotonic()
        try:
            newer = look(self._client, self.board)
        except ServiceUnreachableError:
            was_away, self.board.is_away = self.board.is_away, True
            return not was_away
        self._should_look = False
        changed = not newer.is_as(self.board)
        self.board = newer
        return changed

    def _waiting(self) -> Iterator[EventView | Exception | None]:
        while not self._heard.empty():
            yield self._heard.get()

    def _listen(self, after: int) -> None:
        """Puts each event into the queue; None when the service goes away, and what ends the listening."""
        from ktrdr.client import Client

        try:
            with Client(self._client.url) as client:
                events = client.all_events(
                    after=after,
                    follow=True,
                    patience_seconds=float("inf"),
                    on_interruption=lambda: self._heard.put(None),
                )
                for event in events:
                    self._heard.put(event)
        except Exception as error:
            self._heard.put(error)
