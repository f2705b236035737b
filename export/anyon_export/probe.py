"""Golden probes: small runs of every program and what must come out, kept in the bundle. numpy only.

An engine that computes something else on this machine is refused when a model is loaded. Inputs follow from their
shapes, and of outputs a sketch is kept, so that a probe takes a few kilobytes. What must come out is computed in numpy,
op by op, from the weights as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from anyon_export.interpreter import Interpreter

Array = npt.NDArray[Any]
Sizes = dict[str, int]

VERSION = 2  # changes with what a probe's bundle holds
SKETCH = 64  # numbers kept of each output
TENSOR = "probe"
MOST_BYTES = 1 << 20  # of inputs that a bundle keeps
# Allowed errors of a sketch as a share of its size. Ops on floats: other orders of summation give 4e-6. On integers:
# every engine rounds activations in its own way, which on noise gives up to 0.07. A wrong op gives about 1.
FLOATS, INTEGERS = 1e-3, 0.2
_SINGLE = ("batch", "time", "rows")
_NUMPY = {"f32": np.float32, "i64": np.int64}
_COMPARED = ("f32", "f16", "bf16", "f64")

# Sizes of each run of each program of a family, where a model does not bound them; runs of a program follow one
# another, states stay between them.
RUNS: dict[str, dict[str, list[Sizes]]] = {
    "whisper": {
        "encoder": [{"batch": 1, "frames2": 64}],
        "decoder": [
            {"batch": 1, "time": 3, "rows": 3, "frames": 32},
            {"batch": 1, "time": 1, "rows": 1, "frames": 32},
        ],
    }
}


def make_inputs(program: Mapping[str, Any], sizes: Sizes) -> dict[str, Array]:
    """Floats: noise in -1..1, the same everywhere; whole numbers: 0, 1, 2, ... along the last axis."""
    inputs: dict[str, Array] = {}
    for index, spec in enumerate(program["inputs"]):
        shape = [sizes[dim] if isinstance(dim, str) else int(dim) for dim in spec["shape"]]
        if spec["dtype"] == "i64":
            inputs[spec["name"]] = np.ascontiguousarray(np.broadcast_to(np.arange(shape[-1], dtype=np.int64), shape))
        else:
            noise = _hash(int(np.prod(shape)), index) / np.float64(2**31) - 1
            inputs[spec["name"]] = noise.reshape(shape).astype(_NUMPY[spec["dtype"]])
    return inputs


def inputs_of(program: Mapping[str, Any], run: Mapping[str, Any], tensor: Callable[[str], Array]) -> dict[str, Array]:
    """The inputs of a run that a manifest describes, in the program's order; tensor: reads one of the bundle's."""
    if "sizes" in run:
        return make_inputs(program, run["sizes"])
    return {spec["name"]: tensor(run["inputs"][spec["name"]]) for spec in program["inputs"]}


def full_size(program: Mapping[str, Any]) -> Sizes:
    """Sizes of a typical run: one token of one recording, everything else as long as it may be."""
    return {dim: 1 if dim in _SINGLE else int(bounds[1]) for dim, bounds in program["dims"].items()}


def sketch(output: Array, dtype: str = "f32") -> Array:
    """(SKETCH,) float64: sums of the elements with signs. A single wrong element changes one of them by its error."""
    if dtype == "bf16":  # numpy has none: its bits as uint16
        output = (output.astype(np.uint32) << np.uint32(16)).view(np.float32)
    flat = np.asarray(output, np.float64).reshape(-1)
    signed = np.where(_hash(flat.size, 0) & 1, flat, -flat)
    sums: Array = np.pad(signed, (0, -signed.size % SKETCH)).reshape(-1, SKETCH).sum(axis=0)
    return sums


def section(family: str, programs: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of the probe; {} for a family that has none. The rows of its tensor are the outputs of
    each run of each program, in this order."""
    runs = RUNS.get(family, {})
    if not runs or not set(runs) <= set(programs):
        return {}
    integers = any(op["op"].endswith(("_i8", "_i4")) for name in runs for op in programs[name]["ops"])
    return {
        "tensor": TENSOR,
        "tolerance": INTEGERS if integers else FLOATS,
        "runs": {
            name: [
                {
                    "sizes": _within(sizes, programs[name]),
                    "outputs": [spec["name"] for spec in programs[name]["outputs"]],
                }
                for sizes in found
            ]
            for name, found in runs.items()
        },
    }


def _within(sizes: Sizes, program: Mapping[str, Any]) -> Sizes:
    return {dim: min(size, int(program["dims"][dim][1])) for dim, size in sizes.items()}


def rows(probe: Mapping[str, Any]) -> int:
    return sum(len(run["outputs"]) for runs in probe["runs"].values() for run in runs)


def compute(probe: Mapping[str, Any], programs: Mapping[str, Any], weights: Mapping[str, Array]) -> Array:
    """(rows, SKETCH) float32. weights: the bundle's tensors."""
    found: list[Array] = []
    for name, runs in probe["runs"].items():
        interpreter = Interpreter(programs[name], weights, exact=False)
        for run in runs:
            outputs = interpreter.run(**make_inputs(programs[name], run["sizes"]))
            found += [sketch(outputs[output]) for output in run["outputs"]]
    return np.asarray(found, np.float32)


def example(
    program: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array], dtypes: Mapping[str, str], tolerance: float
) -> tuple[dict[str, Any], dict[str, Array]]:
    """A probe of one run with inputs of its own, and the tensors it needs; both empty for inputs that are too large or
    outputs without numbers to compare. dtypes: of the outputs."""
    sketches = {name: sketch(array, dtypes[name]) for name, array in outputs.items() if dtypes[name] in _COMPARED}
    compared = [name for name, row in sketches.items() if np.isfinite(row).all() and row.any()]
    if not compared or sum(array.nbytes for array in inputs.values()) > MOST_BYTES:
        return {}, {}
    tensors = {f"{TENSOR}.{name}": array for name, array in inputs.items()}
    run = {"inputs": {name: f"{TENSOR}.{name}" for name in inputs}, "outputs": compared}
    tensors[TENSOR] = np.asarray([sketches[name] for name in compared], np.float32)
    return {"tensor": TENSOR, "tolerance": tolerance, "runs": {program: [run]}}, tensors


def distance(output: Array, expected: Array, dtype: str = "f32") -> float:
    """How far an output is from its sketch, as a share of the sketch's size; infinite for what is no number."""
    error = float(np.linalg.norm(sketch(output, dtype) - expected)) / max(float(np.linalg.norm(expected)), 1e-30)
    return error if error == error else float("inf")


def _hash(count: int, seed: int) -> npt.NDArray[np.uint32]:
    """count numbers that look random and are the same on every machine (the finalizer of MurmurHash3, Appleby 2016)."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed * 7919 + 1)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x
