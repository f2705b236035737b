"""A bundle's lowered programs as one module of Relax: a function for each program, a function of tensor IR for each op.

Arguments of a program's function: its inputs, `past` (positions held by the states) where it has states, the states,
then its weights; `Signature` names them. States are (batch, heads, capacity, head_dim) and changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tvm import relax, tirx

from anyon_export.tvm import attention, layer_norm, layout
from anyon_export.tvm.errors import UnsupportedProgramError
from anyon_export.tvm.linear import ACTIVATIONS, Product, linear
from anyon_export.tvm.tile import Registers
from anyon_export.tvm.vector import LANES

_DTYPES = {"f32": "float32", "f16": "float16", "i64": "int64"}


@dataclass(frozen=True)
class Weight:
    """A tensor of the bundle as it lies in the file."""

    dtype: str  # "float32" or "float16"
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """Names of a function's arguments, in order: inputs, (past), states, weights."""

    inputs: tuple[str, ...]
    states: tuple[str, ...]
    weights: tuple[str, ...]


def to_relax(
    programs: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Weight], registers: Registers
) -> tuple[Any, dict[str, Signature]]:
    """programs: as in the manifest; weights: by tensor name. Raises UnsupportedProgramError that names the op."""
    builder = relax.BlockBuilder()
    kernels = _Kernels(builder)
    signatures = {
        name: _Writer(name, program, weights, registers, builder, kernels).write() for name, program in programs.items()
    }
    return builder.finalize(), signatures


class _Kernels:
    """Functions of tensor IR, one for each different set of parameters."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self._made: dict[tuple[Any, ...], Any] = {}

    def get(self, make: Callable[..., Any], *parameters: Any) -> Any:
        key = (make, *parameters)
        if key not in self._made:
            name = f"{make.__name__}_{len(self._made)}"
            function = make(*parameters).with_attr("global_symbol", name)
            self._made[key] = self._builder.add_func(function, name)
        return self._made[key]


@dataclass
class _Writer:
    """Writes one program's function, op by op; a method `_<op>` for each op of the manifest."""

    name: str
    program: Mapping[str, Any]
    weights: Mapping[str, Weight]
    registers: Registers
    builder: Any
    kernels: _Kernels
    values: dict[str, Any] = field(default_factory=dict)
    used_weights: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    past: Any = None

    def write(self) -> Signature:
        dims: dict[str, Any] = {}
        inputs = [self._input(spec, dims) for spec in self.program["inputs"]]
        self.values = {spec["name"]: value for spec, value in zip(self.program["inputs"], inputs, strict=True)}
        for spec in self.program.get("states", []):
            self.states[spec["name"]] = self._state(spec, dims)
        operations = [self._method(op) for op in self.program["ops"]]
        for op in self.program["ops"]:
            for name in op["inputs"]:
                if name in self.weights and name not in self.used_weights:
                    weight = self.weights[name]
                    self.used_weights[name] = relax.Var(
                        f"weight_{len(self.used_weights)}", relax.TensorType(weight.shape, weight.dtype)
                    )
        parameters = list(inputs)
        if self.states:
            self.past = tirx.Var("past", "int64")
            parameters.append(self.past)
        parameters += [*self.states.values(), *self.used_weights.values()]
        with self.builder.function(self.name, parameters):
            with self.builder.dataflow():
                for op, method in zip(self.program["ops"], operations, strict=True):
                    (output,) = op["outputs"]
                    self.values[output] = method(*op["inputs"], **op["attrs"])
                result = self.builder.emit_output(
                    relax.Tuple([self.values[spec["name"]] for spec in self.program["outputs"]])
                )
            self.builder.emit_func_output(result)
        names = [spec["name"] for spec in self.program["inputs"]]
        return Signature(tuple(names), tuple(self.states), tuple(self.used_weights))

    def _method(self, op: Mapping[str, Any]) -> Callable[..., Any]:
        method: Callable[..., Any] | None = getattr(self, f"_{op['op']}_op", None)
        if method is None:
            raise UnsupportedProgramError(
                f"program {self.name!r}, op {op.get('name', op['op'])!r}: TVM has no kernel for {op['op']!r} "
                "(recipes f32 and f16 of Whisper models run on TVM)"
            )
        return method

    def _input(self, spec: Mapping[str, Any], dims: dict[str, Any]) -> Any:
        """Inputs that may have fewer rows than the batch get a batch of their own."""
        shape = ["audio" if spec.get("broadcast") and dim == "batch" else dim for dim in spec["shape"]]
        return self._parameter(spec["name"], shape, _DTYPES[spec["dtype"]], dims)

    def _state(self, spec: Mapping[str, Any], dims: dict[str, Any]) -> Any:
        shape = list(spec["shape"])
        if spec.get("kind") != "append" or spec["axis"] != 2 or len(shape) != 4 or spec["dtype"] != "f32":
            raise UnsupportedProgramError(
                f"program {self.name!r}: state {spec['name']!r} is no cache of keys or values"
            )
        shape[2] = spec["capacity"]
        return self._parameter(spec["name"], shape, "float32", dims)

    @staticmethod
    def _parameter(name: str, shape: list[Any], dtype: str, dims: dict[str, Any]) -> Any:
        sizes = [
            dims.setdefault(dim, tirx.Var(dim, "int64")) if isinstance(dim, str) and not dim.isdigit() else int(dim)
            for dim in shape
        ]
        return relax.Var(name, relax.TensorType(sizes, dtype))

    def _value(self, name: str) -> Any:
        return self.values[name] if name in self.values else self.used_weights[name]

    def _shape(self, name: str) -> list[Any]:
        return list(self._value(name).ty.shape)

    def _call(self, kernel: Any, arguments: list[Any], shape: list[Any]) -> Any:
        return self.builder.emit(relax.call_tir(kernel, arguments, relax.TensorType(shape, "float32")))

    def _width(self, name: str) -> int:
        width = int(self._shape(name)[-1])
        if width % LANES:
            raise UnsupportedProgramError(f"program {self.name!r}: a width of {width}, no multiple of {LANES}")
        return width

    # Ops: inputs by name ("" where one is left out), attributes as in the manifest.

    def _linear_op(self, x: str, weight: str, bias: str, residual: str, *, k: int, n: int, activation: str) -> Any:
        batch, time, _ = self._shape(x)
        return self._product(self._value(x), weight, bias, residual, [batch, time, n], k, activation, None)

    def _conv1d_op(
        self,
        x: str,
        weight: str,
        bias: str,
        residual: str,
        *,
        cin: int,
        cout: int,
        kernel: int,
        stride: int,
        padding: int,
        activation: str,
    ) -> Any:
        batch, time, _ = self._shape(x)
        pad = self.kernels.get(layout.pad_time, cin, padding)
        padded = self._call(pad, [self._value(x)], [batch, (time + 2 * padding) * cin])
        out_time = (time + 2 * padding - kernel) // stride + 1
        window = stride * cin
        shape = [batch, out_time, cout]
        return self._product(padded, weight, bias, residual, shape, kernel * cin, activation, window)

    def _product(
        self,
        x: Any,
        weight: str,
        bias: str,
        residual: str,
        shape: list[Any],
        k: int,
        activation: str,
        window: int | None,
    ) -> Any:
        n = int(shape[-1])
        if activation not in ACTIVATIONS or (bias and n % LANES):
            raise UnsupportedProgramError(
                f"program {self.name!r}, {weight!r}: TVM has no product with activation {activation!r}, {n} outputs "
                f"and {'a' if bias else 'no'} bias"
            )
        form = self.weights[residual].dtype if residual in self.weights else "rows" if residual else ""
        product = Product(k, n, self.weights[weight].dtype, bool(bias), form, activation, window)
        arguments = [x, *(self._value(name) for name in (weight, bias, residual) if name)]
        return self._call(self.kernels.get(linear, product, self.registers), arguments, shape)

    def _layer_norm_op(self, x: str, scale: str, shift: str, *, epsilon: float) -> Any:
        kernel = self.kernels.get(layer_norm.layer_norm, self._width(x), epsilon)
        return self._call(kernel, [self._value(name) for name in (x, scale, shift)], self._shape(x))

    def _transpose_op(self, x: str, *, perm: list[int]) -> Any:
        batch, channels, time = self._shape(x)
        if perm != [0, 2, 1]:
            raise UnsupportedProgramError(f"program {self.name!r}: TVM has no transpose {perm}")
        kernel = self.kernels.get(layout.transpose_last_two, int(channels))
        return self._call(kernel, [self._value(x)], [batch, time, channels])

    def _split_heads_op(self, x: str, *, heads: int) -> Any:
        batch, time, _ = self._shape(x)
        size = self._width(x) // heads
        return self._call(
            self.kernels.get(layout.split_heads, heads, size), [self._value(x)], [batch, heads, time, size]
        )

    def _embedding_op(self, ids: str, table: str, *, rows: int, width: int, layout: str) -> Any:
        from anyon_export.tvm.layout import embedding

        kernel = self.kernels.get(embedding, rows, width, layout == "panel16", self.weights[table].dtype)
        return self._call(kernel, [self._value(ids), self._value(table)], [*self._shape(ids), width])

    def _add_op(self, a: str, b: str) -> Any:
        kernel = self.kernels.get(layout.add, self._width(a))
        return self._call(kernel, [self._value(a), self._value(b)], self._shape(a))

    def _gather_op(self, x: str, index: str, *, axis: int) -> Any:
        batch, _, width = self._shape(x)
        if axis != 1:
            raise UnsupportedProgramError(f"program {self.name!r}: TVM has no gather along axis {axis}")
        kernel = self.kernels.get(layout.gather_time, self._width(x))
        return self._call(kernel, [self._value(x), self._value(index)], [batch, self._shape(index)[0], width])

    def _attention_op(
        self,
        query: str,
        key: str,
        value: str,
        *,
        heads: int,
        head_dim: int,
        scale: float,
        causal: bool,
        q_offset: int,
        k_offset: int,
        v_offset: int,
        key_state: str,
        value_state: str,
    ) -> Any:
        batch, time, width = self._shape(query)
        form = attention.Heads(heads, head_dim, scale, q_offset, k_offset, v_offset, int(width))
        out = [batch, time, heads * head_dim]
        x = self._value(query)
        if head_dim % LANES:
            raise UnsupportedProgramError(f"program {self.name!r}: heads of {head_dim}, no multiple of {LANES}")
        if key_state and causal and query == key == value:
            states = [self.states[key_state], self.states[value_state]]
            capacity = int(states[0].ty.shape[2])
            kernel = self.kernels.get(attention.cached_attention, form, capacity)
            return self._call(kernel, [x, *states, self.past], out)
        if not key_state and not causal and query == key == value:
            panels = attention.packed_panels(time)
            packed = self.builder.emit(
                relax.call_tir(
                    self.kernels.get(attention.pack_keys_values, form),
                    [x],
                    [
                        relax.TensorType([batch * heads, panels, head_dim, LANES], "float32"),
                        relax.TensorType([batch * heads, time, head_dim], "float32"),
                    ],
                )
            )
            kernel = self.kernels.get(attention.attention_over_signal, form, self.registers)
            return self._call(kernel, [x, packed[0], packed[1]], out)
        if not key_state and not causal and len(self._shape(key)) == 4:
            kernel = self.kernels.get(attention.cross_attention, form, self.registers)
            return self._call(kernel, [x, self._value(key), self._value(value)], out)
        raise UnsupportedProgramError(
            f"program {self.name!r}: TVM has no attention of {query!r} over {key!r} with state {key_state!r}, "
            f"causal {causal}"
        )
