"""The HTTP API as the command line calls it: with the project's token, and with errors that are the API's own."""

from __future__ import annotations

import json
import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from seatrial.cli.session import actor
from seatrial.errors import Conflict, Exit, NotFound, SeatrialError, Unavailable, UsageError

if TYPE_CHECKING:
    import httpx

    from seatrial.control.project import Project

TIMEOUT_S = 120.0
"""A rollout's start waits for the candidate's host to come up."""

HEALTH = "/healthz"
"""Says whose server it is; asked without a token, which another project's server must not see."""

_KINDS: dict[int, type[SeatrialError]] = {404: NotFound, 409: Conflict, 422: UsageError, 503: Unavailable}


class NotRunning(Unavailable):
    """Nothing listens where the control plane would."""


class Foreign(NotRunning):
    """The control plane of another project listens there, so this project's own does not run."""


class Client:
    """Calls of one project's API. Raises the error the API answers, or NotRunning."""

    def __init__(self, project: Project, *, timeout_s: float = TIMEOUT_S) -> None:
        self._project, self._timeout_s = project, timeout_s
        address = project.config.api
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address.host, address.host)
        self.url = f"http://{host}:{address.port}"

    def get(self, path: str) -> dict[str, Any]:
        if path != HEALTH and not self._project.config.api.reads_are_open:
            self.require_running()
        return self._call("GET", path)

    def post(self, path: str, body: object = None) -> dict[str, Any]:
        """JSON. Asks first whose server this is: neither the token nor a kill goes to another project's."""
        self.require_running()
        return self._call("POST", path, content=json.dumps({} if body is None else body).encode())

    def put(self, path: str, body: object) -> dict[str, Any]:
        """JSON, with the same question first."""
        self.require_running()
        return self._call("PUT", path, content=json.dumps(body).encode())

    def delete(self, path: str) -> dict[str, Any]:
        self.require_running()
        return self._call("DELETE", path)

    def running(self) -> bool:
        """Whether this project's own control plane answers. Raises Foreign for another one on its port."""
        try:
            self.require_running()
        except Foreign:
            raise
        except NotRunning:
            return False
        return True

    def require_running(self) -> None:
        """Raises NotRunning."""
        from seatrial.control.documents.catalog import instance

        found = self._call("GET", HEALTH)
        if found.get("instance") != instance(self._project):
            raise Foreign(
                "ST0861",
                f"{self.url} belongs to project '{found.get('project')}', another directory.",
                remedy="Give this project other ports in seatrial.yaml (api.port, gateway.port).",
            )

    def _call(self, method: str, path: str, *, content: bytes = b"") -> dict[str, Any]:
        import httpx

        headers = {"content-type": "application/json", "x-seatrial-actor": actor()}
        if method != "GET" or (path != HEALTH and not self._project.config.api.reads_are_open):
            headers["authorization"] = f"Bearer {os.environ.get('SEATRIAL_TOKEN') or self._project.token()}"
        try:
            # The proxy settings of the environment are for the outside, not for this machine.
            with httpx.Client(base_url=self.url, timeout=self._timeout_s, trust_env=False) as http:
                response = http.request(method, path, content=content, headers=headers)
        except httpx.ConnectError:
            raise NotRunning(
                "ST0800",
                f"the control plane of project '{self._project.config.project}' is not running.",
                remedy="`seatrial up`",
            ) from None
        except httpx.HTTPError as error:
            raise Unavailable(
                "ST0868", f"{self.url} does not answer: {type(error).__name__}.", remedy="See `seatrial logs control`."
            ) from error
        return _answer(response)


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unavailable("ST0862", f"{response.url} answered {response.status_code}, and not in JSON.")
    if response.status_code >= HTTPStatus.BAD_REQUEST and "code" in document:
        kind = _KINDS.get(response.status_code, SeatrialError)
        error = kind(document["code"], document["message"], remedy=document.get("remedy", ""))
        error.exit_code = Exit(document.get("exitCode", error.exit_code))
        raise error
    return document
