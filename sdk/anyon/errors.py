"""The one family of exceptions. Every message says what went wrong, where, and what to try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyon.results import Transcript


class AnyonError(Exception):
    """Base of everything this package raises on purpose.

    `transcript` holds the segments that were finished before a transcription failed, or None.
    """

    transcript: Transcript | None = None


class OptionError(AnyonError, ValueError):
    """An argument is unknown, out of range, or not supported by this model or backend."""


class ModelNotFoundError(AnyonError):
    """A model's name, path or hub id leads nowhere."""


class HubError(AnyonError):
    """The model hub could not be reached, or sent something that is not what it announced."""


class CheckpointError(AnyonError):
    """Published weights that are damaged, incomplete, or of an architecture we do not know."""


class BundleError(AnyonError):
    """A `.anyon` file that is damaged, of a newer version, or does not hold what was asked for."""


class SignatureError(BundleError):
    """A bundle's signature is missing, malformed, made with another key, or of another file."""


class CacheError(AnyonError):
    """The cache folder cannot be written: disk full, not permitted, not a folder."""


class BackendError(AnyonError):
    """A backend is missing, cannot run this program on this machine, or failed while running it."""


class BackendWarning(UserWarning):
    """A backend computes wrong numbers on this machine; another one is used."""


class AudioError(AnyonError, ValueError):
    """Input that is not audio, is damaged, or holds samples that are not sound."""


class CancelledError(AnyonError):
    """`cancel()` was called; `transcript` holds what was finished before."""


class ExportError(AnyonError):
    """`anyon export` cannot run, or an engine disagrees with PyTorch."""


class SessionError(AnyonError):
    """A session failed earlier and must be reset, or the runtime broke a promise of its own."""


class OutOfMemoryError(AnyonError, MemoryError):
    """The machine has less memory than the model needs."""


class OutputError(AnyonError):
    """A result could not be written."""


class InterruptedTranscription(KeyboardInterrupt):
    """Ctrl-C during `transcribe`; `transcript` holds the segments that were finished.

    A KeyboardInterrupt, so that programs which stop at Ctrl-C still do.
    """

    def __init__(self, transcript: Transcript) -> None:
        super().__init__()
        self.transcript = transcript


# Status codes of the runtime (runtime_cpp/core/status.h): single codes first, then the range of an area.
_BY_STATUS: dict[int, type[AnyonError]] = {204: SignatureError, 500: CancelledError, 502: OutOfMemoryError}
_BY_AREA: dict[int, type[AnyonError]] = {
    1: OptionError,
    2: BundleError,
    3: BackendError,
    4: AudioError,
    5: SessionError,
}


def from_status(status: int, message: str) -> AnyonError:
    """The exception for a status code of the runtime; a code nobody knows becomes a plain AnyonError."""
    error_class = _BY_STATUS.get(status) or _BY_AREA.get(status // 100, AnyonError)
    return error_class(message)


@contextmanager
def translated() -> Iterator[None]:
    """Turns the extension's errors into ours, at the border, with the original as the cause."""
    from anyon import _native

    try:
        yield
    except _native.AnyonNativeError as error:
        raise from_status(getattr(error, "status", 599), str(error)) from error
    except MemoryError as error:
        if isinstance(error, AnyonError):
            raise
        raise OutOfMemoryError(
            "runtime: the machine has not enough free memory for this model (try a smaller model or fewer threads)"
        ) from error
