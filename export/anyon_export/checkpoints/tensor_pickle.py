"""Interprets the small part of pickle that torch.save uses for tensors; executes nothing and imports nothing.

A pickle is a program for a stack machine. This one knows only the steps that build containers, strings, numbers and
references to stored tensors; the three kinds of global a tensor needs stand for inert values of ours. Any other step
or global is refused by name. Opcodes: the pickletools module of Python; tensors: torch/_utils.py, torch/storage.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from .errors import DAMAGED, CheckpointError
from .files import element_count, integer
from .limits import MAX_DIMENSION, MAX_PICKLE_BYTES, MAX_PICKLE_STEPS, MAX_RANK


@dataclass(frozen=True)
class StorageType:
    """Stands for torch.FloatStorage and its kin."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A persistent id: `count` elements of `type` in the zip entry data/<key>."""

    type: StorageType
    key: str
    count: int


@dataclass(frozen=True)
class PickledTensor:
    """A tensor over a storage; offset and strides in elements, proven to stay inside the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Function:
    name: str


_MARK: Final = object()
_REBUILD: Final = _Function("torch._utils._rebuild_tensor_v2")
_ORDERED: Final = _Function("collections.OrderedDict")
_GLOBALS: Final[dict[tuple[str, str], StorageType | _Function]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _REBUILD,
    ("collections", "OrderedDict"): _ORDERED,
    **{("torch", f"{name}Storage"): StorageType(name) for name in ("Half", "Float", "BFloat16", "Double")},
}


def load_tensor_pickle(raw: bytes, path: Path) -> Any:
    """The object, with PickledTensor in place of tensors and dict in place of OrderedDict. Raises CheckpointError."""
    if len(raw) > MAX_PICKLE_BYTES:
        raise CheckpointError(path, "data.pkl", f"{len(raw)} bytes are over the limit of {MAX_PICKLE_BYTES}")
    return _Machine(raw, path).run()


class _Machine:
    """Stack, memo and position; one method per group of opcodes."""

    def __init__(self, raw: bytes, path: Path) -> None:
        self.raw = raw
        self.path = path
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_PICKLE_STEPS):
            code = self.take(1)
            if code == b".":
                return self.pop()
            step = _STEPS.get(code)
            if step is None:
                self.fail(f"opcode 0x{code.hex()} is not one that a tensor file needs")
            step(self)
        self.fail(f"more than {MAX_PICKLE_STEPS} steps")

    def fail(self, what: str, hint: str = "only plain weights are read; nothing in the file was executed") -> NoReturn:
        raise CheckpointError(self.path, f"data.pkl (byte {self.at})", what, hint)

    def take(self, count: int) -> bytes:
        if count > len(self.raw) - self.at:
            self.fail(f"needs {count} bytes, {len(self.raw) - self.at} are left", DAMAGED)
        self.at += count
        return self.raw[self.at - count : self.at]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> str:
        end = self.raw.find(b"\n", self.at, self.at + 512)
        if end < 0:
            self.fail("a name without an end", DAMAGED)
        text = self.raw[self.at : end]
        self.at = end + 1
        return text.decode("utf-8", "replace")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.fail("takes a value from an empty stack", DAMAGED)
        return self.stack.pop()

    def pop_many(self, count: int) -> tuple[Any, ...]:
        values = [self.pop() for _ in range(count)]
        return tuple(reversed(values))

    def pop_to_mark(self) -> tuple[Any, ...]:
        values: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return tuple(reversed(values))
            values.append(value)
        self.fail("no mark on the stack", DAMAGED)

    def text(self, count: int) -> None:
        try:
            self.push(self.take(count).decode("utf-8"))
        except UnicodeDecodeError:
            self.fail("a string that is not UTF-8", DAMAGED)

    def store(self, index: int) -> None:
        value = self.pop()
        self.memo[index] = value
        self.push(value)

    def recall(self, index: int) -> None:
        if index not in self.memo:
            self.fail(f"memo {index} was never stored", DAMAGED)
        self.push(self.memo[index])

    def find_global(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            self.fail("a global whose name is not text")
        found = _GLOBALS.get((module, name))
        if found is None:
            self.fail(f"the global {module[:80]}.{name[:80]} is not one that a tensor file needs")
        self.push(found)

    def stack_global(self) -> None:
        module, name = self.pop_many(2)
        self.find_global(module, name)

    def long1(self) -> None:
        size = self.number("<B")
        if size > 8:
            self.fail(f"an integer of {size} bytes")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def set_items(self, flat: tuple[Any, ...]) -> None:
        target = self.pop()
        if not isinstance(target, dict) or len(flat) % 2:
            self.fail("sets items of something that is not a dict")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if not isinstance(key, (str, int)):
                self.fail(f"a dict key of type {type(key).__name__}")
            if key in target:
                self.fail(f"the key {str(key)[:80]!r} is set twice", DAMAGED)
            target[key] = value
        self.push(target)

    def append(self, values: tuple[Any, ...]) -> None:
        target = self.pop()
        if not isinstance(target, list):
            self.fail("appends to something that is not a list")
        target.extend(values)
        self.push(target)

    def build(self) -> None:
        """State of an object. Only a state dict has one here (its `_metadata` of module versions): dropped."""
        _, target = self.pop(), self.pop()
        if not isinstance(target, dict):
            self.fail("sets the state of an object")
        self.push(target)

    def reduce(self) -> None:
        function, arguments = self.pop_many(2)
        if function is _ORDERED and arguments == ():
            self.push({})
        elif function is _REBUILD and isinstance(arguments, tuple):
            self.push(self.rebuild(arguments))
        else:
            name = function.name if isinstance(function, (_Function, StorageType)) else type(function).__name__
            self.fail(f"calls {name} in a way that is not known")

    def rebuild(self, arguments: tuple[Any, ...]) -> PickledTensor:
        """(storage, offset, shape, strides, ...) -> a tensor whose every element lies in the storage."""
        if len(arguments) < 4:
            self.fail("a tensor without storage, offset, shape and strides", DAMAGED)
        storage, offset, shape, strides = arguments[:4]
        if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
            self.fail("a tensor over something that is not a storage", DAMAGED)
        if len(shape) != len(strides) or len(shape) > MAX_RANK:
            self.fail(f"a tensor with {len(shape)} dimensions and {len(strides)} strides")
        where = f"data.pkl (byte {self.at})"
        for value in (offset, *shape, *strides):
            integer(value, 0, MAX_DIMENSION, self.path, f"{where}: offset, shape or stride")
        count = element_count(shape)
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        # The count test also refuses strides of 0, which would turn a few bytes into gigabytes.
        if count > storage.count or (count and last >= storage.count):
            self.fail(f"a tensor of shape {shape} passes the end of its storage of {storage.count} elements", DAMAGED)
        return PickledTensor(storage, offset, shape, strides)

    def persistent(self) -> None:
        """("storage", type, key, device, elements) -> Storage; no other persistent id is known."""
        value = self.pop()
        if not isinstance(value, tuple) or len(value) != 5 or value[0] != "storage":
            self.fail("a persistent id that is not a storage")
        _, kind, key, _, count = value
        if not isinstance(kind, StorageType) or not isinstance(key, str):
            self.fail("a storage of unknown type or key")
        integer(count, 0, MAX_DIMENSION, self.path, f"data.pkl (byte {self.at}): storage size")
        self.push(Storage(kind, key, count))


_STEPS: Final[dict[bytes, Callable[[_Machine], None]]] = {
    b"\x80": lambda m: _protocol(m),  # PROTO
    b"\x95": lambda m: _skip(m, 8),  # FRAME
    b"(": lambda m: m.push(_MARK),  # MARK
    b"N": lambda m: m.push(None),  # NONE
    b"\x88": lambda m: m.push(True),  # NEWTRUE
    b"\x89": lambda m: m.push(False),  # NEWFALSE
    b"J": lambda m: m.push(m.number("<i")),  # BININT
    b"K": lambda m: m.push(m.number("<B")),  # BININT1
    b"M": lambda m: m.push(m.number("<H")),  # BININT2
    b"\x8a": _Machine.long1,  # LONG1
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),  # BINFLOAT
    b"X": lambda m: m.text(m.number("<I")),  # BINUNICODE
    b"\x8c": lambda m: m.text(m.number("<B")),  # SHORT_BINUNICODE
    b"}": lambda m: m.push({}),  # EMPTY_DICT
    b"]": lambda m: m.push([]),  # EMPTY_LIST
    b")": lambda m: m.push(()),  # EMPTY_TUPLE
    b"t": lambda m: m.push(m.pop_to_mark()),  # TUPLE
    b"\x85": lambda m: m.push(m.pop_many(1)),  # TUPLE1
    b"\x86": lambda m: m.push(m.pop_many(2)),  # TUPLE2
    b"\x87": lambda m: m.push(m.pop_many(3)),  # TUPLE3
    b"s": lambda m: m.set_items(m.pop_many(2)),  # SETITEM
    b"u": lambda m: m.set_items(m.pop_to_mark()),  # SETITEMS
    b"a": lambda m: m.append(m.pop_many(1)),  # APPEND
    b"e": lambda m: m.append(m.pop_to_mark()),  # APPENDS
    b"q": lambda m: m.store(m.number("<B")),  # BINPUT
    b"r": lambda m: m.store(m.number("<I")),  # LONG_BINPUT
    b"\x94": lambda m: m.store(len(m.memo)),  # MEMOIZE
    b"h": lambda m: m.recall(m.number("<B")),  # BINGET
    b"j": lambda m: m.recall(m.number("<I")),  # LONG_BINGET
    b"c": lambda m: m.find_global(m.line(), m.line()),  # GLOBAL
    b"\x93": _Machine.stack_global,  # STACK_GLOBAL
    b"R": _Machine.reduce,  # REDUCE
    b"b": _Machine.build,  # BUILD
    b"Q": _Machine.persistent,  # BINPERSID
}


def _protocol(machine: _Machine) -> None:
    version = machine.number("<B")
    if not 2 <= version <= 5:
        machine.fail(f"pickle protocol {version}", DAMAGED)


def _skip(machine: _Machine, count: int) -> None:
    machine.take(count)
