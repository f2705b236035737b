"""`load`: from a name, a path or a hub id to a model that runs, with the placement of every program."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyon.errors import BackendError, BundleError, OptionError
from anyon.progress import Report, silent
from anyon.recipes import default_recipe, recipe_spec

if TYPE_CHECKING:
    from anyon.bundle import Bundle
    from anyon.graph_model import GraphModel
    from anyon.whisper import WhisperModel

MAX_THREADS = 256


def load(
    source: str | os.PathLike[str],
    *,
    backend: str = "auto",
    threads: int | None = None,
    isa: str | None = None,
    strict: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool | Report | None = None,
    recipe: str | os.PathLike[str] | None = None,
    device: str | None = None,
    precision: str | None = None,
    policy: str = "fastest",
    verify: str | os.PathLike[str] | bool | None = None,
) -> Any:
    """Loads a model; the first time, a checkpoint is converted into a bundle and cached.

    Returns a `WhisperModel`, or a `GraphModel` for what `anyon.export` wrote.

    source: a name (`anyon models` lists them: "tiny.en", "base", "turbo", ...), a hub id ("openai/whisper-base",
        "Systran/faster-whisper-base", also "org/name@revision" and "org/name/file.pt"), a checkpoint's folder or file
        (Hugging Face safetensors, OpenAI .pt, CTranslate2, ggml), or a .anyon bundle. No PyTorch is needed.
    backend: "auto", "native" or another of `anyon doctor`. `model.placement` says what runs where, and why; one that
        computes wrong numbers on this machine is refused.
    threads: cores that one transcription uses; None: the cores this process has, at most 16.
    isa: forces an instruction set of the native kernels; None: ANYON_ISA, else the best here.
    strict: what would be a fallback to another backend is an error instead.
    cache_dir: where bundles are kept; None: $ANYON_CACHE, else the user's cache folder.
    progress: True draws a bar on stderr, a function is called with `Progress` reports; None: silent.
    recipe: how weights are stored: "f32", "f16", "int8", "int4", or a recipe's .json file. None: for a checkpoint int8
        where the native kernels are faster with it, else f32; for a bundle its own.
    device: what the backend computes on: "cpu", "gpu", "npu" or "auto" with openvino; "cpu", "cuda", "tensorrt",
        "coreml", "nnapi", "qnn", "xnnpack" or "directml" with onnxruntime. None: its own choice, the CPU.
    precision: what the engine computes in, "f32", "bf16" or "f16", where it has a choice; None: its own.

    policy: what backend="auto" looks for among the backends that `anyon doctor --measure` timed here: "fastest",
        "smallest-memory", "lowest-power" (the least CPU time). Without measurements native comes first.

    verify: True reads the whole bundle and compares it with its hashes. A public key (ECDSA P-256; a PEM file's path,
        or its text) checks the signature beside a .anyon file as well, see `anyon.verification`. None or False:
        neither; the hash of its header is checked always.

    Raises ModelNotFoundError, HubError, CheckpointError, CacheError, BundleError (SignatureError), BackendError or
    OptionError. The model is immutable and may be shared by any number of threads.
    """
    _check_arguments(backend, threads, isa, device, precision, policy)
    spec = None if recipe is None else recipe_spec(recipe)
    try:
        from anyon.backends.native_backend import selected_isa
        from anyon.cache import cache_root
        from anyon.engines import default_threads
        from anyon.selection import EngineOptions
        from anyon.sources import open_bundle
    except ImportError as error:
        raise _extension_missing(error) from error

    check = _verification(source, verify)
    with _reporting(progress) as report:
        default = default_recipe(backend, selected_isa(isa) if backend in ("auto", "native") else "")
        bundle, origin = open_bundle(source, recipe=spec, default_recipe=default, cache_dir=cache_dir, report=report)
    check(bundle)
    options = EngineOptions(
        backend, threads or default_threads(), isa, strict, device, precision, policy, cache_root(cache_dir)
    )
    return _family(bundle)(bundle, options, origin=origin)


def _verification(
    source: str | os.PathLike[str], verify: str | os.PathLike[str] | bool | None
) -> Callable[[Bundle], None]:
    """What checks the bundle; a key that is none, or that cannot have signed the source, is refused right away."""
    if verify is None or verify is False:
        return lambda bundle: None
    from anyon.verification import check_bundle, public_key, refuse_unsigned

    key = public_key(verify)
    if key is not None:
        refuse_unsigned(source)
    return lambda bundle: check_bundle(bundle, key)


def _whisper_class() -> type[WhisperModel]:
    from anyon.whisper import WhisperModel

    return WhisperModel


def _graph_class() -> type[GraphModel]:
    from anyon.graph_model import GraphModel

    return GraphModel


# A manifest's family → the class that runs it, imported when it is needed. A new family is a new row.
FAMILIES: dict[str, Callable[[], type[WhisperModel | GraphModel]]] = {
    "whisper": _whisper_class,
    "graph": _graph_class,
}


def _family(bundle: Bundle) -> type[WhisperModel | GraphModel]:
    row = FAMILIES.get(bundle.family)
    if row is None:
        raise BundleError(
            f"{bundle.path}: family {bundle.family!r} is not known here, only {', '.join(FAMILIES)} "
            "(made by a newer anyon? pip install --upgrade anyon)"
        )
    return row()


def _check_arguments(backend: Any, threads: Any, isa: Any, device: Any, precision: Any, policy: Any) -> None:
    from anyon.backends import KNOWN
    from anyon.backends.base import DEVICES, PRECISIONS
    from anyon.selection import POLICIES

    if backend != "auto" and backend not in KNOWN:
        raise OptionError(f"backend={backend!r}: expected auto, {', '.join(KNOWN)}")
    whole = isinstance(threads, int) and not isinstance(threads, bool)
    if threads is not None and not (whole and 1 <= threads <= MAX_THREADS):
        raise OptionError(f"threads={threads!r}: expected a whole number in 1..{MAX_THREADS}, or None")
    if isa is not None and not isinstance(isa, str):
        raise OptionError(f"isa={isa!r}: expected a name such as 'avx2', or None")
    if isa is not None and backend not in ("auto", "native"):
        raise OptionError(f"isa={isa!r}: backend {backend!r} chooses its own instructions (leave isa out)")
    if policy not in POLICIES:
        raise OptionError(f"policy={policy!r}: expected {', '.join(POLICIES)}")
    for name, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value is not None and value not in known:
            raise OptionError(f"{name}={value!r}: expected {', '.join(known)}, or None")


def _reporting(progress: bool | Report | None) -> Any:
    """A context manager that gives the function to report to."""
    from contextlib import nullcontext

    if progress is True:
        from anyon.progress_bar import progress_bar

        return progress_bar()
    if callable(progress):
        return nullcontext(progress)
    if progress in (None, False):
        return nullcontext(silent)
    raise OptionError(f"progress={progress!r}: expected True, a function, or None")


def _extension_missing(error: ImportError) -> BackendError:
    return BackendError(
        f"anyon._native, the compiled runtime, cannot be loaded: {error} "
        "(reinstall with: pip install --force-reinstall anyon; from a source checkout: pip install .)"
    )
