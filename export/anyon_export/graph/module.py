"""Any PyTorch module -> a bundle: torch.export, ONNX, a graph program with plain weights, checked against PyTorch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon_export import probe
from anyon_export.bundle import bundle_bytes, write_bundle
from anyon_export.export import INSTALL, ExportError
from anyon_export.value_types import Array

if TYPE_CHECKING:
    import onnx
    from torch import nn

PROGRAM = "main"
OPSET = 23  # the first one with Attention and RotaryEmbedding
# Largest error that counts as agreement, as a share of the largest magnitude (at least 1): rounding of float32 in
# another order stays below 1e-4, a wrong op is far above.
TOLERANCE = 1e-3
_COARSE = 0.05  # of a probe of a module in 16 bits: engines round them at different places


@dataclass(frozen=True)
class ModuleReport:
    """What an export made. max_error: the largest over all outputs, None when nothing ran natively; refused: why the
    native backend does not run it, "" when it does."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: int
    max_error: float | None
    refused: str

    def __str__(self) -> str:
        where = f"native, within {self.max_error:.1e} of PyTorch" if not self.refused else "another backend"
        text = f"{self.path}: {self.nodes} nodes, {', '.join(self.inputs)} -> {', '.join(self.outputs)}: {where}"
        return f"{text}\nnot native: {self.refused}" if self.refused else text


def export_module(
    module: nn.Module,
    example_inputs: Sequence[Any] | Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    dynamic_shapes: Any = None,
    output_names: Sequence[str] | None = None,
    name: str = "",
    opset: int = OPSET,
    strict: bool = False,
) -> ModuleReport:
    """Writes `module` as a bundle to `path`, with its ONNX graph for other engines.

    example_inputs: positional arguments of forward, or keyword arguments as a mapping. dynamic_shapes: as torch.export
    takes them; every other dimension is fixed. output_names: default the keys of what forward returns.
    The native backend runs the examples and is compared with PyTorch; when it lacks an op or disagrees, the bundle says
    so and is placed on ONNX Runtime, or with `strict` this is an ExportError and nothing is written.
    Raises ExportError, BundleWriteError.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise ExportError(f"export: {error.name} is not installed; {INSTALL}") from error
    from anyon_export.graph import torch_graph
    from anyon_export.graph.program import GraphError, to_program

    source = torch_graph.trace(module, example_inputs, dynamic_shapes, output_names, opset)
    names = {tensor: tensor for tensor in source.weights}
    tensors: dict[str, Array] = dict(source.weights)
    tensors[f"onnx.{PROGRAM}"] = source.serialized()
    manifest: dict[str, Any] = {
        "family": "graph",
        "task": "",
        "name": name or type(module).__name__,
        "source": {"id": type(module).__name__, "format": "torch", "sha256": "", "licence": ""},
        "recipe": _precision(source.weights),
        "programs": {},
        "onnx": {PROGRAM: {"graph": f"onnx.{PROGRAM}", "initializers": _rows(source.weights)}},
    }
    expanded, lacks = _expanded(source.model)
    try:
        program = to_program(expanded, dims=source.bounds, external=names, places=source.places)
        refused = _missing(expanded, source, lacks)
    except GraphError as error:
        raise ExportError(f"export: {error}") from error
    manifest["programs"][PROGRAM] = program.section
    tensors.update(program.tensors)
    target, max_error = Path(path), None
    if not refused:
        refused, max_error = _compare(manifest, tensors, source)
    if refused and strict:
        raise ExportError(f"export: the native backend does not run {manifest['name']}: {refused}")
    if refused:
        program.section["refused"] = _short(refused)
    golden, kept = _probe(program.section, source, str(manifest["recipe"]))
    if golden:
        manifest["probe"] = golden
        tensors.update(kept)
    write_bundle(target, manifest, tensors)
    return ModuleReport(
        target,
        tuple(port["name"] for port in program.section["inputs"]),
        tuple(port["name"] for port in program.section["outputs"]),
        len(program.section["ops"]),
        max_error,
        refused,
    )


def _precision(weights: Mapping[str, Array]) -> str:
    """The type that most weight bytes have, as a recipe is called."""
    sizes: dict[str, int] = {}
    for array in weights.values():
        sizes[str(array.dtype)] = sizes.get(str(array.dtype), 0) + array.nbytes
    most = max(sizes, key=lambda dtype: sizes[dtype], default="float32")
    return {"float16": "f16", "bfloat16": "bf16", "float64": "f64"}.get(most, "f32")


def _rows(weights: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
    """Where ONNX engines find their initializers: each is a tensor of its own, as it is."""
    rows: dict[str, dict[str, Any]] = {}
    for name, array in weights.items():
        first = array.shape[0] if array.ndim else 0
        rows[name] = {"tensor": name, "layout": "plain", "rows": [0, first], "shape": list(array.shape)}
        if str(array.dtype) == "bfloat16":
            rows[name]["dtype"] = "bfloat16"
    return rows


def _expanded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, int]]:
    """The graph in native ops as far as they go, and the oldest opset of each of them."""
    from anyon_export.graph.functions import expand_functions

    try:
        from anyon import _native
    except ImportError as error:
        raise ExportError(f"export: the runtime cannot be loaded: {error} (reinstall anyon)") from error
    native = {op: since for op, since, _ in _native.graph_ops()}
    return expand_functions(model, native), native


def _missing(model: onnx.ModelProto, source: Any, native: Mapping[str, int]) -> str:
    """One text that lists every op the runtime lacks with the places in the source that ask for it; "" for none."""
    from anyon_export.graph.functions import MAIN_DOMAIN, walk

    places: dict[str, list[str]] = {}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in walk(model.graph):
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in walk(model.graph):
        op = node.op_type if node.domain in MAIN_DOMAIN else f"{node.domain}.{node.op_type}"
        if op != "Constant" and op not in native:
            places.setdefault(op, []).append(_place(node, source, readers))
    lines = []
    for op, found in sorted(places.items()):
        different = list(dict.fromkeys(found))
        more = f" and {len(different) - 5} more places" if len(different) > 5 else ""
        lines.append(f"\n  {op}: {'; '.join(different[:5])}{more}")
    return f"no function for {len(lines)} ops:{''.join(lines)}" if lines else ""


def _place(node: onnx.NodeProto, source: Any, readers: Mapping[str, list[onnx.NodeProto]]) -> str:
    """Where it stands in the source; inside a definition of ONNX: where what the definition gives stands."""
    reached, seen = [node], set()
    for each in reached:
        where = source.where(each)
        if where:
            return str(where)
        for name in each.output:
            if name not in seen:
                seen.add(name)
                reached.extend(readers.get(name, []))
    return node.name


def _compare(manifest: dict[str, Any], tensors: dict[str, Array], source: Any) -> tuple[str, float | None]:
    """Runs the example natively: (why it is refused, the largest error)."""
    import numpy as np

    from anyon import _native

    graph = {name: array for name, array in tensors.items() if not name.startswith("onnx.")}
    try:
        bundle = _native.Bundle.from_bytes(bundle_bytes(manifest, graph), manifest["name"])
        session = bundle.session(PROGRAM, _native.ThreadPool(1))
        results = session.run(source.arguments())
    except _native.AnyonNativeError as error:
        return str(error).replace(f"{manifest['name']}: program {PROGRAM!r}: ", ""), None
    worst = 0.0
    for port, result, expected in zip(session.outputs, results, source.results(), strict=True):
        if result.shape != expected.shape:
            return f"output {port[0]!r} has shape {list(result.shape)}, PyTorch gives {list(expected.shape)}", None
        if expected.dtype.kind not in "fV" or not expected.size:
            if not np.array_equal(result, expected):
                return f"output {port[0]!r} differs from PyTorch's whole numbers", None
            continue
        difference, scale = source.difference(result, expected)
        if not difference <= TOLERANCE * max(1.0, scale):
            return f"output {port[0]!r} is {difference:.2e} away from PyTorch's, of values up to {scale:.2e}", None
        worst = max(worst, difference)
    return "", worst


def _probe(section: Mapping[str, Any], source: Any, precision: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The example and what PyTorch made of it; see anyon_export.probe."""
    inputs, outputs = section["inputs"], section["outputs"]
    return probe.example(
        PROGRAM,
        {port["name"]: array for port, array in zip(inputs, source.arguments(), strict=True)},
        {port["name"]: array for port, array in zip(outputs, source.results(), strict=True)},
        {port["name"]: port["dtype"] for port in outputs},
        _COARSE if precision in ("f16", "bf16") else probe.FLOATS,
    )


def _short(reason: str) -> str:
    """As the manifest keeps it: without folders of this machine."""
    return re.sub(r"(/[\w.\-]+)+/", "", reason)[:4000]
