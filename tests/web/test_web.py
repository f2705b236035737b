"""The example page in a headless Chromium: a file goes in, the right transcript comes out, also without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
WEB = REPOSITORY / "build" / "wasm" / "web"
ARTIFACTS = REPOSITORY / "build" / "artifacts"
SAID = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."

for tool, package in {"emcmake": "emscripten and node-acorn", "ninja": "ninja-build"}.items():
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: apt-get install {package}", allow_module_level=True)
pytest.importorskip("websockets", reason="websockets is not installed: pip install websockets")
moonshine_voice = pytest.importorskip("moonshine_voice", reason="the recording is in the package moonshine-voice")

from browser import Browser, Page, find_browser  # noqa: E402  (needs websockets)

if find_browser() is None:
    pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)

RECORDING = Path(moonshine_voice.__file__).parent / "assets" / "beckett.wav"


def _module(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


serve = _module("serve", REPOSITORY / "examples" / "web" / "serve.py")


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The built runtime."""
    configure = ["emcmake", "cmake", "--preset", "wasm", f"-DPython_EXECUTABLE={sys.executable}"]
    build = ["cmake", "--build", "--preset", "wasm", "--target", "anyon_web"]
    for command in (configure, build):
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=3000)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    return WEB


@pytest.fixture(scope="session")
def bundle() -> Path:
    import anyon

    return Path(anyon.load("tiny.en", recipe="int8").info["bundle"])


@contextmanager
def serving(runtime: Path, models: dict[str, Path], *, isolated: bool = True) -> Iterator[str]:
    server = serve.make_server(0, models, runtime, isolated)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _load_model(page: Page) -> None:
    page.wait("!document.getElementById('model-load').disabled")
    page.click("#model-load")
    page.wait("!document.getElementById('model-ready').hidden", timeout=120)


def _transcribe(page: Page, file: Path) -> None:
    page.give_file("#sound-file", file)
    page.wait("document.getElementById('summary').textContent.includes('of sound')", timeout=120)


def _shown(page: Page) -> str:
    return str(page.run("[...document.querySelectorAll('#segments .text')].map((e) => e.textContent).join(' ')"))


def _words(text: str) -> list[str]:
    return re.findall("[a-z]+", text.lower())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_file_is_transcribed_and_again_without_a_network(runtime: Path, bundle: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as page:
        with serving(runtime, {"tiny.en-int8.anyon": bundle}) as url:
            page.open(url)
            assert page.run("crossOriginIsolated") is True
            _load_model(page)
            assert "whisper-tiny.en, int8: ready" in page.run("document.getElementById('model-about').textContent")
            page.run("document.getElementById('words').click()")
            _transcribe(page, RECORDING)
            assert _shown(page) == SAID + " "  # a space follows each word
            page.screenshot(ARTIFACTS / "web.png")
            # So that its first answers are kept, too: the worker was not there when the page was first asked for.
            page.run("navigator.serviceWorker.ready.then(() => true)")
            page.open(url)
            _load_model(page)
        # The server is gone: everything comes from what the browser kept.
        page.open(url)
        page.wait("document.getElementById('model-list').textContent.includes('on this device')")
        _load_model(page)
        _transcribe(page, RECORDING)
        assert _shown(page) == SAID


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_page_that_is_not_isolated_computes_on_one_thread_and_says_so(
    runtime: Path, bundle: Path, tmp_path: Path
) -> None:
    with (
        serving(runtime, {"tiny.en-int8.anyon": bundle}, isolated=False) as url,
        Browser(tmp_path / "profile") as page,
    ):
        page.open(url)
        assert page.run("crossOriginIsolated") is False
        assert "One thread computes" in page.run("document.getElementById('model-threads').textContent")
        _load_model(page)
        _transcribe(page, RECORDING)
        assert _shown(page) == SAID


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_microphone_is_captioned_while_it_is_heard(runtime: Path, bundle: Path, tmp_path: Path) -> None:
    sound = f"--use-file-for-fake-audio-capture={RECORDING}%noloop"
    devices = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", sound)
    with (
        serving(runtime, {"tiny.en-int8.anyon": bundle}) as url,
        Browser(tmp_path / "profile", *devices) as page,
    ):
        page.open(url)
        _load_model(page)
        page.run(
            "globalThis.previews = []; new MutationObserver(() => previews.push(document.getElementById('preview')"
            ".textContent)).observe(document.getElementById('preview'), {childList: true})"
        )
        page.click("#record")
        page.wait("previews.some((text) => text.includes('Try again'))", timeout=120)
        page.wait("previews.some((text) => text.includes('better'))", timeout=120)
        page.screenshot(ARTIFACTS / "web_microphone.png")
        page.click("#record")
        page.wait("document.getElementById('summary').textContent.includes('of sound')", timeout=120)
        assert "Try again. Fail again. Fail better." in _shown(page)


API = """(async () => {
  const { AnyonModel, decodeAudio } = await import('./anyon/anyon.js');
  const failure = (promise) => promise.then(() => null, ({name, status, message}) => [name, status, message]);
  const model = await AnyonModel.load('models/tiny.en-int8.anyon', {threads: 2});
  const samples = new Float32Array(16000 * 60);
  const out = {threads: model.threads, languages: model.languages};
  out.silence = (await model.transcribe(samples)).text;
  out.unknown = await failure(model.transcribe(samples, {colour: 'red'}));
  out.language = await failure(model.transcribe(samples, {language: 'fr'}));
  out.nan = await failure(model.transcribe(new Float32Array([0, NaN]), {}));
  const aborter = new AbortController();
  const running = model.transcribe(samples.map(() => Math.random() - 0.5), {signal: aborter.signal});
  out.busy = await failure((async () => model.transcribe(samples))());
  setTimeout(() => aborter.abort(), 100);
  out.cancelled = await failure(running);
  const sound = await decodeAudio(await (await fetch('models/recording.wav')).arrayBuffer());
  const finer = new Float32Array(sound.length * 3);  // the same sound at three times the rate
  for (let i = 0; i < finer.length; ++i) {
    const at = Math.floor(i / 3), rest = (i % 3) / 3;
    finer[i] = sound[at] * (1 - rest) + (sound[at + 1] ?? 0) * rest;
  }
  const heard = [];
  const result = await model.transcribe(finer, {
    sampleRate: 48000, wordTimestamps: true, beamSize: 1, onSegment: (segment) => heard.push(segment.text)});
  out.text = result.text;
  out.heard = heard.join('').trim();
  out.duration = result.duration;
  out.words = result.segments.flatMap((segment) => segment.words).map(({word, start, end}) => [word, start, end]);
  out.damaged = await failure(AnyonModel.load(new Blob([new Uint8Array(1000)])));
  out.missing = await failure(AnyonModel.load('models/none.anyon'));
  model.close();
  return out;
})()"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_api_gives_results_and_names_what_is_wrong(runtime: Path, bundle: Path, tmp_path: Path) -> None:
    models = {"tiny.en-int8.anyon": bundle, "recording.wav": RECORDING}
    with serving(runtime, models) as url, Browser(tmp_path / "profile") as page:
        page.open(url)
        out = page.run(API, timeout=300)
    cores = os.cpu_count() or 1
    assert out["threads"] == 2, f"with {cores} cores"
    assert out["languages"] == ["en"]
    assert out["silence"] == ""
    assert out["unknown"][:2] == ["AnyonError", "ANYON_ERROR_UNSUPPORTED_OPTION"]
    assert "colour" in out["unknown"][2]
    assert out["language"][1] == "ANYON_ERROR_UNSUPPORTED_OPTION"
    assert out["nan"][1] == "ANYON_ERROR_BAD_AUDIO"
    assert out["busy"][1] == "ANYON_ERROR_BUSY"
    assert out["cancelled"][1] == "ANYON_ERROR_CANCELLED"
    assert out["text"] == out["heard"]
    assert _words(out["text"]) == _words(SAID)  # greedy decoding and another sampling rate punctuate otherwise
    assert out["duration"] == pytest.approx(9.98, abs=0.1)
    assert "".join(word for word, _, _ in out["words"]).strip() == out["text"]
    assert all(0 <= start <= end <= 10.1 for _, start, end in out["words"])
    assert out["damaged"][1] == "ANYON_ERROR_BAD_BUNDLE"
    assert out["missing"][1] == "ANYON_ERROR_IO"
