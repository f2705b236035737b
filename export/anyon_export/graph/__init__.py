"""Graph programs: an ONNX graph node for node, for the executor that has a function for every ordinary ONNX op.

Unlike lowering, nothing is fused and no shape is planned, so that any graph of supported ops runs.
"""

from anyon_export.graph.program import GraphError, GraphProgram, to_program

__all__ = ["GraphError", "GraphProgram", "to_program"]
