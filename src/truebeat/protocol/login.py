"""Login codes: what `truebeat up` puts into the URL that it prints, so that the canvas opens without typing a token.

A code is made from the operator's own token, lives ten minutes and is good once. It stands in the URL's fragment, which
no browser sends and no server logs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

#: seconds a code is good for
CODE_LIFE: Final = 600
_PURPOSE: Final = b"truebeat canvas login\0"


def make_code(admin_token: str, now: float, nonce: bytes) -> str:
    """`now` in seconds since the epoch; `nonce`: 16 random bytes."""
    facts = int(now + CODE_LIFE).to_bytes(8, "big") + nonce[:16].ljust(16, b"\0")
    return base64.urlsafe_b64encode(facts + _seal(admin_token, facts)).decode().rstrip("=")


def code_is_good(admin_token: str, code: str, now: float) -> bool:
    """Whether it was made from that token and has not run out; that it was not used before is the caller's to know, by
    `code_bytes`: one code has several spellings.
    """
    raw = code_bytes(code)
    facts, seal = raw[:24], raw[24:]
    return (
        len(facts) == 24
        and hmac.compare_digest(seal, _seal(admin_token, facts))
        and now <= int.from_bytes(facts[:8], "big") <= now + CODE_LIFE + 60
    )


def code_bytes(code: str) -> bytes:
    """What a code says, however it is spelled (padding, unused bits of its last character); empty if it is none."""
    try:
        return base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def login_url(server: str, code: str, query: str = "") -> str:
    """Where a browser logs in with it. `query`: what it then sees, as in the page's own addresses ("?workspace=…")."""
    return f"{server}/{query}#login={code}"


def _seal(admin_token: str, facts: bytes) -> bytes:
    return hmac.digest(admin_token.encode(), _PURPOSE + facts, hashlib.sha256)
