"""A foreign server behind the host: its answers are passed on, but only those that are predictions."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from seatrial.events.wire import WireError, WireFormat, detect_format, parse_request, parse_response
from seatrial.serving.asgi import Call, Headers, Reply, reply_error
from seatrial.serving.columns import HEADER_LIMIT
from seatrial.serving.spec import HostSpec

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
_NOT_FORWARDED = _HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"expect"}
_NOT_RETURNED = _HOP_BY_HOP | {b"content-length", b"content-encoding", b"date", b"server"}
_PASSED_THROUGH = ("/generate", "/generate_stream", "/infer_stream")
_KEEP_ALIVE_S = 1.5  # shorter than gunicorn's 2 s and uvicorn's 5 s: a connection that is about to close is not reused
_PROBE_EVERY_S = 1.0


class _TooLong(Exception):
    """The foreign answer is larger than the host reads."""


class Proxy:
    """Forwards any path to ``spec.url``. Predictions are checked; everything else passes through."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self._base = (spec.url or "").rstrip("/")
        self._limit = int(spec.max_body_mb * 2**20)
        self._session: aiohttp.ClientSession | None = None
        self._probed: tuple[float, bool] = (float("-inf"), False)

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.spec.timeout_s),
            skip_auto_headers=("user-agent", "content-type", "accept"),
            trust_env=False,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> bool:
        """Whether the foreign server takes connections, asked at most once a second."""
        if self._session is None:
            return False
        at, answer = self._probed
        if time.monotonic() - at > _PROBE_EVERY_S:
            answer = await self._connects()
            self._probed = (time.monotonic(), answer)
        return answer

    async def _connects(self) -> bool:
        parts = urlsplit(self._base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(min(1.0, self.spec.timeout_s)):
                _, writer = await asyncio.open_connection(parts.hostname, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def handle(self, call: Call) -> Reply:
        if self._session is None:
            return reply_error(503, "the host is starting")
        try:
            return await self._forward(self._session, call)
        except aiohttp.ClientConnectorError as error:
            return reply_error(503, f"the server at {self._base} does not take connections: {error.strerror or error}")
        except TimeoutError:
            return reply_error(504, f"the server at {self._base} did not answer within {self.spec.timeout_s:g} s")
        except _TooLong:
            return reply_error(502, f"the server at {self._base} sent more than {self.spec.max_body_mb:g} MB")
        except aiohttp.ClientError as error:
            return reply_error(502, f"the server at {self._base} broke off: {type(error).__name__}")

    async def _forward(self, session: aiohttp.ClientSession, call: Call) -> Reply:
        target = URL(self._base + call.raw_target.decode("latin-1"), encoded=True)
        response = await session.request(
            call.method, target, headers=_forwarded(call.headers), data=call.body or None, allow_redirects=False
        )
        headers = _returned(response)
        if response.content_type == "text/event-stream":
            return Reply(response.status, headers=headers, stream=_stream(response))
        async with response:
            body = await self._read(response)
        if self._is_prediction(call) and 200 <= response.status < 300:
            return self._checked(call, response, headers, body)
        return Reply(response.status, body, headers)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.content_length is not None and response.content_length > self._limit:
            raise _TooLong
        if response.content_length is not None and "content-encoding" not in response.headers:
            return await response.read()
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limit:
                raise _TooLong
        return b"".join(chunks)

    def _is_prediction(self, call: Call) -> bool:
        return call.method == "POST" and not call.path.endswith(_PASSED_THROUGH)

    def _checked(self, call: Call, response: aiohttp.ClientResponse, headers: Headers, body: bytes) -> Reply:
        """The reply as it came, or 502 with the reason why it is no prediction."""
        format, rows = self._asked(call)
        kind = response.headers.get("content-type")
        try:
            parse_response(format, kind, body, rows=rows, spec=self.spec.response)
        except WireError as error:
            if error.kind != "unsupported":
                return reply_error(502, f"the server at {self._base} gave no valid prediction ({error.kind}): {error}")
        features = _features(body, self.spec.emit_features)
        return Reply(response.status, body, headers if features is None else [*headers, features])

    def _asked(self, call: Call) -> tuple[WireFormat, int | None]:
        """Format and number of rows of a request; one that does not read is for the foreign server to judge."""
        kind = call.header(b"content-type")
        try:
            request = parse_request(call.path, kind, call.body, format=self.spec.wire, spec=self.spec.response)
        except WireError:
            return self.spec.wire or detect_format(call.path), None
        return request.format, request.rows


def _forwarded(headers: Headers) -> list[tuple[str, str]]:
    dropped = _NOT_FORWARDED | _named_by_connection(value for key, value in headers if key == b"connection")
    kept = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in headers if key not in dropped]
    return [*kept, ("accept-encoding", "identity")]


def _returned(response: aiohttp.ClientResponse) -> Headers:
    raw = [(key.lower(), value) for key, value in response.raw_headers]
    dropped = _NOT_RETURNED | _named_by_connection(value for key, value in raw if key == b"connection")
    return [(key, value) for key, value in raw if key not in dropped and not key.startswith(b"x-seatrial-")]


def _named_by_connection(values: Iterable[bytes]) -> frozenset[bytes]:
    """Headers that a Connection header declares to be hop by hop."""
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))


async def _stream(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with response:
        async for chunk in response.content.iter_any():
            yield chunk


def _features(body: bytes, names: tuple[str, ...] | None) -> tuple[bytes, bytes] | None:
    """The header for features that the foreign server says it used: a top-level list ``features`` in its answer."""
    if b'"features"' not in body:
        return None
    document: Any = json.loads(body)
    rows = document.get("features") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return None
    kept = [{key: value for key, value in row.items() if names is None or key in names} for row in rows]
    text = json.dumps(kept, separators=(",", ":"))
    return (b"x-seatrial-features", text.encode("ascii")) if len(text) <= HEADER_LIMIT else None
