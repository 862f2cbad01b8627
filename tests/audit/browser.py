"""A real browser for tests: Chromium without a window, led by its DevTools protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running_service import PATIENCE_SECONDS, wait_until
from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened_browser(profile: Path) -> Iterator[Browser]:
    """A browser for as long as the block runs. `profile`: an empty folder of its own."""
    assert CHROMIUM is not None
    # Without a sandbox, because tests may run as root. It asks nobody anything: not even names are resolved.
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run")
    offline = ("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
    process = subprocess.Popen(
        [CHROMIUM, *options, *offline, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port_file = profile / "DevToolsActivePort"
        port, path = wait_until(lambda: port_file.exists() and _two_lines(port_file))
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


class Browser:
    """One page, led through the DevTools."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session: dict[str, str] = {}
        #: What the page has written to its console or was refused.
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self._call(f"{domain}.enable")

    def open(self, page: Path) -> None:
        """Opens a file and waits until it is there."""
        self.complaints.clear()
        self._call("Page.navigate", url=page.as_uri())
        wait_until(lambda: self.run("document.readyState === 'complete' && location.protocol === 'file:'"))

    def run(self, expression: str) -> Any:
        """What an expression gives in the page, as plain data; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text that is shown of an element."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Chooses files as a person does."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters, **self._session}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_SECONDS))
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))


def _two_lines(file: Path) -> list[str] | None:
    lines = file.read_text().splitlines()
    return lines if len(lines) == 2 else None
