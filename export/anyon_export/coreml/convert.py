"""From a PyTorch program to an ML program in memory: torch.export, then coremltools."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from anyon_export.coreml.programs import Port, Program

# The first with states, weights in blocks of 4 bits and tables for groups of channels: iOS 18, macOS 15 and their kin.
TARGET = "iOS18"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without coremltools' progress bars, and its remarks on newer versions of torch and on what Linux lacks."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def convert(program: Program, half: bool) -> Any:
    """The program as a coremltools MLModel, not yet compressed. half: computes in float16, else in float32.

    Raises what torch.export and coremltools raise.
    """
    with quiet():
        import coremltools as ct

        _register_write_rows()
        with torch.no_grad():
            exported = torch.export.export(
                program.module.eval(), program.example, dynamic_shapes=program.dynamic_shapes, strict=False
            ).run_decompositions({})
        return ct.convert(
            exported,
            inputs=[_tensor_type(port) for port in program.inputs],
            outputs=[_tensor_type(port) for port in program.outputs],
            minimum_deployment_target=getattr(ct.target, TARGET),
            compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
            skip_model_load=True,
        )


def _tensor_type(port: Port) -> Any:
    """Its shape is the exported program's."""
    import coremltools as ct
    import numpy as np

    return ct.TensorType(name=port.name, dtype=np.dtype(port.dtype).type)


@cache
def _register_write_rows() -> None:
    """Teaches coremltools our op."""
    from coremltools.converters.mil import Builder, register_torch_op
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs

    def write_rows(context: Any, node: Any) -> None:
        state, rows, first, last = _get_inputs(context, node, expected=4)
        _, heads, _, head_dim = state.shape
        begin = Builder.concat(values=[[0, 0], first, [0]], axis=0)
        end = Builder.concat(values=[[1, heads], last, [head_dim]], axis=0)
        context.add(Builder.slice_update(x=state, update=rows, begin=begin, end=end, name=node.name))

    register_torch_op(torch_alias=["anyon::write_rows"], override=True)(write_rows)
