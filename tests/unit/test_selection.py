"""backend="auto": what was measured on this machine decides, by program and by policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import anyon
from anyon import machine
from anyon.bundle import Bundle
from anyon.machine import Measured
from anyon.selection import POLICIES, EngineOptions, candidates

pytestmark = pytest.mark.usefixtures("native")

# Each policy has another winner in the encoder; the decoder's is always native.
ROWS = {
    "encoder": {
        "native": Measured(0.060, 0.110, 100 << 20, "1", "cpu"),
        "onnxruntime": Measured(0.050, 0.120, 300 << 20, "1", "cpu"),
    },
    "decoder": {
        "native": Measured(0.001, 0.001, 30 << 20, "1", "cpu"),
        "onnxruntime": Measured(0.003, 0.004, 90 << 20, "1", "cpu"),
    },
}


@pytest.fixture
def bundle(tiny_en: Any) -> Bundle:
    return Bundle(tiny_en.info["bundle"])


def first(bundle: Bundle, program: str, **options: Any) -> str:
    return candidates(bundle, program, EngineOptions("auto", 2, **options))[0].name


def test_without_measurements_native_comes_first_and_says_so(bundle: Bundle, tmp_path: Path) -> None:
    found = candidates(bundle, "encoder", EngineOptions("auto", 2, cache=tmp_path))
    assert found[0].name == "native"
    assert found[0].reason == "first choice on a CPU"


def test_each_policy_takes_its_own_best_for_each_program(bundle: Bundle, tmp_path: Path) -> None:
    machine.write_profile(tmp_path, bundle, 2, ROWS)
    chosen = {policy: first(bundle, "encoder", policy=policy, cache=tmp_path) for policy in POLICIES}
    assert chosen == {"fastest": "onnxruntime", "smallest-memory": "native", "lowest-power": "native"}
    assert {first(bundle, "decoder", policy=policy, cache=tmp_path) for policy in POLICIES} == {"native"}
    reason = candidates(bundle, "encoder", EngineOptions("auto", 2, cache=tmp_path))[0].reason
    assert reason == "fastest by measurement here: 50 ms (native 60 ms)"


def test_two_programs_run_on_two_backends(tiny_en: Any, bundle: Bundle, tmp_path: Path, recordings: Any) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    machine.write_profile(tmp_path, bundle, 2, ROWS)
    model = anyon.load(bundle.path, threads=2, cache_dir=tmp_path)
    assert [place.backend for place in model.placement] == ["onnxruntime", "native"]
    assert model.transcribe(recordings["beckett"]).text == tiny_en.transcribe(recordings["beckett"]).text


def test_another_number_of_threads_was_not_measured(bundle: Bundle, tmp_path: Path) -> None:
    machine.write_profile(tmp_path, bundle, 2, ROWS)
    assert candidates(bundle, "encoder", EngineOptions("auto", 1, cache=tmp_path))[0].reason == "first choice on a CPU"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"version": 1}', b'{"version": 1, "machine": "other"}'])
def test_a_profile_that_is_damaged_or_of_another_machine_counts_for_nothing(
    bundle: Bundle, tmp_path: Path, content: bytes
) -> None:
    path = machine.write_profile(tmp_path, bundle, 2, ROWS)
    path.write_bytes(content)
    assert first(bundle, "encoder", cache=tmp_path) == "native"
    machine.write_profile(tmp_path, bundle, 2, ROWS)
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"entries": {machine.program_key(bundle, "encoder", 2): 3}})
    )
    assert first(bundle, "encoder", cache=tmp_path) == "native"


def test_a_name_or_an_isa_leaves_no_choice(bundle: Bundle, tmp_path: Path) -> None:
    machine.write_profile(tmp_path, bundle, 2, ROWS)
    named = candidates(bundle, "decoder", EngineOptions("onnxruntime", 2, cache=tmp_path))
    assert [(each.name, each.reason) for each in named] == [("onnxruntime", "backend='onnxruntime' was asked for")]
    forced = candidates(bundle, "encoder", EngineOptions("auto", 2, isa="scalar", cache=tmp_path))
    assert [each.name for each in forced] == ["native"]


def test_a_policy_nobody_knows_is_refused(tiny_en: Any) -> None:
    with pytest.raises(anyon.OptionError, match=r"policy='cheapest': expected fastest, smallest-memory, lowest-power"):
        anyon.load(tiny_en.info["bundle"], policy="cheapest")
