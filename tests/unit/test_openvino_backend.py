"""The OpenVINO backend: devices, precisions, threads, the cache of compiled models, and what is refused by name."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anyon
from anyon.backends import get_backend
from anyon.backends.base import Resources
from anyon.bundle import Bundle

openvino = pytest.importorskip("openvino", reason="openvino is not installed: pip install 'anyon[openvino]'")
pytestmark = pytest.mark.usefixtures("native")


@pytest.fixture
def resources(native: Any, tmp_path: Path) -> Any:
    def make(threads: int = 1, **more: Any) -> Resources:
        return Resources(threads, native.ThreadPool(threads), None, cache=tmp_path, **more)

    return make


@pytest.fixture
def bundle(tiny_en: Any) -> Bundle:
    return Bundle(tiny_en.info["bundle"])


def first_step(session: Any) -> Any:
    """Logits of two tokens over silent keys."""
    keys = [np.zeros((1, 6, 5, 64), np.float32)] * 8
    tokens = np.array([[50257, 50362]])
    return session.run([tokens, np.array([[0, 1]]), np.array([0, 1]), *keys])[0]


def blobs(folder: Path) -> list[Path]:
    return sorted((folder / "openvino").iterdir())


def test_the_probe_names_version_devices_and_precisions() -> None:
    found = get_backend("openvino").probe()
    assert found.available
    assert found.version.startswith("20")
    assert {"cpu", "auto"} <= set(found.devices)
    assert "f32" in found.precisions


def test_the_placement_names_the_processor_and_the_precision(tiny_en: Any, cache: Path) -> None:
    name = openvino.Core().get_property("CPU", "FULL_DEVICE_NAME").strip()
    model = anyon.load(tiny_en.info["bundle"], backend="openvino", cache_dir=cache)
    assert {(place.backend, place.device, place.precision) for place in model.placement} == {
        ("openvino", f"CPU ({name})", "f32")
    }


def test_a_recipe_and_a_precision_are_both_named(cache: Path, demo_folder: Path) -> None:
    model = anyon.load("tiny.en", recipe="int8", backend="openvino", device="auto", cache_dir=cache)
    assert {place.precision for place in model.placement} == {"int8 weights in f32"}
    assert all(place.device.startswith("CPU (") for place in model.placement), "what AUTO took, not AUTO"


def test_threads_and_precision_reach_openvino(bundle: Bundle, resources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from anyon.backends import openvino_backend

    seen = []
    monkeypatch.setattr(openvino_backend, "OpenVinoSession", lambda compiled, *_: seen.append(compiled))
    for threads, precision in ((1, None), (2, None), (2, "bf16")):
        if precision in (None, *get_backend("openvino").probe().precisions):
            get_backend("openvino").prepare(bundle, "encoder", resources(threads, precision=precision))

    def taken(model: Any) -> tuple[int, str, str]:
        hints = ("INFERENCE_PRECISION_HINT", "KV_CACHE_PRECISION")
        return model.get_property("INFERENCE_NUM_THREADS"), *(
            model.get_property(hint).get_type_name() for hint in hints
        )

    expected = [(1, "f32", "f32"), (2, "f32", "f32"), (2, "bf16", "bf16")]
    assert [taken(model) for model in seen] == expected[: len(seen)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cuda"}, "device='cuda': backend openvino runs on cpu, gpu, npu, auto; here: cpu"),
        ({"device": "npu"}, "device='npu': OpenVINO finds no such device on this machine, only cpu"),
        ({"precision": "f16"}, r"precision='f16': CPU \(.*\) computes in f32"),
    ],
)
def test_what_is_not_on_this_machine_is_refused_by_name(
    bundle: Bundle, resources: Any, arguments: dict[str, str], message: str
) -> None:
    core = openvino.Core()
    able = {name.partition(".")[0].lower() for name in core.available_devices}
    able |= {"f16"} if "FP16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else set()
    if able & set(arguments.values()):
        pytest.skip("this machine has it")
    with pytest.raises(anyon.BackendError, match=message):
        get_backend("openvino").prepare(bundle, "encoder", resources(**arguments))


def test_an_isa_and_windows_together_are_refused_by_name(tiny_en: Any, cache: Path) -> None:
    path = tiny_en.info["bundle"]
    with pytest.raises(anyon.OptionError, match="isa='avx2': backend 'openvino' chooses its own"):
        anyon.load(path, backend="openvino", isa="avx2")
    model = anyon.load(path, backend="openvino", cache_dir=cache)
    with pytest.raises(anyon.OptionError, match="batch_size=1, or backend='native'"):
        model.transcribe(np.zeros(16000, np.float32), batch_size=4)


def test_a_missing_library_says_how_to_install_it(
    bundle: Bundle, resources: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyon.backends.openvino_backend import OpenVinoBackend

    monkeypatch.setitem(sys.modules, "openvino", None)
    backend = OpenVinoBackend()
    with pytest.raises(anyon.BackendError, match=r"pip install 'anyon\[openvino\]'"):
        backend.prepare(bundle, "encoder", resources())
    found = backend.probe()
    assert not found.available
    assert found.install == "pip install 'anyon[openvino]'"


def test_a_graph_that_openvino_does_not_take_is_an_error_with_its_program(
    bundle: Bundle, resources: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyon.backends import openvino_backend

    monkeypatch.setattr(openvino_backend, "graph_of", lambda *_: b"\x0a\xff")
    with pytest.raises(anyon.BackendError, match="does not take program 'encoder': protobuf: a number"):
        get_backend("openvino").prepare(bundle, "encoder", resources())


def graph_model(tmp_path: Path, cache: Path, example: Any) -> Any:
    """x -> 3 x + 1 of the example's type, on OpenVINO."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")

    class Line(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, x: Any) -> Any:
            return x * 3 + 1

    anyon.export(Line(), (torch.from_numpy(example),), path=tmp_path / "line.anyon")
    return anyon.load(tmp_path / "line.anyon", backend="openvino", cache_dir=cache)


def test_exported_modules_run_and_results_outlive_the_next_run(tmp_path: Path, cache: Path) -> None:
    model = graph_model(tmp_path, cache, np.ones(3, np.float32))
    first = model.run(np.array([1, 2, 3], np.float32))["output"]
    model.run(np.zeros(3, np.float32))
    np.testing.assert_array_equal(first, [4, 7, 10])


def test_what_openvino_would_compute_in_fewer_bits_is_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(anyon.BackendError, match="'x' of program 'main' is f64, which OpenVINO does not compute in"):
        graph_model(tmp_path, cache, np.ones(3))
    model = graph_model(tmp_path, cache, np.ones(3, np.int64))
    np.testing.assert_array_equal(model.run(np.array([1, -2, 2**20]))["output"], [4, -5, 3 * 2**20 + 1])
    with pytest.raises(anyon.BackendError, match="input 'x' has values beyond 32 bits"):
        model.run(np.array([1, 2, 2**40]))


def test_a_compiled_model_is_kept_and_taken_again(
    bundle: Bundle, resources: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyon.backends import openvino_backend

    prepare = get_backend("openvino").prepare
    fresh = first_step(prepare(bundle, "decoder", resources()).session)
    (blob,) = blobs(tmp_path)
    monkeypatch.setattr(openvino_backend, "_model", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(first_step(prepare(bundle, "decoder", resources()).session), fresh)
    assert blobs(tmp_path) == [blob]


def test_threads_and_programs_have_files_of_their_own(bundle: Bundle, resources: Any, tmp_path: Path) -> None:
    prepare = get_backend("openvino").prepare
    prepare(bundle, "decoder", resources())
    prepare(bundle, "decoder", resources(threads=2))
    prepare(bundle, "encoder", resources())
    assert len(blobs(tmp_path)) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "header", "one bit", "not openvino's"])
def test_a_damaged_file_is_made_again(bundle: Bundle, resources: Any, tmp_path: Path, damage: str) -> None:
    from anyon.backends.openvino_cache import _header, _read

    prepare = get_backend("openvino").prepare
    expected = first_step(prepare(bundle, "decoder", resources()).session)
    (blob,) = blobs(tmp_path)
    whole = blob.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    # The last has a sum that is right, as of a file that another build of OpenVINO wrote under the same version.
    other = b"nonsense" * 1000
    broken = {"cut": whole[:-1], "empty": b"", "header": whole[:100], "one bit": bytes(flipped)}
    blob.write_bytes(broken.get(damage, _header(other) + other))
    np.testing.assert_array_equal(first_step(prepare(bundle, "decoder", resources()).session), expected)
    assert blobs(tmp_path) == [blob]
    assert _read(blob) is not None, "what is there now is whole"


def test_a_cache_that_cannot_be_written_is_done_without(
    bundle: Bundle, resources: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "openvino").write_text("in the way")
    with caplog.at_level(logging.WARNING, "anyon"):
        session = get_backend("openvino").prepare(bundle, "decoder", resources()).session
    assert "the compiled model is not kept" in caplog.text
    assert np.isfinite(first_step(session)).all()


def test_rows_of_the_states_can_be_chosen_cut_and_forgotten(bundle: Bundle, resources: Any) -> None:
    """Against runs that never had anything else in their states."""
    session = get_backend("openvino").prepare(bundle, "decoder", resources()).session
    keys = [np.random.default_rng(0).standard_normal((1, 6, 5, 64)).astype(np.float32)] * 8

    def run(rows: list[list[int]]) -> Any:
        tokens, past = np.array(rows), session.state_length()
        positions = np.arange(past, past + tokens.shape[1])[None].repeat(len(rows), axis=0)
        return session.run([tokens, positions, np.array([tokens.shape[1] - 1]), *keys])[0][:, 0]

    def straight(row: list[int]) -> Any:
        session.reset_states()
        return run([row])[0]

    expected = {text: straight([ord(c) for c in text]) for text in ("abcxp", "abdyp", "abdz", "abq")}
    session.reset_states()
    assert session.state_length() == 0
    run([[97, 98]])
    session.reorder_states([0, 0])  # one prompt becomes two beams
    run([[99], [100]])
    session.reorder_states([1, 0, 1])
    session.reorder_states([1, 2])  # both before the next run: abc, abd
    run([[120], [121]])
    assert session.state_length() == 4
    found = run([[112], [112]])
    # 1e-4 on logits up to 40: batches of other sizes add up in another order.
    np.testing.assert_allclose(found, [expected["abcxp"], expected["abdyp"]], rtol=0, atol=1e-4)
    session.reorder_states([1])
    session.truncate_states(3)
    assert session.state_length() == 3
    np.testing.assert_allclose(run([[122]])[0], expected["abdz"], rtol=0, atol=1e-4)
    session.truncate_states(2)
    np.testing.assert_allclose(run([[113]])[0], expected["abq"], rtol=0, atol=1e-4)
    session.truncate_states(0)
    assert session.state_length() == 0
