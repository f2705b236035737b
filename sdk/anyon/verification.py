"""Whether a bundle is what its maker wrote: its hashes, and its signature where there is a key.

The signature is a file beside the bundle, `<bundle>.sig`, in the layout of OpenSSF model signing:
`model_signing sign key --private_key key.pem --signature mine.anyon.sig mine.anyon` makes it (from the package
model-signing).
"""

from __future__ import annotations

import os
from pathlib import Path

from anyon.bundle import Bundle
from anyon.errors import OptionError, SignatureError

_MAX_SIGNATURE_BYTES = 4 << 20  # the runtime's limit too
_MAX_KEY_BYTES = 1 << 16


def public_key(verify: str | os.PathLike[str] | bool | None) -> bytes | None:
    """The PEM text that `verify` is or names; None when it only switches hashes on or off. Raises OptionError."""
    if verify is None or isinstance(verify, bool):
        return None
    if isinstance(verify, str) and "-----BEGIN" in verify:
        return verify.encode()
    try:
        path = Path(verify)
        content = _read(path, _MAX_KEY_BYTES)
    except TypeError as error:
        raise OptionError(f"verify={verify!r}: expected True, a PEM file's path, or its text") from error
    except (OSError, ValueError) as error:
        raise OptionError(f"verify: {verify}: cannot be read as a public key: {_reason(error)}") from error
    return content


def check_bundle(bundle: Bundle, key: bytes | None, *, own: bool, signature: Path | None = None) -> None:
    """Raises BundleError when the data is not what its hash says, SignatureError when it is not signed with `key`.

    own: the caller gave this very file; bundles that were made here have no signature. signature: None: `<bundle>.sig`.
    """
    bundle.verify()
    if key is None:
        return
    if not own:
        raise OptionError(
            f"verify: only a .anyon file can be signed, and {bundle.path} was made on this machine "
            "(give the bundle's path, or verify=True for its hashes)"
        )
    path = signature or signature_path(bundle)
    try:
        content = _read(path, _MAX_SIGNATURE_BYTES)
    except FileNotFoundError as error:
        raise SignatureError(
            f"{bundle.path}: signature: {path} does not exist "
            f"(model_signing sign key --private_key KEY --signature {path} {bundle.path})"
        ) from error
    except (OSError, ValueError) as error:
        raise SignatureError(f"{bundle.path}: signature: {path} cannot be read: {_reason(error)}") from error
    bundle.verify_signature(content, key)


def signature_path(bundle: Bundle) -> Path:
    return bundle.path.with_name(f"{bundle.path.name}.sig")


def _read(path: Path, limit: int) -> bytes:
    with open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return content


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
