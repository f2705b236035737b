"""The C API through ctypes: its structs, written a second time, and the calls that tests make."""

from __future__ import annotations

import ctypes as c
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

OK = 0
STEP_NEED_AUDIO, STEP_SEGMENTS, STEP_DONE = 0, 1, 2

AllocateFunction = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_size_t, c.c_size_t)
ReleaseFunction = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_size_t)
LogFunction = c.CFUNCTYPE(None, c.c_void_p, c.c_int32, c.c_char_p)
LoadProgressFunction = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_uint64, c.c_uint64)
ReadFunction = c.CFUNCTYPE(c.c_int64, c.c_void_p, c.c_uint64, c.c_void_p, c.c_size_t)
ReleaseBytesFunction = c.CFUNCTYPE(None, c.c_void_p)


class Allocator(c.Structure):
    _fields_ = [("allocate", AllocateFunction), ("release", ReleaseFunction), ("user", c.c_void_p)]


class ModelParams(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("isa", c.c_char_p), ("verify_data", c.c_int32), ("public_key_pem", c.c_char_p),
        ("signature", c.c_char_p), ("signature_bytes", c.c_size_t), ("allocator", Allocator), ("log", LogFunction),
        ("log_user", c.c_void_p), ("progress", LoadProgressFunction), ("progress_user", c.c_void_p),
    ]  # fmt: skip


class SessionParams(c.Structure):
    _fields_ = [("size", c.c_size_t), ("threads", c.c_int32)]


class Word(c.Structure):
    _fields_ = [("start", c.c_double), ("end", c.c_double), ("probability", c.c_double), ("word", c.c_char_p)]


class Segment(c.Structure):
    _fields_ = [
        ("id", c.c_int64), ("seek", c.c_int64), ("start", c.c_double), ("end", c.c_double), ("text", c.c_char_p),
        ("tokens", c.POINTER(c.c_int32)), ("token_count", c.c_size_t), ("avg_logprob", c.c_double),
        ("compression_ratio", c.c_double), ("no_speech_prob", c.c_double), ("temperature", c.c_double),
        ("words", c.POINTER(Word)), ("word_count", c.c_size_t),
    ]  # fmt: skip


class Info(c.Structure):
    _fields_ = [
        ("language", c.c_char_p), ("language_probability", c.c_double), ("duration", c.c_double),
        ("progress", c.c_double), ("windows", c.c_int64), ("fallbacks", c.c_int64), ("tokens", c.c_int64),
        ("steps", c.c_int64), ("mel_seconds", c.c_double), ("encoder_seconds", c.c_double),
        ("decoder_seconds", c.c_double), ("align_seconds", c.c_double),
    ]  # fmt: skip


class Prompt(c.Structure):
    _fields_ = [("text", c.c_char_p), ("tokens", c.POINTER(c.c_int32)), ("token_count", c.c_size_t)]


SegmentFunction = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Segment))
ProgressFunction = c.CFUNCTYPE(None, c.c_void_p, c.c_double, c.c_double)
CancelFunction = c.CFUNCTYPE(c.c_int32, c.c_void_p)


class TranscribeParams(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("language", c.c_char_p), ("task", c.c_int32), ("temperatures", c.POINTER(c.c_float)),
        ("temperature_count", c.c_size_t), ("best_of", c.c_int32), ("beam_size", c.c_int32), ("patience", c.c_float),
        ("length_penalty", c.c_float), ("repetition_penalty", c.c_float), ("no_repeat_ngram_size", c.c_int32),
        ("seed", c.c_uint64), ("max_new_tokens", c.c_int32), ("compression_ratio_threshold", c.c_float),
        ("log_prob_threshold", c.c_float), ("no_speech_threshold", c.c_float), ("speech_gate", c.c_int32),
        ("batch_size", c.c_int32), ("condition_on_previous_text", c.c_int32),
        ("prompt_reset_on_temperature", c.c_float), ("initial_prompt", Prompt), ("carry_initial_prompt", c.c_int32),
        ("hotwords", c.c_char_p), ("prefix", Prompt), ("draft", Prompt), ("suppress_blank", c.c_int32),
        ("suppress_tokens", c.POINTER(c.c_int32)), ("suppress_token_count", c.c_size_t),
        ("suppress_nothing", c.c_int32), ("without_timestamps", c.c_int32), ("max_initial_timestamp", c.c_float),
        ("word_timestamps", c.c_int32), ("prepend_punctuations", c.c_char_p), ("append_punctuations", c.c_char_p),
        ("hallucination_silence_threshold", c.c_float), ("clip_timestamps", c.POINTER(c.c_double)),
        ("clip_timestamp_count", c.c_size_t), ("language_detection_threshold", c.c_float),
        ("language_detection_segments", c.c_int32), ("on_segment", SegmentFunction), ("on_progress", ProgressFunction),
        ("should_cancel", CancelFunction), ("user", c.c_void_p),
    ]  # fmt: skip


class Library:
    """The shared library, with what its functions return declared."""

    def __init__(self, path: Path) -> None:
        self.calls = c.CDLL(str(path))
        for name in (
            "version", "status_name", "capability_name", "model_error", "model_text", "model_manifest", "model_isa",
            "model_language", "session_error", "session_text", "stream_error",
        ):  # fmt: skip
            getattr(self.calls, f"anyon_{name}").restype = c.c_char_p
        for name in ("session_segment", "stream_segment"):
            getattr(self.calls, f"anyon_{name}").restype = c.POINTER(Segment)
        for name in ("session_info", "stream_info"):
            getattr(self.calls, f"anyon_{name}").restype = c.POINTER(Info)
        for name in ("session_segment_count", "stream_segment_count"):
            getattr(self.calls, f"anyon_{name}").restype = c.c_size_t
        self.calls.anyon_model_bytes.restype = c.c_uint64

    def __getattr__(self, name: str) -> Any:
        return getattr(self.calls, f"anyon_{name}")

    def params(self, kind: type[Any], **fields: Any) -> Any:
        """A params struct with its defaults, then these fields."""
        struct = kind()
        name = {ModelParams: "model", SessionParams: "session", TranscribeParams: "transcribe"}[kind]
        self.__getattr__(f"{name}_params_init")(c.byref(struct), c.c_size_t(c.sizeof(struct)))
        for field, value in fields.items():
            setattr(struct, field, value)
        return struct

    def load(self, path: Path | str, **fields: Any) -> tuple[int, c.c_void_p]:
        model = c.c_void_p()
        params = self.params(ModelParams, **fields)
        return self.model_load(str(path).encode(), c.byref(params), c.byref(model)), model

    def session(self, model: c.c_void_p, threads: int = 1) -> c.c_void_p:
        session = c.c_void_p()
        params = self.params(SessionParams, threads=threads)
        status = self.session_create(model, c.byref(params), c.byref(session))
        assert status == OK, self.session_error(session)
        return session

    def transcribe(self, session: c.c_void_p, pcm: NDArray[Any], rate: int = 16000, **fields: Any) -> int:
        params = self.params(TranscribeParams, **fields)
        data = pcm.ctypes.data_as(c.c_void_p)
        return int(self.session_transcribe(session, data, c.c_size_t(len(pcm)), rate, c.byref(params)))

    def text(self, session: c.c_void_p) -> str:
        return str(self.session_text(session).decode())
