"""What an export says when it is done: programs, ops, parameters, bytes, and the error against PyTorch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyon_export.compare import Difference


@dataclass(frozen=True)
class ProgramReport:
    """ops: op name -> count after lowering; bytes: of the weights it reads (shared ones count in each program)."""

    name: str
    onnx_nodes: int
    ops: dict[str, int]
    parameters: int
    bytes: int
    states: int


@dataclass(frozen=True)
class Report:
    """differences: one for each engine that ran; skipped: engines that did not, and why."""

    model: str
    out: Path
    file_bytes: int
    parameters: int
    opset: int
    audio: str
    programs: list[ProgramReport]
    differences: list[Difference]
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def max_error(self) -> float:
        """Largest absolute difference to PyTorch of any engine and any output."""
        return max((difference.worst for difference in self.differences), default=0.0)

    def __str__(self) -> str:
        lines = [
            f"{self.model} -> {self.out}",
            f"  {self.parameters / 1e6:.1f} M parameters, {self.file_bytes / 1e6:.1f} MB, ONNX opset {self.opset}",
            "",
            *_table(
                ["program", "ONNX nodes", "ops", "parameters", "MB", "states"],
                [
                    [p.name, p.onnx_nodes, sum(p.ops.values()), f"{p.parameters:,}", f"{p.bytes / 1e6:.1f}", p.states]
                    for p in self.programs
                ],
            ),
            "",
        ]
        for program in self.programs:
            ops = ", ".join(f"{count} {op}" for op, count in sorted(program.ops.items(), key=lambda item: -item[1]))
            lines.append(f"  {program.name}: {ops}")
        lines += ["", f"  maximum absolute error against PyTorch on {self.audio}:"]
        rows = [
            [d.engine, f"{d.encoder:.1e} of {d.encoder_scale:.0f}", f"{d.logits:.1e} of {d.logits_scale:.0f}"]
            for d in self.differences
        ]
        lines += _table(["engine", "encoder", f"logits, {self._steps} runs"], rows)
        lines += [f"  {engine}: not compared ({reason})" for engine, reason in self.skipped.items()]
        times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds.items())
        return "\n".join([*lines, "", f"  {times}"] if times else lines)

    @property
    def _steps(self) -> int:
        return len(self.differences[0].per_step) if self.differences else 0


def program_report(name: str, program: dict[str, Any], onnx_nodes: int, sizes: dict[str, int]) -> ProgramReport:
    """sizes: weight name -> number of parameters, as float32."""
    read = {value for op in program["ops"] for value in op["inputs"] if value in sizes}
    parameters = sum(sizes[weight] for weight in read)
    return ProgramReport(
        name=name,
        onnx_nodes=onnx_nodes,
        ops=dict(Counter(op["op"] for op in program["ops"])),
        parameters=parameters,
        bytes=4 * parameters,
        states=len(program["states"]),
    )


def _table(header: list[str], rows: list[list[Any]]) -> list[str]:
    """Columns aligned: text to the left, numbers to the right."""
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "   ".join(padded))
    return lines
