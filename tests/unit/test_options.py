"""Options of transcribe: spellings, conversions, and refusal by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import anyon
from anyon.languages import LANGUAGES, language_code
from anyon.options import TranscribeOptions, native_options


def test_nothing_given_leaves_every_default_to_the_runtime() -> None:
    assert native_options({}) == {}


@pytest.mark.parametrize(
    ("given", "native"),
    [
        ({"language": "French"}, {"language": "fr"}),
        ({"language": None}, {}),
        ({"temperature": 0}, {"temperatures": [0.0]}),
        ({"temperature": (0.0, 0.4)}, {"temperatures": [0.0, 0.4]}),
        ({"temperatures": np.array([0.5])}, {"temperatures": [0.5]}),
        ({"logprob_threshold": -1}, {"log_prob_threshold": -1.0}),
        ({"log_prob_threshold": None}, {"log_prob_threshold": None}),
        ({"compression_ratio_threshold": None}, {"compression_ratio_threshold": None}),
        ({"beam_size": None}, {}),
        ({"beam_size": np.int64(3)}, {"beam_size": 3}),
        ({"sample_len": 20}, {"max_new_tokens": 20}),
        ({"suppress_tokens": "-1"}, {"suppress_tokens": [-1]}),
        ({"suppress_tokens": "1,2, 3"}, {"suppress_tokens": [1, 2, 3]}),
        ({"suppress_tokens": ""}, {"suppress_tokens": []}),
        ({"suppress_tokens": None}, {"suppress_tokens": []}),
        ({"suppress_tokens": [5]}, {"suppress_tokens": [5]}),
        ({"clip_timestamps": "0"}, {"clip_timestamps": [0.0]}),
        ({"clip_timestamps": "1.5,3"}, {"clip_timestamps": [1.5, 3.0]}),
        ({"clip_timestamps": [2, 4]}, {"clip_timestamps": [2.0, 4.0]}),
        ({"initial_prompt": "Dickens"}, {"initial_prompt": "Dickens"}),
        ({"initial_prompt": (50, 60)}, {"initial_prompt": [50, 60]}),
        ({"word_timestamps": np.True_}, {"word_timestamps": True}),
        ({"vad_filter": False, "chunk_length": 30, "fp16": False, "verbose": None}, {}),
        ({"batch_size": np.int64(8)}, {"batch_size": 8}),
        ({"draft": "so it goes"}, {"draft": "so it goes"}),
        ({"draft": [50, 60]}, {"draft": [50, 60]}),
        ({"batch_size": None, "condition_on_previous_text": None}, {}),
    ],
)
def test_spellings_and_values_become_the_runtimes(given: dict[str, Any], native: dict[str, Any]) -> None:
    assert native_options(given) == native


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"beam_sise": 3}, "did you mean beam_size"),
        ({"logprob_treshold": 0}, "did you mean logprob_threshold"),
        ({"zzz": 1}, "unknown option 'zzz'"),
        ({"vad_filter": True}, "vad_filter=True is not supported"),
        ({"verbose": True}, "does not print"),
        ({"fp16": True}, "precision is the bundle's"),
        ({"batch_size": 1.5}, "whole number"),
        ({"device": "cuda"}, "anyon.load"),
        ({"logprob_threshold": -1, "log_prob_threshold": -2}, "same option"),
        ({"language": "klingon"}, "no language of Whisper"),
        ({"language": "frensh"}, "did you mean french"),
        ({"beam_size": 2.5}, "whole number"),
        ({"beam_size": True}, "expected a number"),
        ({"beam_size": "5"}, "expected a number"),
        ({"patience": float("nan")}, "finite"),
        ({"word_timestamps": 1}, "True or False"),
        ({"hotwords": ["a"]}, "expected text"),
        ({"initial_prompt": 5}, "token ids"),
        ({"suppress_tokens": "a,b"}, "token ids"),
        ({"clip_timestamps": "a"}, "seconds"),
        ({"clip_timestamps": 5}, "seconds"),
        ({"temperature": "hot"}, "expected a number"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(anyon.OptionError, match=message):
        native_options(given)


def test_every_documented_option_is_accepted_or_refused_by_name() -> None:
    for name in TranscribeOptions.__annotations__:
        try:
            native_options({name: None})
        except anyon.OptionError as error:
            assert name in str(error)
            assert "unknown" not in str(error)


def test_an_option_error_is_a_value_error() -> None:
    assert issubclass(anyon.OptionError, ValueError)


@pytest.mark.parametrize(
    ("text", "code"),
    [("en", "en"), ("EN", "en"), ("english", "en"), ("Castilian", "es"), ("pt-BR", "pt"), ("zh_CN", "zh"), ("nb", "no"),
     ("haitian creole", "ht"), ("", None), ("english-speaking", None), ("xx", None)],
)  # fmt: skip
def test_languages_have_codes_names_and_regions(text: str, code: str | None) -> None:
    assert language_code(text) == code


def test_languages_are_those_of_the_tokenizer() -> None:
    languages = pytest.importorskip("anyon_export.checkpoints.languages")
    assert set(LANGUAGES) == set(languages.LANGUAGE_CODES)
