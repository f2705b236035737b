"""Golden probes: a backend that computes wrong numbers is refused, and the next one is taken and says why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anyon
from anyon import _native, golden
from anyon.backends import base, get_backend
from anyon.backends.native_backend import NativeBackend
from anyon.bundle import Bundle
from anyon.calibration import Around
from anyon_export import probe

pytestmark = pytest.mark.usefixtures("native")


class Broken(Around):
    """A session whose results go through `spoil` before anyone sees them."""

    def __init__(self, inner: Any, spoil: Any) -> None:
        super().__init__(inner)
        self._spoil = spoil

    def run(self, inputs: list[Any]) -> list[Any]:
        return [self._spoil(np.array(output)) for output in super().run(inputs)]


class Forgetful(Broken):
    """Loses its cache after every run."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, lambda output: output)

    def run(self, inputs: list[Any]) -> list[Any]:
        self.inner.reset_states()
        return super().run(inputs)


def one_wrong_element(output: Any) -> Any:
    output.reshape(-1)[output.size // 2] += 1 + 0.05 * np.abs(output).max()
    return output


def break_native(monkeypatch: pytest.MonkeyPatch, wrap: Any) -> None:
    prepare = NativeBackend.prepare

    def spoiled(*arguments: Any) -> base.Prepared:
        prepared = prepare(*arguments)
        return replace(prepared, session=wrap(prepared.session))

    monkeypatch.setattr(NativeBackend, "prepare", spoiled)


SPOILED = {
    "five per cent too large": lambda inner: Broken(inner, lambda output: output * np.float32(1.05)),
    "one element": lambda inner: Broken(inner, one_wrong_element),
    "not a number": lambda inner: Broken(inner, lambda output: output * np.float32("nan")),
    "zeros": lambda inner: Broken(inner, np.zeros_like),
    "the cache is lost": Forgetful,
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_backend_that_computes_wrongly_is_refused(
    tiny_en: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    break_native(monkeypatch, SPOILED[how])
    with pytest.raises(anyon.BackendError, match=r"computes program .* wrongly on this machine: its probe is off by"):
        anyon.load(tiny_en.info["bundle"], backend="native", cache_dir=tmp_path)


def test_perturbed_weights_are_seen(tiny_en: Any, tmp_path: Path) -> None:
    """One matrix of one layer, a tenth larger: what a driver that reads the wrong bytes would do at the least."""
    path = tmp_path / "perturbed.anyon"
    content = bytearray(Path(tiny_en.info["bundle"]).read_bytes())
    bundle = Bundle(tiny_en.info["bundle"])
    weight = bundle.native.tensor("decoder.blocks.1.mlp.0.weight")
    begin = content.find(weight.tobytes()[:4096])
    size = weight.nbytes
    content[begin : begin + size] = (np.frombuffer(content, np.float32, size // 4, begin) * np.float32(1.1)).tobytes()
    path.write_bytes(content)
    with pytest.raises(anyon.BackendError, match="computes program 'decoder' wrongly"):
        anyon.load(path, backend="native", cache_dir=tmp_path)


def test_the_next_backend_is_taken_with_a_warning_and_a_placement(
    tiny_en: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    monkeypatch.setattr("anyon.selection.NAMES", ("native", "onnxruntime"))
    break_native(monkeypatch, SPOILED["five per cent too large"])
    with pytest.warns(anyon.BackendWarning, match="backend native computes program"):
        model = anyon.load(tiny_en.info["bundle"], cache_dir=tmp_path)
    assert [place.backend for place in model.placement] == ["onnxruntime", "onnxruntime"]
    assert all("fallback: native refused" in place.reason and "off by" in place.reason for place in model.placement)
    with pytest.raises(anyon.BackendError, match="wrongly on this machine"):
        anyon.load(tiny_en.info["bundle"], cache_dir=tmp_path, strict=True)


@pytest.mark.parametrize("isa", ["scalar", None])
@pytest.mark.parametrize("recipe", ["f32", "int8", "int4"])
def test_the_native_runtime_is_far_inside_the_tolerance(
    cache: Path, demo_folder: Path, recipe: str, isa: str | None, tmp_path: Path
) -> None:
    """Measured: f32 4e-6 of 1e-3; int8 and int4 0.05 of 0.2, where rounding of activations differs by ISA."""
    model = anyon.load("tiny.en", recipe=recipe, cache_dir=cache)
    again = anyon.load(model.info["bundle"], isa=isa, cache_dir=tmp_path)
    found = [float(path.read_text()) for path in (tmp_path / "probes").iterdir()]
    assert len(found) == len(again.placement) == 2
    assert max(found) <= (1e-5 if recipe == "f32" else 0.1)


def test_what_was_right_once_is_not_run_again(tiny_en: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anyon.load(tiny_en.info["bundle"], cache_dir=tmp_path)
    monkeypatch.setattr(golden, "_difference", lambda *_: pytest.fail("the probe ran again"))
    anyon.load(tiny_en.info["bundle"], cache_dir=tmp_path)
    with pytest.raises(pytest.fail.Exception):  # another ISA is another verdict
        anyon.load(tiny_en.info["bundle"], cache_dir=tmp_path, isa="scalar")


def test_a_probe_that_is_damaged_is_named(tiny_en: Any, tmp_path: Path) -> None:
    bundle = Bundle(tiny_en.info["bundle"])
    bundle.manifest["probe"]["runs"]["encoder"][0]["sizes"] = {}
    backend = get_backend("native")
    resources = base.Resources(1, _native.ThreadPool(1), None)
    prepared = backend.prepare(bundle, "encoder", resources)
    with pytest.raises(anyon.BundleError, match="the probe of program 'encoder' is damaged"):
        golden.check(
            bundle, "encoder", prepared.session, prepared.placement("encoder", "native", ""), backend, tmp_path
        )


def test_a_sketch_sees_every_element() -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    row = probe.sketch(values).astype(np.float32)
    for index in range(len(values)):
        spoiled = values.copy()
        spoiled[index] += 0.5
        assert probe.distance(spoiled, row) > probe.FLOATS
    assert probe.distance(values, row) < 1e-6


def test_integers_anywhere_in_a_program_widen_the_tolerance() -> None:
    """Weights in floats under attention in 8 bits, as a search leaves them: 0.008 off, which is rounding."""
    from anyon.conversion import BLUEPRINTS
    from anyon_export.blueprint import load
    from anyon_export.quantize import quantize
    from anyon_quantization.recipes import standard

    blueprint = load(BLUEPRINTS / "whisper-tiny.en.json.gz")
    mixed = quantize(blueprint, replace(standard("f16"), name="mixed", attention="i8"))
    assert probe.section("whisper", mixed.programs)["tolerance"] == probe.INTEGERS
    assert probe.section("whisper", blueprint.programs)["tolerance"] == probe.FLOATS


def test_a_wrong_op_is_seen(tiny_en: Any, tmp_path: Path) -> None:
    """One GELU of the encoder left out."""
    path = tmp_path / "wrong.anyon"
    content = Path(tiny_en.info["bundle"]).read_bytes()
    gelu, none = (rb"\"activation\":\"%s\"" % name for name in (b"gelu", b"none"))
    assert gelu in content
    # Without the hash of its header, as bundles of before there was one.
    hashed = re.compile(rb'"header_sha256":"[0-9a-f]{64}",')
    content = hashed.sub(lambda entry: b" " * len(entry[0]), content, count=1)
    path.write_bytes(content.replace(gelu, none, 1))
    with pytest.raises(anyon.BackendError, match="computes program 'encoder' wrongly"):
        anyon.load(path, backend="native", cache_dir=tmp_path)


def test_a_module_of_ones_own_carries_its_example_as_a_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
    path = tmp_path / "mine.anyon"
    anyon.export(torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU()), (torch.ones(2, 8),), path=path)
    anyon.load(path, backend="native", cache_dir=tmp_path)
    (passed,) = (tmp_path / "probes").iterdir()
    assert float(passed.read_text()) <= 1e-6
    break_native(monkeypatch, SPOILED["one element"])
    with pytest.raises(anyon.BackendError, match="computes program 'main' wrongly"):
        anyon.load(path, backend="native", cache_dir=tmp_path / "another")


def test_an_engine_that_was_asked_for_16_bits_may_round_like_it(tiny_en: Any, tmp_path: Path) -> None:
    """Measured: 0.029 of 0.1 allowed."""
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'anyon[openvino]'")
    if "bf16" not in get_backend("openvino").probe().precisions:
        pytest.skip("OpenVINO does not compute in bf16 on this processor")
    anyon.load(tiny_en.info["bundle"], backend="openvino", precision="bf16", cache_dir=tmp_path)
    found = [float(path.read_text()) for path in (tmp_path / "probes").iterdir()]
    assert probe.FLOATS < max(found) <= 0.06
