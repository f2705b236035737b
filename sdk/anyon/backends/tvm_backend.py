"""TVM compiles a bundle's programs for this processor, once; the same C++ loops drive them. `pip install anyon[tvm]`.

The machine code is kept in the cache folder; the weights are read where the bundle is mapped.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import io
import json
import os
import tempfile
import threading
import zipfile
from functools import cache as cached
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyon import _native, atomic
from anyon.backends.base import Capability, Prepared, Resources, value_rows
from anyon.cache import cache_root, digest_of, locked, make_folder
from anyon.errors import BackendError, OptionError, translated

if TYPE_CHECKING:
    from anyon.bundle import Bundle
    from anyon_export.tvm.compiler import Compiled
    from anyon_export.tvm.program import Weight
    from anyon_export.tvm.targets import Target

INSTALL = "pip install 'anyon[tvm]'"
_BYTECODE, _CODE, _SIGNATURES = "programs.vm", "code.ll", "signatures.json"
_FLOATS = {"float32", "float16"}

Array = NDArray[Any]


class TvmBackend:
    name = "tvm"

    def probe(self) -> Capability:
        try:
            version = importlib.metadata.version("apache-tvm")
        except importlib.metadata.PackageNotFoundError:
            return Capability(self.name, False, "", (), (), "not installed", INSTALL)
        try:
            target = _host()
        except Exception as error:
            return Capability(self.name, False, version, (), (), f"cannot be imported: {error}", INSTALL)
        reason = f"installed; compiles for {target.llvm['mcpu']} through LLVM"
        return Capability(self.name, True, version, ("cpu",), ("f32", "f16"), reason)

    def prepare(self, bundle: Bundle, program: str, resources: Resources) -> Prepared:
        """Compiles the bundle's programs, or takes them from the cache. Raises BackendError."""
        try:
            import tvm  # noqa: F401
        except ImportError as error:
            raise BackendError(f"backend tvm is not installed: {error} ({INSTALL})") from error
        weights = _weights(bundle)
        loaded = _load(bundle, weights, resources.cache or cache_root())
        signature = loaded.signatures[program]
        arrays = [weights[name] for name in signature["weights"]]
        session = TvmSession(loaded, program, bundle.programs[program], arrays, resources.threads)
        compiled = f"TVM {importlib.metadata.version('apache-tvm')} for {_host().llvm['mcpu']}"
        return Prepared(session, "cpu", bundle.precision, note=compiled)


class Loaded:
    """Machine code in memory, shared by sessions; each makes a virtual machine of its own from it."""

    def __init__(self, package: bytes) -> None:
        """Raises ValueError, KeyError or zipfile.BadZipFile for a package that is damaged."""
        import tvm

        with zipfile.ZipFile(io.BytesIO(package)) as parts:
            # Reading checks the sum of each part.
            code, bytecode = parts.read(_CODE), parts.read(_BYTECODE)
            self.signatures: dict[str, Any] = json.loads(parts.read(_SIGNATURES))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _CODE
            path.write_bytes(code)
            library = tvm.runtime.load_module(str(path))
        self._executable = tvm.get_global_func("ffi.Module.load_from_bytes.relax.VMExecutable")(bytecode)
        self._executable.import_module(library)

    def function(self, program: str) -> Any:
        import tvm
        from tvm import relax

        return relax.VirtualMachine(self._executable, tvm.cpu())[program]


class TvmSession(_native.Session):
    """One program in TVM's virtual machine. States are arrays of full capacity that the program writes in place."""

    def __init__(self, loaded: Loaded, name: str, program: dict[str, Any], weights: list[Array], threads: int) -> None:
        super().__init__(value_rows(program["inputs"]), value_rows(program["outputs"]))
        self._function = loaded.function(name)
        self._program = program
        self._threads = threads
        # The tensors point into these arrays, and do not keep them alive.
        self._weights = weights
        self._weight_tensors = [_tensor(array) for array in weights]
        self._state_specs: list[dict[str, Any]] = program.get("states", [])
        self._states: list[Array] = []
        self._state_tensors: list[Any] = []
        self._length = 0
        self._tables = _lookups(program)

    def run(self, inputs: list[Array]) -> list[Array]:
        sizes = self._checked(inputs)
        arguments = [_tensor(array) for array in inputs]
        if self._state_specs:
            self._require_states(sizes["batch"])
            arguments += [self._length, *self._state_tensors]
        _use_threads(self._threads)
        outputs = self._function(*arguments, *self._weight_tensors)
        self._length += sizes.get("time", 0) if self._state_specs else 0
        return [np.from_dlpack(output) for output in outputs]

    def reset_states(self) -> None:
        self._length = 0

    def reorder_states(self, rows: list[int]) -> None:
        if not self._length or rows == list(range(len(self._states[0]))):
            return
        moved = [np.empty((len(rows), *state.shape[1:]), np.float32) for state in self._states]
        for new, old in zip(moved, self._states, strict=True):
            # What lies behind the length is never read.
            new[:, :, : self._length] = old[rows, :, : self._length]
        self._hold(moved)

    def truncate_states(self, length: int) -> None:
        self._length = min(self._length, length)

    def state_length(self) -> int:
        return self._length

    def _require_states(self, batch: int) -> None:
        """States of `batch` rows; those that hold nothing yet are made anew when the batch is another."""
        if self._states and len(self._states[0]) == batch:
            return
        if self._length:
            raise OptionError(
                f"run: a batch of {batch}, the states hold {len(self._states[0])} rows (reset them first)"
            )
        sizes = {"batch": batch}
        shapes = []
        for spec in self._state_specs:
            shape = [sizes.get(dim, dim) for dim in spec["shape"]]
            shape[spec["axis"]] = spec["capacity"]
            shapes.append(shape)
        self._hold([np.zeros(shape, np.float32) for shape in shapes])

    def _hold(self, states: list[Array]) -> None:
        self._states = states
        self._state_tensors = [_tensor(state) for state in states]

    def _checked(self, inputs: list[Array]) -> dict[str, int]:
        """Sizes by name. Compiled code trusts them: what is out of bounds is an OptionError here."""
        sizes: dict[str, int] = {}
        for array, spec in zip(inputs, self._program["inputs"], strict=True):
            for size, dim in zip(array.shape, spec["shape"], strict=True):
                if spec.get("broadcast") and dim == "batch":
                    fits = sizes["batch"] % max(size, 1) == 0
                elif isinstance(dim, int) or dim.isdigit():
                    fits = size == int(dim)
                else:
                    low, high = self._program["dims"][dim]
                    fits = low <= size <= high and sizes.setdefault(dim, size) == size
                if not fits:
                    raise OptionError(f"run: input {spec['name']!r} has shape {list(array.shape)}, not {spec['shape']}")
        for index, rows in self._tables:
            array, limit = inputs[index], sizes[rows] if isinstance(rows, str) else rows
            if array.size and not (array.min() >= 0 and array.max() < limit):
                name = self._program["inputs"][index]["name"]
                raise OptionError(f"run: input {name!r} holds an index outside of 0 .. {limit - 1}")
        for spec in self._state_specs:
            if self._length + sizes["time"] > spec["capacity"]:
                raise OptionError(
                    f"run: {self._length} positions and {sizes['time']} more, the states hold {spec['capacity']}"
                )
        return sizes


def _lookups(program: dict[str, Any]) -> list[tuple[int, int | str]]:
    """Inputs that are indices: (which one, size of the table or the name of the dimension they count along)."""
    places = {spec["name"]: index for index, spec in enumerate(program["inputs"])}
    found: list[tuple[int, int | str]] = []
    for op in program["ops"]:
        if op["op"] == "embedding":
            found.append((places[op["inputs"][0]], int(op["attrs"]["rows"])))
        elif op["op"] == "gather":
            found.append((places[op["inputs"][1]], "time"))
    return found


def _weights(bundle: Bundle) -> dict[str, Array]:
    """The floating-point tensors of the bundle, as they are mapped."""
    names = {name for program in bundle.programs.values() for op in program["ops"] for name in op["inputs"]}
    with translated():
        arrays = {name: bundle.native.tensor(name) for name in sorted(names & set(bundle.manifest.get("weights", {})))}
    return {name: array for name, array in arrays.items() if str(array.dtype) in _FLOATS}


def _described(arrays: dict[str, Array]) -> dict[str, Weight]:
    from anyon_export.tvm.program import Weight

    return {name: Weight(str(array.dtype), array.shape) for name, array in arrays.items()}


def _load(bundle: Bundle, arrays: dict[str, Array], cache: Path) -> Loaded:
    """The compiled programs: from this process, from the cache, or compiled now. Raises BackendError."""
    weights = _described(arrays)
    shapes = [[name, weight.dtype, list(weight.shape)] for name, weight in sorted(weights.items())]
    parts = [json.dumps(bundle.programs, sort_keys=True), json.dumps(shapes), _host().key, _toolchain()]
    key = digest_of(*parts)[:32]
    with _loading:
        if key not in _loaded:
            _loaded[key] = _cached_or_compiled(bundle, weights, key, cache)
        return _loaded[key]


_loading = threading.Lock()
_loaded: dict[str, Loaded] = {}


def _cached_or_compiled(bundle: Bundle, weights: dict[str, Weight], key: str, cache: Path) -> Loaded:
    folder = cache / "tvm"
    make_folder(folder)
    path = folder / f"{key}.zip"
    with locked(folder / f"{key}.lock"):
        try:
            return Loaded(path.read_bytes())
        except FileNotFoundError:
            pass
        except Exception:
            # Damaged, whatever the engine says of it: made again below.
            path.unlink(missing_ok=True)
        package = _pack(_compile(bundle, weights))
        atomic.write_bytes(path, package)
    return Loaded(package)


def _compile(bundle: Bundle, weights: dict[str, Weight]) -> Compiled:
    from anyon_export.tvm.compiler import compile_programs
    from anyon_export.tvm.errors import UnsupportedProgramError

    try:
        return compile_programs(bundle.programs, weights, _host(), static=False)
    except UnsupportedProgramError as error:
        raise BackendError(
            f"{bundle.path}: recipe {bundle.recipe!r} of this model does not run on tvm: {error}; use backend='native'"
        ) from error
    except Exception as error:  # TVM's classes share no base; their messages end with the whole program
        first = str(error).strip().splitlines()[:1]
        raise BackendError(
            f"{bundle.path}: TVM does not compile its programs: {type(error).__name__}: {' '.join(first)} "
            "(use backend='native')"
        ) from error


def _pack(compiled: Compiled) -> bytes:
    """One file with a checksum for each part; the same bytes for the same code."""
    signatures = {
        name: {"inputs": signature.inputs, "states": signature.states, "weights": signature.weights}
        for name, signature in compiled.signatures.items()
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as parts:
        for name, data in (
            (_CODE, compiled.code.inspect_source("ll").encode()),
            (_BYTECODE, compiled.bytecode),
            (_SIGNATURES, json.dumps(signatures).encode()),
        ):
            parts.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


@cached
def _host() -> Target:
    from anyon_export.tvm.targets import HOST, target

    return target(HOST)


@cached
def _toolchain() -> str:
    """Changes with TVM and with every line of our kernels, so that no older code is taken from the cache."""
    import anyon_export.tvm

    folder = Path(anyon_export.tvm.__file__).parent
    sources = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))]
    return digest_of(importlib.metadata.version("apache-tvm"), *sources)


_pool = threading.local()


def _use_threads(count: int) -> None:
    """Sets how many threads this thread's products use.

    TVM keeps a pool of workers for every thread that calls it. It is made with the first product, of
    TVM_NUM_THREADS workers, and these would be bound to fixed cores, the caller with them; both settings are of the
    process, and what the user has set already stays.
    """
    if getattr(_pool, "count", 0) == count:
        return
    import tvm

    os.environ.setdefault("TVM_BIND_THREADS", "0")
    os.environ.setdefault("TVM_NUM_THREADS", str(max(count, os.cpu_count() or 1)))
    # -1 little cores, 1 big ones: what Linux calls big is every core of a machine that has one kind.
    tvm.get_global_func("runtime.config_threadpool")(1, count)
    _pool.count = count


def _tensor(array: Array) -> Any:
    """A tensor over the array's memory, which must outlive it. DLPack cannot hand over what must not be written."""
    import tvm_ffi

    if not array.flags.c_contiguous:
        raise OptionError("run: inputs must be contiguous arrays")
    if not array.flags.writeable:
        memory = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
        array = np.frombuffer(memoryview(memory), array.dtype).reshape(array.shape)
    return tvm_ffi.from_dlpack(array)


BACKEND = TvmBackend()
