"""Lowering: an ONNX graph becomes the flat op list that the native runtime executes. One pass per file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx

from anyon_export.expressions import Expression
from anyon_export.lowering.activation import activation
from anyon_export.lowering.attention import attention
from anyon_export.lowering.conv1d import conv1d
from anyon_export.lowering.dead_code import dead_code
from anyon_export.lowering.embedding import embedding
from anyon_export.lowering.emit import emit
from anyon_export.lowering.fold_constants import fold_constants
from anyon_export.lowering.graph import Graph, LoweringError
from anyon_export.lowering.heads import split_heads
from anyon_export.lowering.identities import identities
from anyon_export.lowering.import_onnx import import_onnx
from anyon_export.lowering.linear import linear
from anyon_export.lowering.names import names
from anyon_export.lowering.native_ops import native_ops
from anyon_export.lowering.normalization import normalization
from anyon_export.lowering.pack import pack
from anyon_export.lowering.prefix import prefix
from anyon_export.lowering.qkv import qkv
from anyon_export.lowering.residual import residual
from anyon_export.lowering.states import states
from anyon_export.lowering.transposes import transposes
from anyon_export.onnx_export import ProgramSpec

# The order matters: an activation must be fused before a convolution changes its layout, attention must be recognised
# before its states, and states before query, key and value become one product.
PASSES: tuple[Callable[[Graph], None], ...] = (
    fold_constants,
    identities,
    linear,
    activation,
    conv1d,
    transposes,
    prefix,
    residual,
    normalization,
    embedding,
    attention,
    dead_code,
    states,
    dead_code,
    qkv,
    split_heads,
    native_ops,
    dead_code,
    pack,
    names,
)


@dataclass(frozen=True)
class LoweredProgram:
    """program: the manifest's section; weights: its tensors by name, as expressions over checkpoint tensors."""

    program: dict[str, Any]
    weights: dict[str, Expression]


def lower(model: onnx.ModelProto, spec: ProgramSpec) -> LoweredProgram:
    """Runs every pass. Raises LoweringError when states cannot be kept in place or the graph is inconsistent.

    Ops without a native counterpart stay in the program under their ONNX name; the executor names them.
    """
    graph = import_onnx(model, spec)
    for lowering_pass in PASSES:
        lowering_pass(graph)
        graph.sort()
    program = emit(graph, spec)
    return LoweredProgram(program, dict(graph.weights))


__all__ = ["PASSES", "LoweredProgram", "LoweringError", "lower"]
