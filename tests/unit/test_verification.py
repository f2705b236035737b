"""`verify=` and `anyon verify`: hashes and signatures of bundles, on fixtures that the model-signing package made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import anyon
from anyon import _native
from anyon.bundle import Bundle
from anyon.errors import AnyonError, BundleError, OptionError, SignatureError
from anyon.verification import check_bundle, public_key

FIXTURES = Path(__file__).parents[1] / "golden" / "signature"
KEY = FIXTURES / "public.pem"


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A signed bundle to change."""
    for name in ("small.anyon", "small.anyon.sig"):
        shutil.copy(FIXTURES / name, tmp_path / name)
    return tmp_path / "small.anyon"


def verify(path: Path, key: Any = KEY) -> None:
    check_bundle(Bundle(path), public_key(key), own=True)


def test_a_signature_of_the_real_tool_verifies_with_its_key_as_path_and_as_text(signed: Path) -> None:
    verify(signed)
    verify(signed, str(KEY))
    verify(signed, KEY.read_text())


def test_a_changed_byte_of_the_data_is_found_with_and_without_a_key(signed: Path) -> None:
    content = bytearray(signed.read_bytes())
    content[-1] ^= 1
    signed.write_bytes(content)
    with pytest.raises(BundleError, match="the data has SHA-256"):
        verify(signed)
    with pytest.raises(BundleError, match="the data has SHA-256"):
        verify(signed, True)
    with pytest.raises(SignatureError, match="changed since it was signed"):
        Bundle(signed).verify_signature((FIXTURES / "small.anyon.sig").read_bytes(), KEY.read_bytes())


def test_a_missing_signature_says_how_to_make_one(signed: Path) -> None:
    signed.with_name("small.anyon.sig").unlink()
    with pytest.raises(SignatureError, match=r"small\.anyon\.sig does not exist \(model_signing sign key"):
        verify(signed)


def test_a_renamed_bundle_is_reported(signed: Path) -> None:
    signed.with_name("small.anyon.sig").rename(signed.with_name("large.anyon.sig"))
    with pytest.raises(SignatureError, match=r"it is for 'small\.anyon', this file has another name"):
        verify(signed.rename(signed.with_name("large.anyon")))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("missing.pem", "cannot be read as a public key: No such file"),
        (7, "expected True, a PEM file's path, or its text"),
        ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n", "private key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not an ECDSA key of the curve P-256"),
    ],
)
def test_a_key_that_is_none_is_a_wrong_option(signed: Path, key: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        verify(signed, key)


def test_every_forged_signature_is_refused_by_name(signed: Path) -> None:
    bundle = Bundle(signed)
    for case in json.loads((FIXTURES / "cases.json").read_text()):
        if not case["message"]:
            bundle.verify_signature(case["signature"].encode(), KEY.read_bytes())
            continue
        with pytest.raises(SignatureError) as caught:
            bundle.verify_signature(case["signature"].encode(), KEY.read_bytes())
        assert case["message"] in str(caught.value), case["what"]


def test_a_name_that_is_cut_within_a_character_still_makes_a_message(signed: Path) -> None:
    name = "é" * 200
    header = json.dumps({f"x{name}": {"dtype": "nonsense", "shape": [], "data_offsets": [0, 0]}}, ensure_ascii=False)
    content = len(header.encode()).to_bytes(8, "little") + header.encode()
    with pytest.raises(_native.AnyonNativeError, match="unknown dtype 'nonsense'"):
        _native.Bundle.from_bytes(content)


def test_load_verifies_before_it_looks_at_the_family(signed: Path) -> None:
    for verify in (True, KEY):
        with pytest.raises(BundleError, match="family 'none' is not known"):
            anyon.load(signed, verify=verify)
    signed.with_name("small.anyon.sig").write_text("{}")
    with pytest.raises(SignatureError, match="it has no 'mediaType'"):
        anyon.load(signed, verify=KEY)
    with pytest.raises(BundleError, match="family 'none' is not known"):
        anyon.load(signed, verify=False)


def test_load_of_a_checkpoint_takes_hashes_and_refuses_a_key(tiny_en: Any, cache: Path) -> None:
    model = anyon.load("tiny.en", cache_dir=cache, recipe="f32", verify=True)
    assert model.info["bundle"] == tiny_en.info["bundle"]
    with pytest.raises(OptionError, match=r"only a \.anyon file can be signed"):
        anyon.load("tiny.en", cache_dir=cache, recipe="f32", verify=KEY)


def test_the_command_says_what_was_checked(run_anyon: Any, signed: Path) -> None:
    lines = run_anyon("verify", signed, "--key", KEY).stdout.splitlines()
    assert lines[1] == "header: matches its SHA-256"
    assert lines[2] == f"data: matches its SHA-256 {Bundle(signed).manifest['data_sha256']}"
    assert lines[3] == f"signature: {signed}.sig was made with {KEY}, of this very file"
    facts = json.loads(run_anyon("verify", signed, "--json").stdout)
    assert facts["signature"] == "not asked for (--key)"
    signed.with_name("small.anyon.sig").write_text("{")
    done = run_anyon("verify", signed, "--key", KEY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "signature: not a sigstore bundle: not valid JSON" in done.stderr
    assert run_anyon("verify", signed, "--signature", "x.sig").returncode == 2


def test_a_signature_error_is_a_bundle_error_of_the_family() -> None:
    assert issubclass(SignatureError, BundleError)
    assert issubclass(SignatureError, AnyonError)
    assert anyon.SignatureError is SignatureError
