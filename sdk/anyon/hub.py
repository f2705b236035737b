"""Checkpoints from the model hub, through huggingface_hub and its cache: progress, resume, offline mode, sha256.

HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT mean what they mean everywhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyon._version import __version__
from anyon.cache import cache_error, locked
from anyon.errors import AnyonError, CheckpointError, HubError
from anyon.hub_files import select_files
from anyon.logger import log
from anyon.progress import Progress, Report
from anyon.registry import HubSource

# Files at least this big are worth resuming after an interruption.
_RESUME_FROM_BYTES = 8 << 20
_TIMEOUT_SECONDS = 15.0
_HASH_BLOCK = 1 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file as the hub announces it; sha256 is known for large files (LFS) only."""

    name: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class HubSnapshot:
    """A checkpoint that is on this machine now: `path` is its folder, or its one file."""

    path: Path
    commit: str


def fetch(source: HubSource, report: Report) -> HubSnapshot:
    """Downloads what is missing of a checkpoint and checks it.

    Without a network a snapshot that is complete in the cache is used. Raises HubError when the hub refuses, cannot be
    reached or sends something else than announced; CheckpointError when the repository holds no weights we read;
    CacheError when the disk is full.
    """
    import huggingface_hub as hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        return _from_cache(source, report, "offline mode is on (HF_HUB_OFFLINE)")
    try:
        api = hub.HfApi(library_name="anyon", library_version=__version__)
        info = api.model_info(source.repo_id, revision=source.revision, files_metadata=True, timeout=_TIMEOUT_SECONDS)
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code >= 500:
            return _from_cache(source, report, f"the hub answered {error.response.status_code}")
        raise _refused(source, error) from error
    except (hub.errors.HFValidationError, ValueError) as error:
        raise HubError(f"{source}: not a repository's name: {error}") from error
    except Exception as error:  # the HTTP library's own errors; which library it is changes between versions
        return _from_cache(source, report, f"{constants.ENDPOINT} cannot be reached: {_short(error)}")
    if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
        raise HubError(f"{source}: the hub does not say which commit this is (is HF_ENDPOINT a model hub?)")
    return _download(source, str(info.sha), _announced(info), report)


def _download(source: HubSource, commit: str, announced: Mapping[str, HubFile], report: Report) -> HubSnapshot:
    chosen = select_files(list(announced), str(source), source.file)
    total = float(sum(announced[name].size or 0 for name in chosen))
    done = 0.0
    paths: dict[str, Path] = {}
    for name in chosen:
        file = announced[name]
        path = _download_file(source, commit, file, partial(_report_bytes, report, name, done, total))
        _verify(source, path, file.sha256, report)
        paths[name] = path
        done += file.size or 0
        report(Progress("download", done, total, "bytes", name))
    # The first look-up by revision notes which commit it is, so that offline mode finds the snapshot again.
    _note_revision(source, commit, chosen[0])
    return HubSnapshot(_snapshot_path(source, paths), commit)


def _report_bytes(report: Report, name: str, before: float, total: float, size: float) -> None:
    report(Progress("download", before + size, total, "bytes", name))


def _download_file(source: HubSource, commit: str, file: HubFile, progress: Callable[[float], None]) -> Path:
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with _quiet_bars(), _small_chunks():
            if file.sha256 and (file.size or 0) >= _RESUME_FROM_BYTES:
                _download_blob(source, commit, file, progress)
            path = hub.hf_hub_download(
                source.repo_id, file.name, revision=commit, library_name="anyon", library_version=__version__
            )
            return Path(path)
    except HfHubHTTPError as error:
        raise _refused(source, error, file.name) from error
    except AnyonError:
        raise
    except OSError as error:
        raise _os_error(source, error, file) from error
    except Exception as error:  # the HTTP library's own errors
        raise _broke_off(source, file, error) from error


def _download_blob(source: HubSource, commit: str, file: HubFile, progress: Callable[[float], None]) -> None:
    """Puts a large file into the hub's cache, going on where an earlier attempt, perhaps of another process, stopped.

    huggingface_hub itself resumes only within one process. hf_hub_download finds the finished blob and links to it.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get, repo_folder_name
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    folder = repo_folder_name(repo_id=source.repo_id, repo_type="model")
    blob = Path(constants.HF_HUB_CACHE) / folder / "blobs" / str(file.sha256)
    lock = Path(constants.HF_HUB_CACHE) / ".locks" / folder / f"{file.sha256}.lock"
    incomplete = blob.with_name(f"{blob.name}.incomplete")
    pointer = Path(constants.HF_HUB_CACHE) / folder / "snapshots" / commit / file.name
    if blob.exists() or pointer.exists():
        return
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    url = hf_hub_url(source.repo_id, file.name, revision=commit)
    with locked(lock):
        if blob.exists():
            return
        headers = build_hf_headers(library_name="anyon", library_version=__version__)
        metadata = get_hf_file_metadata(url, headers=dict(headers))
        if _host(metadata.location) != _host(url):
            headers.pop("authorization", None)
        with open(incomplete, "ab") as raw:
            start = raw.tell()
            if start > (file.size or 0):
                raw.truncate(0)
                start = 0
            counting = _Counting(raw, start, progress)
            http_get(metadata.location, counting, resume_size=start, headers=headers, expected_size=file.size)  # type: ignore[arg-type]
        os.replace(incomplete, blob)


class _Counting:
    """A file that tells how many bytes it holds each time it grows."""

    def __init__(self, raw: Any, size: int, progress: Callable[[float], None]) -> None:
        self._raw = raw
        self._size = size
        self._progress = progress

    def write(self, data: bytes) -> int:
        written: int = self._raw.write(data)
        self._size += written
        self._progress(self._size)
        return written

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._raw.seek(offset, whence))

    def tell(self) -> int:
        return int(self._raw.tell())

    def truncate(self, size: int | None = None) -> int:
        self._size = int(self._raw.truncate(size))
        return self._size

    def flush(self) -> None:
        self._raw.flush()


def _verify(source: HubSource, path: Path, sha256: str | None, report: Report) -> None:
    """Compares a file with the digest the hub announced; a file that differs is removed, so that a retry is clean."""
    if sha256 is None:
        return
    size = path.stat().st_size
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
            report(Progress("verify", file.tell(), size, "bytes", path.name))
    if digest.hexdigest() == sha256:
        return
    for damaged in {path.resolve(), path}:
        with suppress(OSError):
            damaged.unlink()
    raise HubError(
        f"{source}: {path.name} has sha256 {digest.hexdigest()}, the hub announced {sha256} "
        "(removed; load again to download it afresh)"
    )


def _from_cache(source: HubSource, report: Report, why: str) -> HubSnapshot:
    """The snapshot that an earlier download left in the hub's cache."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    storage = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=source.repo_id, repo_type="model")
    commit = source.revision
    with suppress(OSError):
        commit = (storage / "refs" / source.revision).read_text().strip()
    folder = storage / "snapshots" / commit
    names = [str(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()]
    try:
        chosen = select_files(names, str(source), source.file)
    except CheckpointError:
        raise HubError(
            f"{source}: {why}, and {storage} holds no complete copy "
            "(connect once to download it, or pass a checkpoint's folder or a .anyon file)"
        ) from None
    paths = {name: folder / name for name in chosen}
    for path in paths.values():
        # The cache calls the blob of a large file by its sha256.
        blob = path.resolve().name
        _verify(source, path, blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None, report)
    log.info("%s: %s; using the copy in %s", source, why, folder)
    return HubSnapshot(_snapshot_path(source, paths), commit)


def _snapshot_path(source: HubSource, paths: Mapping[str, Path]) -> Path:
    if source.file is not None:
        return paths[source.file]
    return next(iter(paths.values())).parent


def _note_revision(source: HubSource, commit: str, name: str) -> None:
    import huggingface_hub as hub

    if source.revision == commit:
        return
    with suppress(Exception), _quiet_bars():
        hub.hf_hub_download(source.repo_id, name, revision=source.revision)


def _announced(info: Any) -> dict[str, HubFile]:
    files = {}
    for sibling in info.siblings or []:
        lfs = sibling.lfs
        sha256 = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
        name = sibling.rfilename
        # The names become paths under the cache.
        if name.startswith("/") or ".." in name.split("/") or (sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256)):
            continue
        files[name] = HubFile(name, sibling.size, sha256)
    return files


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """Keeps huggingface_hub from drawing bars of its own: progress goes to the caller's report."""
    from huggingface_hub import utils

    if utils.are_progress_bars_disabled():  # type: ignore[attr-defined]
        yield
        return
    utils.disable_progress_bars()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        utils.enable_progress_bars()  # type: ignore[attr-defined]


@contextmanager
def _small_chunks() -> Iterator[None]:
    """A broken connection costs the unfinished chunk: at most 1 MiB instead of huggingface_hub's 10 MiB."""
    from huggingface_hub import constants

    usual = constants.DOWNLOAD_CHUNK_SIZE
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = usual


def _refused(source: HubSource, error: Any, file: str = "") -> HubError:
    from huggingface_hub import errors

    where = f"{source}: {file}" if file else str(source)
    if isinstance(error, errors.GatedRepoError):
        return HubError(f"{where}: the repository is gated (accept its terms on the hub, then set HF_TOKEN)")
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubError(f"{where}: no such repository, or a private one (check the spelling, or set HF_TOKEN)")
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{where}: no revision {source.revision!r} (leave it out for the newest)")
    status = error.response.status_code if error.response is not None else "no status"
    return HubError(f"{where}: the hub refused with {status}: {_short(error)} (check HF_TOKEN and HF_ENDPOINT)")


def _os_error(source: HubSource, error: OSError, file: HubFile) -> AnyonError:
    from huggingface_hub import constants

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        return cache_error(Path(constants.HF_HUB_CACHE), error, file.size)
    return _broke_off(source, file, error)


def _broke_off(source: HubSource, file: HubFile, error: BaseException) -> HubError:
    return HubError(
        f"{source}: {file.name}: the download broke off: {_short(error)} (load again: it goes on from there)"
    )


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc.lower()


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
