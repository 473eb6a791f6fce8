"""The webhook's signature, for both sides: `X-Seg-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.

The time is part of what is signed, so that a recorded request can't be replayed later.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "X-Seg-Signature"
TOLERANCE = 300
"""Seconds a signature is good for, before and after the receiver's clock."""


def sign(secret: str, body: bytes, at: int) -> str:
    """The header's value for a body sent at Unix time `at`."""
    return f"t={at},v1={_digest(secret, body, str(at))}"


def signature_fault(secret: str, body: bytes, header: str, now: float, tolerance: int = TOLERANCE) -> str:
    """Why a request is not to be believed, or "". Compares in constant time.

    Args:
        secret: the shared signing key.
        body: as received, byte for byte.
        header: value of `X-Seg-Signature`; of several v1 one must fit, so that a key can be changed.
        now: the receiver's Unix time.
        tolerance: seconds the two clocks may differ.
    """
    pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in pairs if name == "t"]
    signatures = [value for name, value in pairs if name == "v1"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdecimal() or not signatures:
        return "no usable signature"
    expected = _digest(secret, body, times[0]).encode()
    matches = [hmac.compare_digest(expected, signature.encode()) for signature in signatures]
    if not any(matches):
        return "wrong signature"
    return "" if abs(now - int(times[0])) <= tolerance else "the signature is too old or from the future; compare the clocks"


def _digest(secret: str, body: bytes, at: str) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
