"""Transcribing real speech through the SDK: inputs, options, iterating, cancelling, Ctrl-C, threads, both backends."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anyon
from anyon.audio import open_audio
from anyon.results import Segment, Transcript

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


@pytest.fixture(scope="session")
def beckett(recordings: dict[str, Path]) -> Path:
    return recordings["beckett"]


@pytest.fixture(scope="session")
def two_cities(recordings: dict[str, Path]) -> Path:
    return recordings["two_cities"]


@pytest.fixture(scope="session")
def expected(tiny_en: Any, beckett: Path) -> Transcript:
    transcript: Transcript = tiny_en.transcribe(beckett)
    return transcript


def test_the_transcript_is_what_was_said(expected: Transcript) -> None:
    assert expected.text == BECKETT
    assert expected.language == "en"
    assert expected.duration == pytest.approx(9.963, abs=0.001)
    assert [segment.id for segment in expected.segments] == list(range(len(expected.segments)))
    for segment in expected.segments:
        assert 0 <= segment.start < segment.end <= expected.duration
        assert segment.words is None
        assert segment.tokens
        assert segment.temperature == 0.0
        assert segment.avg_logprob < 0
    assert [place.program for place in expected.placement] == ["encoder", "decoder"]
    parts = {"total", "audio", "mel", "encoder", "decoder", "align", "windows", "fallbacks", "tokens"}
    assert set(expected.timings) == parts
    assert 0 < expected.timings["encoder"] < expected.timings["total"]


def test_every_kind_of_input_gives_the_same_text(tiny_en: Any, beckett: Path) -> None:
    expected = tiny_en.transcribe(beckett, beam_size=1)
    data = beckett.read_bytes()
    stream = open_audio(beckett)
    samples = np.concatenate(list(stream))
    for audio, arguments in [
        (str(beckett), {}),
        (data, {}),
        (io.BytesIO(data), {}),
        (samples, {"sampling_rate": stream.rate}),
        (samples, {"sample_rate": stream.rate}),
        (np.stack([samples, samples]), {"sampling_rate": stream.rate}),
    ]:
        transcript = tiny_en.transcribe(audio, beam_size=1, **arguments)
        assert transcript.text == expected.text


def test_segments_come_one_by_one_and_make_the_whole(tiny_en: Any, two_cities: Path) -> None:
    transcription = tiny_en.transcribe_iter(two_cities, beam_size=1)
    first = next(transcription)
    assert isinstance(first, Segment)
    assert 0 < transcription.progress < 45, "the second window is not heard yet"
    rest = list(transcription)
    whole = tiny_en.transcribe(two_cities, beam_size=1)
    assert [first, *rest] == whole.segments
    assert transcription.transcript().text == whole.text
    assert transcription.language == "en"
    assert transcription.duration == whole.duration == pytest.approx(44.374, abs=0.001)
    assert tiny_en.transcribe(two_cities, stream=True, beam_size=1).result().text == whole.text


def test_progress_is_reported_in_seconds(tiny_en: Any, beckett: Path) -> None:
    reports: list[anyon.Progress] = []
    tiny_en.transcribe(beckett, beam_size=1, progress=reports.append)
    assert {report.stage for report in reports} == {"transcribe"}
    assert reports[-1].done == reports[-1].total == pytest.approx(9.963, abs=0.01)
    assert [report.done for report in reports] == sorted(report.done for report in reports)


def test_words_have_times_inside_their_segment(tiny_en: Any, beckett: Path) -> None:
    transcript = tiny_en.transcribe(beckett, word_timestamps=True)
    words = [word for segment in transcript.segments for word in segment.words]
    assert "".join(word.word for word in words).strip() == BECKETT
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert all(word.start <= word.end <= transcript.duration and 0 <= word.probability <= 1 for word in words)


def test_openai_and_faster_whisper_spellings_mean_the_same(tiny_en: Any, beckett: Path) -> None:
    openai = tiny_en.transcribe(beckett, beam_size=1, logprob_threshold=-1.0, fp16=False, verbose=None)
    faster = tiny_en.transcribe(beckett, beam_size=1, log_prob_threshold=-1.0, vad_filter=False)
    assert openai.segments == faster.segments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_sise": 5}, "did you mean beam_size"),
        ({"language": "fr"}, "fr"),
        ({"task": "translate"}, "translate"),
        ({"task": "sing"}, "sing"),
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": 1000}, "beam_size"),
        ({"temperature": -1}, "temperature"),
        ({"patience": 0}, "patience"),
        ({"no_speech_threshold": 2}, "no_speech_threshold"),
        ({"suppress_tokens": [10**6]}, "suppress_tokens"),
        ({"clip_timestamps": [5, 1]}, "clip_timestamps"),
        ({"hallucination_silence_threshold": 2.0}, "word_timestamps"),
        ({"vad_filter": True}, "vad_filter=True is not supported"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_work(
    tiny_en: Any, beckett: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(anyon.OptionError, match=message):
        tiny_en.transcribe_iter(beckett, **options)


def test_bad_audio_is_refused_before_the_first_segment_is_asked_for(tiny_en: Any, tmp_path: Path) -> None:
    path = tmp_path / "words.mp3"
    path.write_text("no music")
    with pytest.raises(anyon.AudioError, match=r"words\.mp3"):
        tiny_en.transcribe_iter(path)


def test_one_sample_and_silence_give_an_empty_transcript(tiny_en: Any) -> None:
    for samples in (np.zeros(1, np.float32), np.zeros(16000, np.float32), np.zeros(16000 * 31, np.int16)):
        transcript = tiny_en.transcribe(samples)
        assert (transcript.text, transcript.segments) == ("", [])
        assert transcript.duration == pytest.approx(len(samples) / 16000)


def test_damage_late_in_a_recording_keeps_what_was_finished(tiny_en: Any, two_cities: Path) -> None:
    stream = open_audio(two_cities)
    samples = np.concatenate(list(stream))
    samples[-100] = np.nan
    with pytest.raises(anyon.AudioError, match="nan") as caught:
        tiny_en.transcribe(samples, sampling_rate=stream.rate, beam_size=1)
    assert caught.value.transcript is not None
    assert caught.value.transcript.text.startswith("It was the best of times")
    assert tiny_en.transcribe(np.zeros(16000, np.float32)).text == "", "the engine works on"


def test_cancel_from_another_thread_ends_within_a_token(tiny_en: Any, two_cities: Path) -> None:
    transcription = tiny_en.transcribe_iter(two_cities)
    next(transcription)
    threading.Timer(0.3, transcription.cancel).start()
    started = time.monotonic()
    with pytest.raises(anyon.CancelledError) as caught:
        list(transcription)
    assert time.monotonic() - started < 20
    assert caught.value.transcript is not None
    assert caught.value.transcript.segments == transcription.segments
    assert list(transcription) == []


def test_the_model_cancels_everything_that_runs_on_it(tiny_en: Any, two_cities: Path) -> None:
    first, second = (tiny_en.transcribe_iter(two_cities) for _ in range(2))
    tiny_en.cancel()
    for transcription in (first, second):
        with pytest.raises(anyon.CancelledError):
            list(transcription)
    assert tiny_en.transcribe(np.zeros(16000, np.float32)).text == ""


def test_ctrl_c_ends_within_a_token_and_carries_what_was_finished(tiny_en: Any, two_cities: Path) -> None:
    transcription = tiny_en.transcribe_iter(two_cities)
    next(transcription)
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        list(transcription)
    assert isinstance(caught.value, anyon.InterruptedTranscription)
    assert caught.value.transcript.text.startswith("It was the best of times")
    assert tiny_en.transcribe(np.zeros(16000, np.float32)).text == ""


def test_a_transcription_left_alone_gives_its_engine_back(tiny_en: Any, two_cities: Path) -> None:
    transcription = tiny_en.transcribe_iter(two_cities, beam_size=1)
    next(transcription)
    free = len(tiny_en._rack._free)
    del transcription
    gc.collect()
    assert len(tiny_en._rack._free) == free + 1
    with tiny_en.transcribe_iter(two_cities, beam_size=1) as transcription:
        next(transcription)
    assert len(tiny_en._rack._free) == free + 1


def test_threads_share_a_model_and_get_identical_transcripts(tiny_en: Any, beckett: Path, expected: Transcript) -> None:
    results: list[Transcript] = []

    def work() -> None:
        results.append(tiny_en.transcribe(beckett))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.segments for result in results] == [expected.segments] * 3


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def other_engine(request: pytest.FixtureRequest, tiny_en: Any, cache: Path) -> Any:
    """The same bundle on another backend."""
    pytest.importorskip(request.param, reason=f"not installed: pip install 'anyon[{request.param}]'")
    return anyon.load(tiny_en.info["bundle"], backend=request.param, threads=2, cache_dir=cache)


def test_other_engines_give_the_same_segments(tiny_en: Any, other_engine: Any, beckett: Path) -> None:
    assert "native" not in {place.backend for place in other_engine.placement}
    ours = tiny_en.transcribe(beckett, word_timestamps=True)
    theirs = other_engine.transcribe(beckett, word_timestamps=True)
    assert theirs.text == ours.text
    for mine, other in zip(ours.segments, theirs.segments, strict=True):
        assert mine.tokens == other.tokens
        assert mine.avg_logprob == pytest.approx(other.avg_logprob, abs=1e-3)
        assert [word.word for word in mine.words] == [word.word for word in other.words]
        for word, twin in zip(mine.words, other.words, strict=True):
            assert word.start == pytest.approx(twin.start, abs=0.02)


def test_a_draft_is_for_greedy_decoding_and_changes_nothing(tiny_en: Any, beckett: Path) -> None:
    expected = tiny_en.transcribe(beckett, beam_size=1)
    assert tiny_en.transcribe(beckett, beam_size=1, draft=expected).segments == expected.segments
    assert tiny_en.transcribe(beckett, beam_size=1, draft=BECKETT).segments == expected.segments
    with pytest.raises(anyon.OptionError, match="beam_size: use 1 with draft"):
        tiny_en.transcribe(beckett, draft=expected)


def test_other_engines_take_drafts(other_engine: Any, beckett: Path) -> None:
    expected = other_engine.transcribe(beckett, beam_size=1).text
    assert other_engine.transcribe(beckett, beam_size=1, draft=BECKETT).text == expected


def test_windows_together_need_a_backend_that_can_and_no_text_before(tiny_en: Any, beckett: Path) -> None:
    with pytest.raises(anyon.OptionError, match="condition_on_previous_text"):
        tiny_en.transcribe(beckett, batch_size=4, condition_on_previous_text=True)
    with pytest.raises(anyon.OptionError, match="batch_size: 65 is out of range"):
        tiny_en.transcribe(beckett, batch_size=65)


def test_other_engines_refuse_windows_together(other_engine: Any, beckett: Path) -> None:
    with pytest.raises(anyon.OptionError, match="batch_size=1, or backend='native'"):
        other_engine.transcribe(beckett, batch_size=4)


@pytest.mark.parametrize("options", [{"beam_size": 1, "temperature": 0.0}, {"beam_size": 5, "temperature": 0.0}])
def test_other_engines_write_the_same_text_of_long_speech(
    tiny_en: Any, other_engine: Any, two_cities: Path, options: dict[str, Any]
) -> None:
    ours, theirs = (model.transcribe(two_cities, **options) for model in (tiny_en, other_engine))
    assert [segment.tokens for segment in theirs.segments] == [segment.tokens for segment in ours.segments]


def test_windows_together_report_progress_and_can_be_cancelled(tiny_en: Any, two_cities: Path) -> None:
    reports: list[float] = []
    options: dict[str, Any] = {"batch_size": 2, "beam_size": 1}
    transcription = tiny_en.transcribe_iter(two_cities, progress=lambda p: reports.append(p.done), **options)
    first = next(transcription)
    assert first.id == 0
    transcription.cancel()
    with pytest.raises(anyon.CancelledError) as caught:
        for _ in transcription:
            pass
    assert caught.value.transcript.segments[0] == first
    tiny_en.transcribe(two_cities, progress=lambda p: reports.append(p.done), **options)
    assert reports[-1] == pytest.approx(tiny_en.transcribe(two_cities, **options).duration)


def test_a_backend_that_fails_midway_is_named_and_the_next_run_starts_afresh(
    tiny_en: Any, beckett: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    from anyon.backends.onnxruntime_backend import OnnxSession

    model = anyon.load(tiny_en.info["bundle"], backend="onnxruntime", threads=2)
    run = OnnxSession.run

    def failing(self: Any, inputs: list[Any]) -> list[Any]:
        raise RuntimeError("the engine tripped")

    monkeypatch.setattr(OnnxSession, "run", failing)
    with pytest.raises(anyon.BackendError, match="the engine tripped"):
        model.transcribe(beckett)
    monkeypatch.setattr(OnnxSession, "run", run)
    assert model.transcribe(beckett).text == BECKETT


def test_text_and_tokens_convert_both_ways(tiny_en: Any) -> None:
    assert tiny_en.decode(tiny_en.encode(" naïve café 日本")) == " naïve café 日本"
    assert tiny_en.languages == ["en"]
    assert not tiny_en.multilingual


ELSEWHERE = """
import sys
import anyon
print(anyon.load("tiny.en", recipe="f32").transcribe(sys.argv[1]).text)
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"torch", "onnx", "onnxruntime", "huggingface_hub", "anyon_export", "transformers"}, loaded
"""


def test_transcribing_needs_neither_torch_nor_onnx(tiny_en: Any, beckett: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(beckett)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == BECKETT


@pytest.mark.parametrize("recipe", ["f16", "int8", "int4"])
def test_every_recipe_runs_on_the_native_backend(
    recipe: str, tiny_en: Any, recordings: dict[str, Path], cache: Path
) -> None:
    model = anyon.load("tiny.en", recipe=recipe, cache_dir=cache, threads=2, backend="native")
    text = model.transcribe(recordings["beckett"], temperature=0.0).text
    assert text == tiny_en.transcribe(recordings["beckett"], temperature=0.0).text
