"""A bundle's programs as ONNX files that run without anyon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from anyon_export.bundle_reader import BundleReader
from anyon_export.draft import drafted
from anyon_export.expressions import Array
from anyon_export.onnx_nodes import UINT4, Graph, Tensor, read_graph
from anyon_export.onnxruntime_graph import fused_graph
from anyon_export.target import Artefact

# Weights beyond this go into a file of their own: a model with everything inside must stay below 2 GiB, and is read
# whole before anything else can be.
_EMBEDDED = 16 << 20
_ALIGNMENT = 4096  # of weights in their file, so that engines can map it


def write(bundle: Path, folder: Path, *, fused: bool = False) -> Artefact:
    """Writes `<program>.onnx`, and `<program>.onnx.data` beside it when the weights are large, for every program.

    fused: quantised products and look-ups as ONNX Runtime's own ops (com.microsoft), many times faster there and
    unknown elsewhere; otherwise standard ONNX. The same bundle gives the same bytes.

    Raises ValueError for a bundle without ONNX graphs, OSError when the files cannot be written, and what onnx.checker
    raises, which would be a mistake of ours.
    """
    import onnx

    reader = BundleReader(bundle)
    with drafted(folder) as draft:
        for program in reader.graphs():
            _write_program(reader, program, draft, fused)
            onnx.checker.check_model(draft / f"{program}.onnx", full_check=True)
        names = sorted(path.name for path in draft.iterdir())
    states = [state for program in reader.graphs() for state in reader.states(program)]
    pairs = "".join(f"{state['onnx_output']} -> {state['onnx_input']}, ..." for state in states[:1])
    return Artefact(
        "onnx",
        tuple(folder / name for name in names),
        f"{len(states)}, outputs of a run are inputs of the next" if states else "none",
        ("ONNX Runtime's own ops" if fused else "standard ONNX") + (f"; {pairs}" if states else ""),
    )


def _write_program(reader: BundleReader, program: str, folder: Path, fused: bool) -> None:
    graph, arrays = _contents(reader, program, fused)
    sizes = {name: _nbytes(tensor, arrays[name]) for name, tensor in graph.weights.items()}
    if sum(sizes.values()) <= _EMBEDDED:
        for name, tensor in graph.weights.items():
            graph.weights[name] = replace(tensor, raw=_content(arrays[name], sizes[name]).tobytes())
    else:
        _write_data(graph, arrays, sizes, folder / f"{program}.onnx.data")
    (folder / f"{program}.onnx").write_bytes(graph.serialized())


def _contents(reader: BundleReader, program: str, fused: bool) -> tuple[Graph, Mapping[str, Array]]:
    rows = reader.rows(program)
    if fused:
        graph, weights = fused_graph(reader.graph(program), rows, reader.initializer)
        return read_graph(graph), {name: weight.array for name, weight in weights.items()}
    opened = read_graph(reader.graph(program))
    return opened, {name: reader.initializer(name, rows[name]) for name in opened.weights}


def _write_data(graph: Graph, arrays: Mapping[str, Array], sizes: Mapping[str, int], path: Path) -> None:
    with open(path, "xb") as file:
        for name, tensor in graph.weights.items():
            file.write(bytes(-file.tell() % _ALIGNMENT))
            graph.weights[name] = replace(tensor, place=(path.name, file.tell(), sizes[name]))
            file.write(_content(arrays[name], sizes[name]).data)


def _nbytes(tensor: Tensor, array: Array) -> int:
    """Two values of 4 bits share a byte; such an array has its shape, and its values in the first half."""
    return -(-array.size // 2) if tensor.type == UINT4 else array.nbytes


def _content(array: Array, nbytes: int) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)[:nbytes]
