"""Sessions of the pages: a signed cookie that says which token was shown at the login, and until when it counts.

Nothing is kept on the server. A session is as good as its token: who is revoked, or is given another token, is out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import Response

from seatrial.api.credentials import Credentials, Principal
from seatrial.ids import Digest

LIFETIME: Final = timedelta(hours=12)


class Sessions:
    """Cookie values: made at the login, read at every request.

    ``instance`` is part of the cookie's name: cookies do not know ports, so two projects on one machine would log each
    other out.
    """

    def __init__(self, key: bytes, credentials: Credentials, instance: str) -> None:
        self._key, self._credentials = key, credentials
        self.cookie = f"seatrial-{instance}"

    def issue(self, principal: Principal, now: datetime) -> str:
        """A new session; what the browser sent before has no part in it."""
        content = {
            "name": principal.name,
            "credential": principal.credential,
            "until": (now + LIFETIME).timestamp(),
            "nonce": secrets.token_hex(8),
        }
        body = _text(json.dumps(content).encode())
        return f"{body}.{self._sign('session', body)}"

    def read(self, value: str, now: datetime) -> Principal | None:
        """Who holds this session; None if it is not ours, is over, or its token no longer counts."""
        body, _, signature = value.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return None
        content: dict[str, Any] = json.loads(_bytes(body))
        if now.timestamp() >= content["until"]:
            return None
        return self._credentials.of_digest(Digest(content["credential"]), content["name"], now)

    def csrf(self, value: str) -> str:
        """What a form of this session must send along: another site cannot read it."""
        return self._sign("csrf", value)

    def set(self, response: Response, value: str, *, https: bool) -> None:
        """Hand the cookie out. Scripts cannot read it, and no other site's page makes the browser send it."""
        age = int(LIFETIME.total_seconds())
        response.set_cookie(self.cookie, value, max_age=age, path="/", secure=https, httponly=True, samesite="strict")

    def clear(self, response: Response, *, https: bool) -> None:
        response.delete_cookie(self.cookie, path="/", secure=https, httponly=True, samesite="strict")

    def _sign(self, purpose: str, text: str) -> str:
        return _text(hmac.digest(self._key, f"{purpose}:{text}".encode("utf-8", "replace"), hashlib.sha256))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
