"""A foreign server behind the host: its answers are passed on, but only those that are predictions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from seatrial.events.wire import (
    UNSCORED,
    Request,
    WireError,
    detect_format,
    inflated,
    is_scored,
    parse_request,
    parse_response,
    unread,
)
from seatrial.features import FEATURES_HEADER
from seatrial.serving.asgi import Call, Headers, Reply, reply_error
from seatrial.serving.features import features_header
from seatrial.serving.spec import HostSpec

_HOP_BY_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
_NOT_FORWARDED: Final = _HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"expect"}
_NOT_RETURNED: Final = _HOP_BY_HOP | {b"content-length", b"content-encoding", b"date", b"server"}
_OWN: Final = b"x-seatrial-"
_TOLD: Final = frozenset({b"x-seatrial-id", b"x-seatrial-shadow"})
"""All that a model is told: knowing its arm, it could behave differently in it."""

_KEEP_ALIVE_S = 1.5  # shorter than gunicorn's 2 s and uvicorn's 5 s: a connection that is about to close is not reused
_PROBE_EVERY_S = 1.0


class _TooLong(Exception):
    """The foreign answer is larger than the host reads."""


@dataclass(slots=True)
class _Attempt:
    """``reused``: the request went out on a connection that had been kept."""

    reused: bool = False


class Proxy:
    """Forwards any path to ``spec.url``. Predictions are checked; everything else passes through as it comes."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self._target = Target(spec.url or "")
        self._limit = int(spec.max_body_mb * 2**20)
        self._session: aiohttp.ClientSession | None = None
        self._probed: tuple[float, bool] = (float("-inf"), False)

    async def start(self) -> None:
        # How long an answer may take is said where it is read; between the pieces of a stream it is the same again.
        pieces = aiohttp.ClientTimeout(total=None, sock_connect=self.spec.timeout_s, sock_read=self.spec.timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=pieces,
            skip_auto_headers=("user-agent", "content-type", "accept"),
            trust_env=False,
            trace_configs=[_noting_reuse()],
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def reread(self, spec: HostSpec) -> None:
        self.spec = spec

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
        try:
            async with asyncio.timeout(min(1.0, self.spec.timeout_s)):
                _, writer = await asyncio.open_connection(self._target.host, self._target.port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def handle(self, call: Call) -> Reply:
        if self._session is None:
            return reply_error(503, "the host is starting")
        server = f"the server at {self._target.name}"
        try:
            return await self._forward(self._session, call)
        except aiohttp.ClientSSLError as error:
            return reply_error(502, f"{server} is not trusted: {_distrust(error)}")
        except aiohttp.ClientConnectorError as error:
            return reply_error(503, f"{server} does not take connections: {error.strerror or error}")
        except TimeoutError:
            return reply_error(504, f"{server} did not answer within {self.spec.timeout_s:g} s")
        except _TooLong:
            return reply_error(502, f"{server} sent more than {self.spec.max_body_mb:g} MB")
        except aiohttp.ClientError as error:
            return reply_error(502, f"{server} broke off: {type(error).__name__}")

    async def _forward(self, session: aiohttp.ClientSession, call: Call) -> Reply:
        scored = is_scored(call.method, call.path, self.spec.response)
        async with asyncio.timeout(self.spec.timeout_s):
            response = await self._ask(session, call)
            asked = self._asked(call) if scored else Request("opaque", 1)
            if not scored or unread(asked.format, response.headers.get("content-type")):
                return Reply(response.status, headers=_returned(response, whole=True), stream=_stream(response))
            async with response:
                body = await self._read(response)
        if 200 <= response.status < 300:
            return self._checked(asked, response, body)
        if 300 <= response.status < 400:  # its address is not for clients, and a browser would forget the body
            return reply_error(502, f"the server at {self._target.name} redirects; register the URL it redirects to")
        return Reply(response.status, body, _returned(response))

    async def _ask(self, session: aiohttp.ClientSession, call: Call) -> aiohttp.ClientResponse:
        """The head of the answer.

        A server may close a kept connection just when it is used again. Then it most likely knows nothing of the
        request and is healthy, so it is asked once more, on another connection.
        """
        while True:
            attempt = _Attempt()
            try:
                return await session.request(
                    call.method,
                    self._target.url(call.raw_target),
                    headers=_forwarded(call.headers),
                    data=call.body or None,
                    allow_redirects=False,
                    trace_request_ctx=attempt,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not attempt.reused:
                    raise

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

    def _asked(self, call: Call) -> Request:
        """What was asked; the rows of a request that does not read are not known (-1), and the server's to judge."""
        kind, body = call.header(b"content-type"), inflated(call.body)
        try:
            return parse_request(call.path, kind, body, format=self.spec.wire, spec=self.spec.response)
        except WireError:
            return Request(self.spec.wire or detect_format(call.path), -1)

    def _checked(self, asked: Request, response: aiohttp.ClientResponse, body: bytes) -> Reply:
        """The reply as it came, or 502 with the reason why it is no prediction."""
        rows = None if asked.rows < 0 else asked.rows
        kind = response.headers.get("content-type")
        try:
            parse_response(asked.format, kind, body, rows=rows, spec=self.spec.response)
        except WireError as error:
            if error.kind not in UNSCORED:
                server = f"the server at {self._target.name}"
                return reply_error(502, f"{server} gave no valid prediction ({error.kind}): {error}")
        features = features_header(response.headers.get(FEATURES_HEADER), body, self.spec.emit_features)
        headers = _returned(response)
        return Reply(response.status, body, headers if features is None else [*headers, features])


class Target:
    """Where requests go: the path and the query of the foreign URL come before those of the request."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._whole, self._path, self._query = parts.path, parts.path.rstrip("/"), parts.query
        self._root = f"{parts.scheme}://{parts.netloc}"
        bare = parts.netloc.rpartition("@")[2]
        self.name = f"{parts.scheme}://{bare}{self._path}"
        """The URL as clients may see it: without password and query."""

    def url(self, raw_target: bytes) -> URL:
        """A request for nothing but the model goes to the foreign URL as it stands."""
        path, _, query = raw_target.decode("latin-1").partition("?")
        path = self._whole if path == "/" and self._path else self._path + path
        joined = "&".join(part for part in (self._query, query) if part)
        return URL(self._root + path + (f"?{joined}" if joined else ""), encoded=True)


def _noting_reuse() -> aiohttp.TraceConfig:
    async def note(session: object, context: SimpleNamespace, parameters: object) -> None:
        context.trace_request_ctx.reused = True

    noting = aiohttp.TraceConfig()
    noting.on_connection_reuseconn.append(note)
    return noting


def _forwarded(headers: Headers) -> list[tuple[str, str]]:
    dropped = _NOT_FORWARDED | _named_by_connection(value for key, value in headers if key == b"connection")
    kept = [
        (key.decode("latin-1"), value.decode("latin-1"))
        for key, value in headers
        if key not in dropped and (key in _TOLD or not key.startswith(_OWN))
    ]
    return [*kept, ("accept-encoding", "identity")]


def _returned(response: aiohttp.ClientResponse, *, whole: bool = False) -> Headers:
    """Headers for the client. ``whole``: the body is passed on as it is, so its length still holds."""
    raw = [(key.lower(), value) for key, value in response.raw_headers]
    dropped = _NOT_RETURNED | _named_by_connection(value for key, value in raw if key == b"connection")
    kept = [(key, value) for key, value in raw if key not in dropped and not key.startswith(_OWN)]
    if whole and response.content_length is not None and "content-encoding" not in response.headers:
        kept.append((b"content-length", str(response.content_length).encode()))
    return kept


def _named_by_connection(values: Iterable[bytes]) -> frozenset[bytes]:
    """Headers that a Connection header declares to be hop by hop."""
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))


async def _stream(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    async with response:
        async for chunk in response.content.iter_any():
            yield chunk


def _distrust(error: aiohttp.ClientSSLError) -> str:
    """Why, and what helps. A certificate of one's own authority is trusted by the usual variable of OpenSSL."""
    cause = getattr(error, "certificate_error", None) or error.__cause__ or error
    reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__
    return f"{reason}. For an authority of your own set SSL_CERT_FILE before `seatrial up`."
