"""`anyon.export`: a PyTorch module of one's own becomes a bundle that runs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'anyon[export]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'anyon[export]'")

import anyon  # noqa: E402
from anyon import _native  # noqa: E402


class Net(torch.nn.Module):  # type: ignore[name-defined,misc]
    """(rows, 4) -> class (rows), scores (rows, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 3))

    def forward(self, x: Any, shift: Any) -> dict[str, Any]:
        scores = self.body(x) + shift
        return {"label": scores.argmax(-1), "scores": scores}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Path, Any]:
    torch.manual_seed(0)
    net, path = Net(), tmp_path_factory.mktemp("export") / "net.anyon"
    rows = torch.export.Dim("rows", min=1, max=50)
    report = anyon.export(
        net, (torch.randn(2, 4), torch.ones(3)), dynamic_shapes=({0: rows}, None), path=path, strict=True
    )
    return net, path, report


def test_the_report_names_inputs_outputs_and_the_error(exported: Any) -> None:
    _, path, report = exported
    assert (report.inputs, report.outputs) == (("x", "shift"), ("label", "scores"))
    assert report.path == path
    assert report.max_error < 1e-5  # rounding of float32
    assert report.refused == ""


def test_any_number_of_rows_within_the_bounds(exported: Any) -> None:
    net, path, _ = exported
    model = anyon.load(path, backend="native")
    assert model.inputs == [("x", "f32", ["rows", "4"]), ("shift", "f32", ["3"])]
    assert [place.backend for place in model.placement] == ["native"]
    for rows in (1, 2, 7, 50):
        x = np.random.default_rng(rows).standard_normal((rows, 4), np.float32)
        with torch.no_grad():
            expected = net(torch.from_numpy(x), torch.ones(3))
        result = model.run(x, shift=np.ones(3, np.float32))
        np.testing.assert_array_equal(result["label"], expected["label"].numpy())
        np.testing.assert_allclose(result["scores"], expected["scores"].numpy(), rtol=0, atol=1e-5)
    with pytest.raises(anyon.AnyonError, match=r"'rows'.*must be .* to 50"):
        model.run(np.zeros((51, 4), np.float32), np.ones(3, np.float32))


def test_arguments_that_do_not_fit_are_named(exported: Any) -> None:
    model = anyon.load(exported[1])
    x, shift = np.zeros((2, 4), np.float32), np.ones(3, np.float32)
    with pytest.raises(anyon.OptionError, match="input shift is missing; the model takes x, shift"):
        model.run(x)
    with pytest.raises(anyon.OptionError, match="input 'bias' is unknown"):
        model.run(x, shift, bias=shift)
    with pytest.raises(anyon.OptionError, match="input 'x' is given twice"):
        model.run(x, x=x)
    with pytest.raises(anyon.OptionError, match=r"input 'x' is float64, the model takes f32 .*astype\(numpy.float32\)"):
        model.run(x.astype(np.float64), shift)
    with pytest.raises(anyon.AnyonError, match="axis 1 must be 4"):
        model.run(np.zeros((2, 5), np.float32), shift)
    assert model.run(x, shift)["scores"].shape == (2, 3), "an error leaves the model usable"


@pytest.fixture
def without_gelu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that lacks Gelu and what ONNX defines it by."""
    rows = [row for row in _native.graph_ops() if row[0] not in ("Gelu", "Erf")]
    monkeypatch.setattr(_native, "graph_ops", lambda: rows)


@pytest.mark.usefixtures("without_gelu")
def test_a_missing_op_places_the_model_elsewhere_and_says_why(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    net, path = Net(), tmp_path / "net.anyon"
    report = anyon.export(net, (torch.randn(2, 4), torch.ones(3)), path=path)
    assert report.refused.startswith("no function for 1 ops:\n  Erf: body.1 (")
    assert "test_export_module.py" in report.refused
    model = anyon.load(path)
    place = model.placement[0]
    assert place.backend == "onnxruntime"
    assert "native refused" in place.reason
    assert "Erf: body.1" in place.reason
    assert str(Path(__file__).parent) not in place.reason, "a bundle carries no folders of the machine that made it"
    x = torch.randn(2, 4)
    with torch.no_grad():
        expected = net(x, torch.ones(3))["scores"].numpy()
    np.testing.assert_allclose(model.run(x, torch.ones(3))["scores"], expected, rtol=0, atol=1e-5)
    with pytest.raises(anyon.BackendError, match=r"Erf: body\.1"):
        anyon.load(path, strict=True)


@pytest.mark.usefixtures("without_gelu")
def test_strict_refuses_a_missing_op_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(anyon.ExportError, match=r"does not run Net: no function for 1 ops:\n  Erf: body.1 \("):
        anyon.export(Net(), (torch.randn(2, 4), torch.ones(3)), path=tmp_path / "net.anyon", strict=True)
    assert list(tmp_path.iterdir()) == []


class Random(torch.nn.Module):  # type: ignore[name-defined,misc]
    def forward(self, x: Any) -> Any:
        return x + torch.randn_like(x)


def test_a_result_that_differs_from_pytorch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(anyon.ExportError, match=r"output 'output' is .* away from PyTorch's"):
        anyon.export(Random(), (torch.zeros(100),), path=tmp_path / "random.anyon", strict=True)


class Branch(torch.nn.Module):  # type: ignore[name-defined,misc]
    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


def test_a_module_that_pytorch_cannot_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(anyon.ExportError, match="PyTorch cannot export Branch"):
        anyon.export(Branch(), (torch.ones(3),), path=tmp_path / "branch.anyon")


class Counter(torch.nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Any) -> Any:
        self.seen += 1
        return x + self.seen


def test_a_module_that_remembers_in_its_buffers_is_refused(tmp_path: Path) -> None:
    """A graph would forget what it remembers: the first run agrees with PyTorch, the second would not."""
    with pytest.raises(anyon.ExportError, match="Counter changes its buffers seen while it runs"):
        anyon.export(Counter(), (torch.ones(3),), path=tmp_path / "counter.anyon")


class Nested(torch.nn.Module):  # type: ignore[name-defined,misc]
    def forward(self, pair: Any) -> Any:
        return pair[0] + pair[1], [pair[0] * 2, pair[1].to(torch.bfloat16)]


def test_nested_inputs_and_outputs_and_16_bit_floats(tmp_path: Path) -> None:
    path = tmp_path / "nested.anyon"
    report = anyon.export(Nested(), ((torch.ones(2), torch.full((2,), 3.0)),), path=path, strict=True)
    assert report.outputs == ("output_0", "output_1_0", "output_1_1")
    model = anyon.load(path)
    results = list(model.run(np.ones(2, np.float32), np.full(2, 3.0, np.float32)).values())
    np.testing.assert_array_equal(results[0], [4, 4])
    np.testing.assert_array_equal(results[1], [2, 2])
    assert results[2].tolist() == [0x4040, 0x4040]  # 3 as bfloat16


def test_weights_are_stored_once_for_both_engines(exported: Any) -> None:
    model = anyon.load(exported[1], backend="native")
    weights = 4 * (4 * 8 + 8 + 8 * 3 + 3)
    assert model.info["bytes"] < weights + 16_000  # the graph twice, as ONNX and as a program, is all there is besides
