"""A loopback model hub: the few endpoints huggingface_hub asks, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository per key: file name → content. Files of `large_from` bytes are LFS files with a sha256."""

    repositories: dict[str, dict[str, bytes]]
    large_from: int = 10_000
    url: str = ""
    break_after: int | None = None
    """Bytes of a large file after which the connection is cut, once for each entry taken from `breaks`."""
    breaks: int = 0
    lie_about_sha256: bool = False
    status: int | None = None
    """Answer everything with this status instead."""
    gated: bool = False
    token: str | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(method, path, Range header) of every request."""

    def gets(self, file: str) -> list[str | None]:
        """Range headers of the GET requests of a file."""
        return [ranged for method, path, ranged in self.requests if method == "GET" and path.endswith(file)]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.status is not None:
            return self._send(self.hub.status, b"{}", {}, body)
        if self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        if self.hub.gated:
            return self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body)
        model = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        if model:
            return self._model(model[1], model[2] or "main", body)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if file:
            return self._file(file[1], file[3], body)
        self._send(404, b"{}", {}, body)

    def _model(self, repository: str, revision: str, body: bool) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        if revision not in ("main", COMMIT):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
        siblings = [self._sibling(name, data) for name, data in files.items()]
        model = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings, "tags": []}
        self._send(200, json.dumps(model).encode(), {"Content-Type": "application/json"}, body)

    def _sibling(self, name: str, data: bytes) -> dict[str, Any]:
        row: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
        if len(data) >= self.hub.large_from:
            row["lfs"] = {"sha256": self._sha256(data), "size": len(data), "pointerSize": 134}
        return row

    def _sha256(self, data: bytes) -> str:
        return "0" * 64 if self.hub.lie_about_sha256 else hashlib.sha256(data).hexdigest()

    def _file(self, repository: str, name: str, body: bool) -> None:
        data = self.hub.repositories.get(repository, {}).get(name)
        if data is None:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, body)
        large = len(data) >= self.hub.large_from
        tag = self._sha256(data) if large else hashlib.sha1(data).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(data))}
        start = 0
        status = 200
        ranged = self.headers.get("Range")
        if ranged and body:
            start = int(ranged.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            status = 206
        self._send(status, data[start:], headers, body, cut=large)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not body:
            return
        hub = self.hub
        if cut and hub.break_after is not None and hub.breaks > 0 and len(data) > hub.break_after:
            hub.breaks -= 1
            self.wfile.write(data[: hub.break_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(data)
