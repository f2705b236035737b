"""The graph that lowering works on: named values, a topologically ordered list of nodes, weights as expressions.

It begins as an ONNX graph node for node and ends as the flat op list of a program. Node names of ONNX ops are
capitalised (MatMul), those of our ops are lower case (linear), so what is left to lower can be seen.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from anyon_export.expressions import Expression

Dim = int | str  # a number, a named dimension, or an expression over named ones such as "past+time"
Shape = tuple[Dim, ...]


class LoweringError(Exception):
    """A graph that lowering cannot turn into a program; says which node and why."""


@dataclass(frozen=True)
class ValueType:
    dtype: str  # f32, i64, bool ...
    shape: Shape


@dataclass(eq=False)
class Node:
    """One op. Optional inputs that are absent are "". `name` says where in the model it comes from."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass
class State:
    """A growing input/output pair that the executor keeps in place."""

    name: str
    output: str
    axis: int
    capacity: int


class Graph:
    """Nodes, values and weights with indexes of producers and consumers kept up to date by the methods below."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.states: list[State] = []
        self.nodes: list[Node] = []
        self.types: dict[str, ValueType] = {}
        self.weights: dict[str, Expression] = {}
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self._producer: dict[str, Node] = {}
        self._consumers: dict[str, list[Node]] = {}

    def append(self, node: Node) -> None:
        self.nodes.append(node)
        self._index(node)

    def insert_before(self, position: Node, node: Node) -> None:
        self.nodes.insert(self.nodes.index(position), node)
        self._index(node)

    def remove(self, node: Node) -> None:
        self.nodes.remove(node)
        for name in node.outputs:
            if self._producer.get(name) is node:
                del self._producer[name]
        for name in set(node.inputs):
            self._consumers[name].remove(node)

    def replace(self, old: Node, new: Node) -> None:
        """Puts `new` where `old` stood; their outputs may be the same."""
        self.nodes[self.nodes.index(old)] = new
        for name in old.outputs:
            self._producer.pop(name, None)
        for name in set(old.inputs):
            self._consumers[name].remove(old)
        self._index(new)

    def set_input(self, node: Node, index: int, name: str) -> None:
        old = node.inputs[index]
        node.inputs[index] = name
        if old not in node.inputs:
            self._consumers[old].remove(node)
        if node not in self._consumers.setdefault(name, []):
            self._consumers[name].append(node)

    def redirect(self, old: str, new: str) -> None:
        """Every node that reads `old` reads `new` instead. Graph outputs keep their names."""
        for node in list(self._consumers.get(old, [])):
            for index, name in enumerate(node.inputs):
                if name == old:
                    self.set_input(node, index, new)

    def producer(self, name: str) -> Node | None:
        return self._producer.get(name)

    def consumers(self, name: str) -> list[Node]:
        return list(self._consumers.get(name, []))

    def only_user(self, name: str) -> Node | None:
        """The one node that reads this value, or None when there are several or the value leaves the graph.

        Nodes that only ask for its shape do not count: `absorb` gives them another value of the same shape.
        """
        users = [node for node in self._consumers.get(name, []) if node.op != "Shape"]
        return users[0] if len(users) == 1 and name not in self.outputs else None

    def absorb(self, old: str, new: str) -> None:
        """`old` is about to vanish into the maker of `new`, of the same shape: who asked for its shape asks `new`."""
        for node in self.consumers(old):
            if node.op == "Shape":
                self.set_input(node, 0, new)

    def made_by(self, name: str, *ops: str) -> Node | None:
        """The node that produces `name`, when it is one of these ops."""
        node = self._producer.get(name)
        return node if node is not None and node.op in ops else None

    def shape(self, name: str) -> Shape | None:
        if name in self.weights:
            return self.weights[name].shape
        if name in self.constants:
            return tuple(self.constants[name].shape)
        known = self.types.get(name)
        return None if known is None else known.shape

    def add_weight(self, expression: Expression, name: str) -> str:
        """Registers a weight under this name; the same expression is registered once."""
        unique, number = name, 1
        while unique in self.weights and self.weights[unique] != expression:
            number += 1
            unique = f"{name}.{number}"
        self.weights[unique] = expression
        return unique

    def fresh(self, like: str) -> str:
        """A value name that is not taken, with the type of `like`."""
        number = 1
        while (name := f"{like}.{number}") in self.types or name in self._producer:
            number += 1
        if like in self.types:
            self.types[name] = self.types[like]
        return name

    def live_names(self) -> set[str]:
        return {name for node in self.nodes for name in node.inputs} | set(self.outputs)

    def sort(self) -> None:
        """Puts every node behind those it reads from, otherwise keeping the order.

        Raises LoweringError when a node reads what nothing makes, or itself through others.
        """
        known = {"", *self.inputs, *self.weights, *self.constants, *(state.name for state in self.states)}
        position = {node: index for index, node in enumerate(self.nodes)}
        missing = {node: {name for name in node.inputs if name not in known} for node in self.nodes}
        ready = [position[node] for node in self.nodes if not missing[node]]
        heapq.heapify(ready)
        ordered: list[Node] = []
        while ready:
            node = self.nodes[heapq.heappop(ready)]
            ordered.append(node)
            for name in node.outputs:
                known.add(name)
                for user in self._consumers.get(name, []):
                    missing[user].discard(name)
                    if not missing[user]:
                        heapq.heappush(ready, position[user])
        for node in self.nodes:
            if missing[node]:
                names = ", ".join(sorted(missing[node]))
                raise LoweringError(
                    f"program {self.name!r}: {node.op} {node.name!r} reads {names}, which is never made"
                )
        for name in self.outputs:
            if name not in known:
                raise LoweringError(f"program {self.name!r}: nothing makes the output {name!r}")
        self.nodes = ordered

    def rename(self, names: Mapping[str, str]) -> None:
        """Gives values new names; they must not be inputs, outputs, weights or constants."""
        for node in self.nodes:
            node.inputs = [names.get(name, name) for name in node.inputs]
            node.outputs = [names.get(name, name) for name in node.outputs]
        self.types = {names.get(name, name): known for name, known in self.types.items()}
        self._producer, self._consumers = {}, {}
        for node in self.nodes:
            self._index(node)

    def _index(self, node: Node) -> None:
        for name in node.outputs:
            self._producer[name] = node
        for name in dict.fromkeys(node.inputs):
            self._consumers.setdefault(name, []).append(node)
