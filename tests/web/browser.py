"""A headless Chromium driven over the DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class PageError(AssertionError):
    """What a script of the page threw."""


class Page:
    """One tab. Commands are sent one at a time; events between them are kept."""

    def __init__(self, address: str) -> None:
        self._closing = ExitStack()
        self._socket = self._closing.enter_context(connect(address, max_size=None))
        self._numbers = itertools.count(1)
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        self._closing.close()

    def send(self, method: str, timeout: float = 60, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        deadline = time.monotonic() + timeout
        while True:
            message = json.loads(self._socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if message.get("id") == number:
                if "error" in message:
                    raise PageError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.problems.append(event["params"]["entry"]["text"])

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str, timeout: float = 60) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = self.send(
            "Runtime.evaluate", timeout, expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > deadline:
                shown = self.run("document.body.innerText")
                raise PageError(
                    f"not in {timeout:.0f} s: {condition}; problems {self.problems}; the page says:\n{shown}"
                )
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def give_file(self, selector: str, file: Path) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        image = self.send("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        to.write_bytes(base64.b64decode(image["data"]))


class Browser:
    """A browser with a profile of its own; `with Browser(...) as page`."""

    def __init__(self, folder: Path, *options: str, timeout: float = 60) -> None:
        program = find_browser()
        assert program is not None
        # Without a sandbox where there is no user to separate from, as in containers.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        settings = ["--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu"]
        shape = [f"--user-data-dir={folder}", "--window-size=900,1100"]
        self.process = subprocess.Popen(
            [program, *settings, *shape, *sandbox, *options, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        chosen = folder / "DevToolsActivePort"
        deadline = time.monotonic() + timeout
        while not (chosen.exists() and chosen.read_text().count("\n") >= 1):
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.process.kill()
                raise PageError(f"{program} did not start")
            time.sleep(0.05)
        port = chosen.read_text().split("\n")[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            tab = next(tab for tab in json.load(answer) if tab["type"] == "page")
        self.page = Page(tab["webSocketDebuggerUrl"])

    def __enter__(self) -> Page:
        return self.page

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.page.close()
        self.process.terminate()
        self.process.wait(timeout=30)
