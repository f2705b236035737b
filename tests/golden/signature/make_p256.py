"""Writes p256.json: ECDSA P-256 signatures, right and wrong ones of every kind, judged by the cryptography package.

Run by hand, with cryptography installed; the seed makes the same keys and messages every time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None
OUT = Path(__file__).with_name("p256.json")


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k: int, point: Point) -> Point:
    total: Point = None
    for bit in bin(k % N)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def integer(value: int) -> bytes:
    """The DER of a positive number."""
    body = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([2, len(body)]) + body


def der(r: int, s: int) -> bytes:
    body = integer(r) + integer(s)
    return bytes([0x30, len(body)]) + body


def sign(d: int, e: int, k: int) -> tuple[int, int]:
    point = times(k, G)
    assert point is not None
    r = point[0] % N
    return r, pow(k, -1, N) * (e + r * d) % N


class Cases:
    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(self, what: str, key: Point, e: int, signature: bytes, valid: bool) -> None:
        assert key is not None
        public = ec.EllipticCurvePublicNumbers(key[0], key[1], ec.SECP256R1()).public_key()
        digest = e.to_bytes(32, "big")
        try:
            public.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
            judged = True
        except InvalidSignature:
            judged = False
        assert judged == valid, what
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.rows.append(
            {"what": what, "key": pem.decode(), "digest": digest.hex(), "signature": signature.hex(), "valid": valid}
        )


def numbers(cases: Cases, key: Point, d: int, e: int, r: int, s: int) -> None:
    """Wrong values of r and s in the right encoding."""
    edges = {"0": 0, "1": 1, "n": N, "n - 1": N - 1, "n + 1": N + 1, "p": P, "2^256 - 1": 2**256 - 1, "2^256": 2**256}
    for name, value in edges.items():
        cases.add(f"r = {name}", key, e, der(value, s), False)
        cases.add(f"s = {name}", key, e, der(r, value), False)
    cases.add("r + n", key, e, der(r + N, s), False)
    cases.add("s + n", key, e, der(r, s + N), False)
    cases.add("r and s exchanged", key, e, der(s, r), False)
    cases.add("n - s, which is as good as s", key, e, der(r, N - s), True)
    cases.add("n - r", key, e, der(N - r, s), False)
    cases.add("another digest", key, e ^ 1, der(r, s), False)
    cases.add("another key", times(d + 1, G), e, der(r, s), False)


def encodings(cases: Cases, key: Point, e: int, r: int, s: int) -> None:
    """The right numbers in wrong encodings."""
    right, a, b = der(r, s), integer(r), integer(s)
    padded = bytes([2, len(a) - 1, 0]) + a[2:]
    wrong = {
        "empty": b"",
        "no sequence": a + b,
        "a set": b"\x31" + right[1:],
        "length in long form": b"\x30\x81" + right[1:],
        "length of two bytes": b"\x30\x82\x00" + right[1:],
        "indefinite length": b"\x30\x80" + a + b + b"\x00\x00",
        "length too small": bytes([0x30, len(a + b) - 1]) + a + b,
        "length too large": bytes([0x30, len(a + b) + 1]) + a + b,
        "a byte after it": right + b"\x00",
        "a byte within it": bytes([0x30, len(a + b) + 1]) + a + b + b"\x00",
        "NULL after s": bytes([0x30, len(a + b) + 2]) + a + b + b"\x05\x00",
        "no s": bytes([0x30, len(a)]) + a,
        "a zero before r": bytes([0x30, len(padded + b)]) + padded + b,
        "r with a long length": bytes([0x30, len(a + b) + 1]) + b"\x02\x81" + a[1:] + b,
        "r an octet string": bytes([0x30, len(a + b)]) + b"\x04" + a[1:] + b,
        "r negative": bytes([0x30, 2 + 32 + len(b)]) + b"\x02\x20" + (2**256 - 1).to_bytes(32, "big") + b,
        "r of no bytes": bytes([0x30, 2 + len(b)]) + b"\x02\x00" + b,
        "raw r and s": r.to_bytes(32, "big") + s.to_bytes(32, "big"),
    }
    for name, signature in wrong.items():
        cases.add(name, key, e, signature, False)
    for size in range(0, len(right), 7):
        cases.add(f"cut to {size} bytes", key, e, right[:size], False)


def special_points(cases: Cases, source: random.Random) -> None:
    """Sums that are doublings, infinite, or have an x beyond the order."""
    for d in (1, 2, N - 1, N - 2):
        for e in (0, 1, N - 1, N, N + 1, 2**256 - 1, source.getrandbits(256)):
            cases.add(f"key {d % N}, digest {e:x}", times(d, G), e, der(*sign(d, e % N, source.randrange(1, N))), True)
    d, e, s = source.randrange(1, N), source.randrange(1, N), source.randrange(1, N)
    cases.add("the sum is infinite", times(d, G), e, der(-e * pow(d, -1, N) % N, s), False)
    found = 0
    for x in range(N, P):
        square = (x**3 - 3 * x + B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P != square:
            continue
        # A key for which the sum is the point (x, y) with x >= n: r = x - n.
        r = x - N
        if r == 0:
            continue
        key = times(pow(r, -1, N), add(times(s, (x, y)), times(N - e, G)))
        cases.add(f"x is {r} beyond n", key, e, der(r, s), True)
        found += 1
        if found == 4:
            return


def main() -> None:
    source = random.Random(1)
    cases = Cases()
    for index in range(24):
        d, e, k = (source.randrange(1, N) for _ in range(3))
        r, s = sign(d, e, k)
        cases.add(f"random {index}", times(d, G), e, der(r, s), True)
    k = source.randrange(1, N)
    short = next(e for e in range(1, 10_000) if sign(7, e, k)[1] < 2**248)
    cases.add("s of 31 bytes", times(7, G), short, der(*sign(7, short, k)), True)
    d, e, k = (source.randrange(1, N) for _ in range(3))
    r, s = sign(d, e, k)
    numbers(cases, times(d, G), d, e, r, s)
    encodings(cases, times(d, G), e, r, s)
    special_points(cases, source)
    OUT.write_text(json.dumps(cases.rows, indent=0) + "\n")
    print(f"{OUT.name}: {len(cases.rows)} signatures, {sum(bool(row['valid']) for row in cases.rows)} of them right")


if __name__ == "__main__":
    main()
