"""Writes a small bundle, a key, signatures by the model-signing package, and forged ones (cases.json).

Run by hand in an environment with model-signing, pyopenssl and numpy, with export/ and quantization/ on PYTHONPATH.
Every run makes a new private key, which is not kept.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from anyon_export.bundle import bundle_bytes

FOLDER = Path(__file__).parent
PAYLOAD_TYPE = "application/vnd.in-toto+json"
NAME = "small.anyon"


def real_signature(model: Path, key: Path, config: hashing.Config | None = None) -> str:
    """What the tool writes for a file or a folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signature"
        signer = signing.Config().use_elliptic_key_signer(private_key=key)
        if config is not None:
            signer = signer.set_hashing_config(config)
        signer.sign(model, path)
        return path.read_text()


class Forger:
    """Signs statements that the tool would not write, with the right key."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, real: str) -> None:
        self._private = private
        self._bundle = json.loads(real)
        self._statement = json.loads(base64.b64decode(self._bundle["dsseEnvelope"]["payload"]))

    def signed(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> dict[str, Any]:
        pae = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload
        bundle = copy.deepcopy(self._bundle)
        bundle["dsseEnvelope"] = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(self._private.sign(pae, ec.ECDSA(hashes.SHA256()))).decode()}],
        }
        return bundle

    def statement(self, change: Callable[[dict[str, Any]], None], rehash: bool = True) -> dict[str, Any]:
        statement = copy.deepcopy(self._statement)
        change(statement)
        if rehash:
            digests = b"".join(bytes.fromhex(row["digest"]) for row in statement["predicate"]["resources"])
            statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()
        return self.signed(json.dumps(statement).encode())

    def envelope(self, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        bundle = copy.deepcopy(self._bundle)
        change(bundle)
        return bundle


def resources(statement: dict[str, Any]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = statement["predicate"]["resources"]
    return rows


def cases(forger: Forger) -> dict[str, tuple[Any, str]]:
    """What each is called → the signature, and words of the message that refuses it; "" for one that is right."""
    other = {"name": "other.anyon", "algorithm": "sha256", "digest": "0" * 64}
    statement, envelope = forger.statement, forger.envelope

    def serialization_of(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
        return lambda s: s["predicate"]["serialization"].update({key: value})

    return {
        "unchanged": (envelope(lambda b: None), ""),
        "signed again": (statement(lambda s: None), ""),
        "unknown fields of a predicate": (statement(lambda s: s["predicate"].update(card="x")), ""),
        "listed in a folder": (
            statement(lambda s: (resources(s)[0].update(name="sub/" + NAME), resources(s).append(other))),
            "",
        ),
        "no JSON": ("hello", "not a sigstore bundle"),
        "a list": ([], "it has no 'mediaType'"),
        "deep": ("[" * 100 + "]" * 100, "nested deeper than 16"),
        "another media type": (envelope(lambda b: b.update(mediaType="text/plain")), "'mediaType' is 'text/plain'"),
        "a certificate": (
            envelope(lambda b: b.update(verificationMaterial={"certificate": {"rawBytes": ""}})),
            "not made with a key",
        ),
        "no envelope": (envelope(lambda b: b.pop("dsseEnvelope")), "it has no 'dsseEnvelope'"),
        "another payload type": (forger.signed(b"{}", "application/json"), "'payloadType' is 'application/json'"),
        "payload not base64": (
            envelope(lambda b: b["dsseEnvelope"].update(payload="e30=\n")),
            "'payload' is not base64",
        ),
        "changed payload": (envelope(lambda b: b["dsseEnvelope"].update(payload="e30=")), "does not verify"),
        "no signatures": (envelope(lambda b: b["dsseEnvelope"].update(signatures=[])), "0 signatures"),
        "two signatures": (
            envelope(lambda b: b["dsseEnvelope"].update(signatures=2 * b["dsseEnvelope"]["signatures"])),
            "2 signatures",
        ),
        "empty signature": (
            envelope(lambda b: b["dsseEnvelope"].update(signatures=[{"sig": ""}])),
            "does not verify",
        ),
        "signature a number": (
            envelope(lambda b: b["dsseEnvelope"].update(signatures=[{"sig": 1}])),
            "'sig' is not text",
        ),
        "payload no JSON": (forger.signed(b"{"), "not valid JSON"),
        "payload a list": (forger.signed(b"[]"), "it has no '_type'"),
        "payload with a key twice": (forger.signed(b'{"_type":1,"_type":2}'), "appears twice"),
        "another statement": (statement(lambda s: s.update(_type="x")), "'_type' is 'x'"),
        "the predicate of before 1.0": (
            statement(lambda s: s.update(predicateType="https://model_signing/Digests/v0.1")),
            "'predicateType' is 'https://model_signing/Digests/v0.1'",
        ),
        "two subjects": (statement(lambda s: s.update(subject=2 * s["subject"])), "2 subjects"),
        "shards": (statement(serialization_of("method", "shards")), "'method' is 'shards'"),
        "blake2b": (statement(serialization_of("hash_type", "blake2b")), "'hash_type' is 'blake2b'"),
        "a file with blake3": (statement(lambda s: resources(s)[0].update(algorithm="blake3")), "'blake3'"),
        "no files": (statement(lambda s: resources(s).clear()), "lists no file"),
        "a file twice": (statement(lambda s: resources(s).extend([other, other])), "twice"),
        "short digest": (statement(lambda s: resources(s)[0].update(digest="ab"), False), "'digest' is not a SHA-256"),
        "upper-case digest": (
            statement(lambda s: resources(s)[0].update(digest="AB" * 32), False),
            "'digest' is not a SHA-256",
        ),
        "another hash of the subject": (
            statement(lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), False),
            "its subject's hash",
        ),
        "another digest": (
            statement(lambda s: resources(s)[0].update(digest="0" * 64)),
            "it is for a file with SHA-256 000",
        ),
        "another name": (
            statement(lambda s: s["subject"][0].update(name="other.anyon")),
            "it is for 'other.anyon', this file has another name",
        ),
        "not in the folder": (
            statement(lambda s: (resources(s)[0].update(name="x.anyon"), resources(s).append(other))),
            "lists 2 files of 'small.anyon', and none of them is called 'small.anyon'",
        ),
    }


def main() -> None:
    rows = np.arange(192, dtype=np.float32).reshape(12, 16)
    (FOLDER / NAME).write_bytes(bundle_bytes({"family": "none", "programs": {}}, {"rows": rows, "ids": np.arange(5)}))
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    encoding, layout = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (FOLDER / "public.pem").write_bytes(public.public_bytes(encoding, layout))
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key.pem"
        unprotected = serialization.NoEncryption()
        key.write_bytes(private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, unprotected))
        real = real_signature(FOLDER / NAME, key)
        (FOLDER / f"{NAME}.sig").write_text(real)
        models = Path(folder) / "models"
        models.mkdir()
        (models / NAME).write_bytes((FOLDER / NAME).read_bytes())
        (models / "README").write_text("read me\n")
        of_folder = real_signature(models, key)
        shards = hashing.Config().use_shard_serialization()
        blake2 = hashing.Config().use_file_serialization(hashing_algorithm="blake2")
        rows_by_name = cases(Forger(private, real))
        rows_by_name["a folder, by the tool"] = (json.loads(of_folder), "")
        rows_by_name["shards, by the tool"] = (json.loads(real_signature(models, key, shards)), "'method' is 'shards'")
        rows_by_name["blake2, by the tool"] = (
            json.loads(real_signature(models, key, blake2)),
            "'hash_type' is 'blake2b'",
        )
    text = [
        {"what": what, "signature": value if isinstance(value, str) else json.dumps(value), "message": message}
        for what, (value, message) in rows_by_name.items()
    ]
    (FOLDER / "cases.json").write_text(json.dumps(text, indent=0) + "\n")


if __name__ == "__main__":
    main()
