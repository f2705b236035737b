"""Serves this example: the page, the built runtime under /anyon, and models under /models.

Threads in WebAssembly need shared memory, which browsers give to pages that are cross-origin isolated only: hence the
two headers. Any web server that sends them will do; nothing here is needed in production.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = Path(__file__).resolve().parent
BUILT = PAGE.parents[1] / "build" / "wasm" / "web"


class Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012  (the base class has it as such)
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".anyon": "application/octet-stream",
    }
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, runtime: Path, models: dict[str, Path], isolated: bool, **kwargs: object) -> None:
        self._runtime = runtime
        self._models = models
        self._isolated = isolated
        super().__init__(*args, directory=str(PAGE), **kwargs)  # type: ignore[arg-type]

    def end_headers(self) -> None:
        if self._isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def do_GET(self) -> None:
        if self.path.split("?")[0] == "/models/index.json":
            listed = [{"file": name, "bytes": model.stat().st_size} for name, model in self._models.items()]
            body = json.dumps(listed).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        super().do_GET()

    def translate_path(self, path: str) -> str:
        inside = Path(super().translate_path(path)).relative_to(PAGE)
        if inside.parts[:1] == ("anyon",):
            return str(self._runtime.joinpath(*inside.parts[1:]))
        if inside.parts[:1] == ("models",):
            # Models by their names alone: no other file of their folders is served.
            return str(self._models.get("/".join(inside.parts[1:]), PAGE / "missing"))
        return str(PAGE / inside)

    def list_directory(self, path: object) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        pass


def make_server(
    port: int,
    models: dict[str, Path],
    runtime: Path = BUILT,
    isolated: bool = True,
    handler: type[Handler] = Handler,
) -> ThreadingHTTPServer:
    """A server on the loopback interface; port 0 takes a free one. `isolated`: send the headers that threads need."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(handler, runtime=runtime, models=models, isolated=isolated))


def demo_model() -> dict[str, Path]:
    """tiny.en in 8 bits, made and kept by the anyon package."""
    import anyon

    return {"whisper-tiny.en-int8.anyon": Path(anyon.load("tiny.en", recipe="int8").info["bundle"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", type=Path, help="bundles to offer; default: tiny.en in 8 bits")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--runtime", type=Path, default=BUILT, help="the folder with anyon.js (made by `make wasm`)")
    options = parser.parse_args()
    if not (options.runtime / "anyon.js").exists():
        parser.error(f"{options.runtime}: no anyon.js there; build it with `make wasm`")
    missing = [model for model in options.models if not model.is_file()]
    if missing:
        parser.error(f"{missing[0]}: no such file")
    server = make_server(options.port, {model.name: model for model in options.models} or demo_model(), options.runtime)
    print(f"http://localhost:{server.server_address[1]}")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
