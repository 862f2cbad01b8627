"""A real browser for tests: Chromium without a window, led by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
        with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=PATIENCE_SECONDS) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


class PageLeftError(Exception):
    """The page was left for another one before it could answer."""


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
        self._resize(1280, 900)

    def open(self, page: Path | str) -> None:
        """Opens a file, or an address, and waits until it is there."""
        self.complaints.clear()
        address = page.as_uri() if isinstance(page, Path) else page
        self.run("window.isOld = true")
        self._call("Page.navigate", url=address)
        self.wait_for("!window.isOld && document.readyState === 'complete'")

    def wait_for(self, expression: str) -> Any:
        """What an expression gives, once that is true; the page may be left for another one meanwhile."""

        def found() -> Any:
            try:
                answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
            except PageLeftError:
                return None
            return None if "exceptionDetails" in answer else answer["result"].get("value")

        return wait_until(found)

    def run(self, expression: str) -> Any:
        """What an expression gives in the page, as plain data; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text that is shown of an element."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def click(self, selector: str) -> None:
        """Clicks the first such element that is shown, in its middle, where nothing else may lie over it."""
        said = self.run(
            f"""(() => {{
                const found = [...document.querySelectorAll({json.dumps(selector)})];
                const element = found.find((one) => one.checkVisibility());
                if (element === undefined) return "nothing to click";
                element.scrollIntoView({{ block: "center", behavior: "instant" }});
                const box = element.getBoundingClientRect();
                const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
                if (!element.contains(hit)) return `${{hit?.outerHTML.slice(0, 200)}} lies over it`;
                element.click();  // at once: the page may be moving
                return "";
            }})()"""
        )
        assert said == "", f"{selector}: {said}"

    def click_through(self, selector: str) -> None:
        """Clicks what leads to another page, and waits until that is there."""
        self.run("window.isOld = true")
        with suppress(PageLeftError):  # it was clicked
            self.click(selector)
        self.wait_for("!window.isOld && document.readyState === 'complete'")

    def focus(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")

    def type(self, text: str) -> None:
        """Types where the focus is."""
        self._call("Input.insertText", text=text)

    def press(self, key: str, code: int, *, times: int = 1, text: str = "") -> None:
        """Presses a key: its name, its number, and the character that it writes."""
        key_of = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        for _ in range(times):
            self._call("Input.dispatchKeyEvent", type="keyDown", **key_of, **({"text": text} if text else {}))
            self._call("Input.dispatchKeyEvent", type="keyUp", **key_of)

    def press_enter(self) -> None:
        self.press("Enter", 13, text="\r")

    def press_tab(self) -> None:
        self.press("Tab", 9)

    def show_as(self, *, width: int = 1280, height: int = 900, theme: str = "light") -> None:
        """As a screen so large shows it, to someone who likes it light or dark."""
        self._resize(width, height)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def switch_scripts(self, *, on: bool) -> None:
        """Lets pages run their scripts, or not; counts from the next page."""
        self._call("Emulation.setScriptExecutionDisabled", value=not on)

    def screenshot(self, file: Path) -> None:
        """The whole page as a PNG."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12_000), "scale": 1}
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _resize(self, width: int, height: int) -> None:
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

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
                if "error" in message:
                    raise PageLeftError(message["error"])
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))


def _two_lines(file: Path) -> list[str] | None:
    lines = file.read_text().splitlines()
    return lines if len(lines) == 2 else None
