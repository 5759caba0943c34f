"""Asks a running Evenly over its admin API, and finds out where that is."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenly.config import ConfigError, Machine, Problem, load, resolve

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 30.0
"""For an answer; a reload may look names up."""

UPGRADE_SECONDS = 120.0
"""For an upgrade: longer than the running process waits for its successor, so that it is the one to say what failed."""

ADMIN_VARIABLE = "EVENLY_ADMIN"
SYSTEM_SOCKET = Path("/run/evenly/admin.sock")
"""Where root and the systemd unit run it; the socket's mode decides whether this user may ask."""

TOKEN_VARIABLE = "EVENLY_TOKEN_FILE"  # noqa: S105 - the name of a variable

AdminOption = Annotated[
    str | None,
    typer.Option("--admin", envvar=ADMIN_VARIABLE, metavar="ADDRESS", help="The admin socket's path, or HOST:PORT."),
]
FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Ask the process that runs this configuration.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--token-file", envvar=TOKEN_VARIABLE, metavar="FILE", help="The token for an admin address on TCP."),
]


class AdminRequestError(Exception):
    """Nothing answers, or it answers that it will not: the text says what was expected."""


@dataclass(frozen=True)
class Admin:
    """A running Evenly's admin API: a socket's path or "HOST:PORT", and a token if it wants one."""

    address: str
    token: str | None = None

    def request(self, method: str, path: str, body: object = None, timeout: float = TIMEOUT_SECONDS) -> Any:  # noqa: ANN401 - JSON
        """An answer's JSON. Raises `AdminRequestError`, and `ConfigError` if a configuration is refused."""
        import httpx

        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        unix = self.address.startswith("/")
        transport = httpx.HTTPTransport(uds=self.address if unix else None)
        base = "http://localhost" if unix else f"http://{self.address}"
        try:
            with httpx.Client(transport=transport, base_url=base, headers=headers, timeout=timeout) as client:
                answer = client.request(method, path, json=body)
        except httpx.TimeoutException as error:
            raise AdminRequestError(f"Evenly at {self.address} did not answer within {timeout:g} s") from error
        except httpx.TransportError as error:
            if unix and not _may_connect(self.address):
                raise AdminRequestError(
                    f"this user may not use the admin socket {self.address}: "
                    "run it as the user that Evenly runs as, or as root"
                ) from error
            raise AdminRequestError(
                f"nothing answers at {self.address} ({error}); start it with `evenly run`, or say where with --admin"
            ) from error
        if answer.is_success:
            return answer.json()
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> Exception:
        """The problem that an answer reports; a refused configuration is the same error that `check` finds."""
        try:
            problem = answer.json()
            found = [each for each in problem.get("errors", ()) if "file" in each]
            if found:
                return ConfigError([Problem(column=None, **each) for each in found])
            return AdminRequestError(problem["detail"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return AdminRequestError(f"{self.address} answered {answer.status_code}; is that an Evenly?")


def find(admin: str | None, file: Path | None, token_file: Path | None) -> Admin:
    """The API that options name, else a configuration's, else where a process of this user listens by itself.

    Raises `AdminRequestError` and `ConfigError`.
    """
    token = None if token_file is None else _read_token(token_file)
    if admin is not None:
        return Admin(_address(admin), token)
    machine = Machine.here()
    if file is not None:
        # Endpoints do not matter here, so names stay names.
        settings = resolve(load(file), machine, lambda _: ["0.0.0.0"]).admin
        return Admin(str(settings.bind), token or settings.token)
    own = machine.runtime_directory / "admin.sock"
    return Admin(str(next((path for path in (own, SYSTEM_SOCKET) if _is_there(path)), own)), token)


def _address(text: str) -> str:
    """A socket's path, absolute, or "HOST:PORT", which has no slash."""
    plain = text.removeprefix("http://").removeprefix("unix:").rstrip("/")
    return os.path.abspath(plain) if "/" in plain or Path(plain).is_socket() else plain  # noqa: PTH100 - links stay


def _is_there(path: Path) -> bool:
    """Whether there may be a socket: one in a folder that is closed to this user counts."""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _may_connect(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            return not isinstance(error, PermissionError)
    return True


def _read_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise AdminRequestError(f"cannot read the token file {path}: {os.strerror(error.errno or 0)}") from error
