"""The ONNX Runtime backend: devices by name, the one that was really taken, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import anyon
from anyon.backends import get_backend
from anyon.backends.base import Resources
from anyon.bundle import Bundle

onnxruntime = pytest.importorskip("onnxruntime", reason="not installed: pip install 'anyon[onnxruntime]'")
pytestmark = pytest.mark.usefixtures("native")


@pytest.fixture
def prepare(native: Any, tiny_en: Any) -> Any:
    bundle = Bundle(tiny_en.info["bundle"])

    def prepared(**more: Any) -> Any:
        return get_backend("onnxruntime").prepare(bundle, "encoder", Resources(1, native.ThreadPool(1), None, **more))

    return prepared


def test_the_probe_lists_the_devices_of_this_build() -> None:
    found = get_backend("onnxruntime").probe()
    assert found.available
    assert found.devices[0] == "cpu"
    assert ("cuda" in found.devices) == ("CUDAExecutionProvider" in onnxruntime.get_available_providers())


def test_the_placement_names_device_weights_and_arithmetic(cache: Path, demo_folder: Path) -> None:
    model = anyon.load("tiny.en", recipe="int8", backend="onnxruntime", device="cpu", cache_dir=cache)
    assert {(place.device, place.precision) for place in model.placement} == {("cpu", "int8 weights in f32")}


@pytest.mark.parametrize(
    ("device", "provider", "package"),
    [("cuda", "CUDAExecutionProvider", "onnxruntime-gpu"), ("qnn", "QNNExecutionProvider", "onnxruntime-qnn")],
)
def test_a_provider_that_this_build_lacks_is_named_with_what_brings_it(
    prepare: Any, device: str, provider: str, package: str
) -> None:
    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"this build has {provider}")
    with pytest.raises(anyon.BackendError, match=rf"device='{device}': .* has no {provider}, only .*{package}"):
        prepare(device=device)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_an_error_and_no_quiet_cpu(
    prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime itself goes on with the CPU when a provider's library is not there."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build has CUDAExecutionProvider")
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    with pytest.raises(anyon.BackendError, match="could not start its CUDAExecutionProvider and took CPU"):
        prepare(device="cuda")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "npu"}, "device='npu': backend onnxruntime runs on cpu, cuda, tensorrt"),
        ({"precision": "bf16"}, "precision='bf16': backend onnxruntime computes as its graph says"),
    ],
)
def test_what_it_does_not_do_is_refused_by_name(prepare: Any, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(anyon.BackendError, match=message):
        prepare(**arguments)
