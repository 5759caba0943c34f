"""From settings to what this machine will run: names become addresses, `auto` becomes a number, files become bytes.

Everything that depends on the machine or the network comes in as a parameter, so that a test states it.
"""

import os
import re
import resource
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from typing import Literal

from .access_files import AccessFiles, read_access_files
from .acme_checks import acme_key_files
from .authority_files import Authorities, read_authorities
from .authority_files import remarks as remarks_on_authorities
from .certificate_files import ResolvedCertificate, read_certificates, remarks
from .files import open_file
from .load import Loaded
from .problems import ConfigError, Place, Problem
from .schema import AdminAddress, Duration, Endpoint, ErrorPage, Settings
from .schema.words import join_port
from .self_signed import Pem

# Looks up a host name: its IP addresses, at least one. Raises `OSError`.
Lookup = Callable[[str], list[str]]

# A lookup that gets no answer takes many seconds; that many at once keep a file with some dead names bearable.
_LOOKUPS_AT_ONCE = 16
ZONE_VARIABLE = "EVENLY_ZONE"
_LARGEST_PAGE = 1 << 20
_LARGEST_TOKEN = 4 << 10
OWN_DESCRIPTORS = 128
"""A process with a dozen listeners and two workers has some 40 open, and the admin API takes 64 connections."""

PLENTY = 64 * OWN_DESCRIPTORS
"""From so many descriptors on, its own may be among those for endpoints: of so many clients, one in thirty has nothing
under way at any moment, and connections to endpoints that nobody uses are closed when descriptors run out."""


@dataclass(frozen=True)
class Machine:
    """What the configuration adapts to."""

    cores: int
    """Cores that this process may use."""
    descriptors: int
    """The file descriptor limit."""
    runtime_directory: Path
    """Where the admin socket goes unless the user says otherwise."""
    zone: str | None = None
    """The zone that it is in, when the environment says so."""

    @property
    def connections(self) -> int:
        """Client connections for which the descriptors suffice when each has one to an endpoint."""
        return max(1, (self.descriptors - self.own_descriptors) // 2)

    @property
    def own_descriptors(self) -> int:
        """Those that are kept from clients: for listeners, logs, workers, health checks, and the admin API."""
        return 0 if self.descriptors >= PLENTY else min(OWN_DESCRIPTORS, self.descriptors // 4)

    @classmethod
    def here(cls) -> "Machine":
        """This machine, as this process may use it."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        unlimited = limit == resource.RLIM_INFINITY
        zone = os.environ.get(ZONE_VARIABLE) or None
        return cls(_usable_cores(), 1 << 30 if unlimited else limit, _runtime_directory(), zone)


@dataclass(frozen=True, slots=True)
class ResolvedEndpoint:
    """An endpoint with an IP address; `index` is the entry of the file that it came from."""

    index: int
    address: str
    options: Endpoint
    """As written; or as found, and then no entry of the file is behind it."""


@dataclass(frozen=True, slots=True)
class Page:
    """An error page with its content."""

    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class ResolvedAdmin:
    """Where the admin interface listens, and the token that it asks for, if any."""

    bind: AdminAddress
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResolvedSecrets:
    """What affinity cookies are signed with, or tickets sealed; unset, the process draws a secret of its own."""

    current: str | None = field(default=None, repr=False)
    previous: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Resolved:
    """A configuration that is ready to run. What Python itself needs is here; the rest goes into the document."""

    loaded: Loaded
    workers: int
    max_connections: int
    shutdown_timeout: Duration
    upgrade_timeout: Duration
    admin: ResolvedAdmin
    endpoints: dict[str, list[ResolvedEndpoint]]
    """By pool."""
    affinity_secrets: ResolvedSecrets
    certificates: dict[str, ResolvedCertificate]
    authorities: Authorities
    """Whose certificates are believed."""
    ticket_secrets: ResolvedSecrets
    error_pages: dict[int, Page]
    access_log_path: str | None
    """Absolute, or "-"."""
    files: AccessFiles
    """Who may come in, as far as that stands in files beside the configuration."""
    state_directory: Path | None
    """Absolute."""
    zone: str | None
    """The node's."""
    warnings: list[Problem]
    """Those of loading included."""

    @property
    def settings(self) -> Settings:
        """What the user set, and every default."""
        return self.loaded.settings


def resolve(
    loaded: Loaded,
    machine: Machine,
    lookup: Lookup | None = None,
    now: datetime | None = None,
    issued: Mapping[str, Pem] | None = None,
) -> Resolved:
    """Fits settings to a machine. Raises `ConfigError` for names and files that are not there.

    `issued` are the certificates that were issued over ACME, by name. Blocks while names are looked up, in the worst
    case for as long as the system's resolver tries.
    """
    settings, problems = loaded.settings, list[tuple[Place, str]]()
    files, in_files = read_access_files(loaded)
    certificates, in_certificates = read_certificates(loaded, issued)
    authorities, in_authorities = read_authorities(loaded)
    problems += [*in_certificates, *in_authorities]
    resolved = Resolved(
        loaded=loaded,
        workers=machine.cores if isinstance(settings.workers, str) else settings.workers,
        max_connections=min(settings.max_connections, machine.connections),
        shutdown_timeout=settings.shutdown_timeout,
        upgrade_timeout=settings.upgrade_timeout,
        admin=_resolve_admin(loaded, machine, problems),
        endpoints=_resolve_endpoints(settings, lookup or look_up, problems),
        affinity_secrets=_read_secrets(loaded, "affinity", problems),
        certificates=certificates,
        authorities=authorities,
        ticket_secrets=_read_secrets(loaded, "session_tickets", problems),
        error_pages=_read_pages(loaded, problems),
        access_log_path=_log_path(loaded),
        files=files,
        state_directory=state_directory(loaded),
        zone=machine.zone or settings.node.zone,
        warnings=[
            *loaded.warnings,
            *_capped_connections(loaded, machine),
            *_unwritable_state(loaded),
            *remarks(loaded, certificates, now or datetime.now(UTC)),
            *remarks_on_authorities(loaded, authorities, now or datetime.now(UTC)),
        ],
    )
    _read_acme_keys(loaded, problems)
    if problems or in_files:
        of_source = loaded.source.refusal(problems).problems
        raise ConfigError([*of_source, *in_files])
    return resolved


def look_up(name: str) -> list[str]:
    """Asks the system's resolver (`/etc/hosts`, DNS). Raises `OSError`."""
    answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


def _resolve_endpoints(
    settings: Settings, lookup: Lookup, problems: list[tuple[Place, str]]
) -> dict[str, list[ResolvedEndpoint]]:
    found = _look_up_all(settings, lookup)
    resolved: dict[str, list[ResolvedEndpoint]] = {}
    for name, pool in settings.pools.items():
        seen: dict[str, int] = {}
        resolved[name] = []
        for index, endpoint in enumerate(pool.endpoints):
            place: Place = ("pools", name, "endpoints", index, "address")
            host, port = endpoint.address.host, endpoint.address.port
            addresses = found[host] if endpoint.address.is_name else [host]
            if isinstance(addresses, OSError):
                problems.append((place, f'"{host}" cannot be looked up: {addresses.strerror or addresses}'))
                continue
            for address in (join_port(address, port) for address in addresses):
                first = seen.setdefault(address, index)
                if first != index:
                    problems.append((place, f"{address} is already endpoints[{first}]"))
                resolved[name].append(ResolvedEndpoint(index, address, endpoint))
    return resolved


def _look_up_all(settings: Settings, lookup: Lookup) -> dict[str, list[str] | OSError]:
    """Addresses by name, sorted: resolvers rotate their answers, and that alone must not look like a change."""

    def ask(name: str) -> list[str] | OSError:
        try:
            answers = {ip_address(answer) for answer in lookup(name)}
        except OSError as error:
            return error
        # Labels of more than 63 characters fail inside Python already, with a UnicodeError; a zone is no address.
        except ValueError as error:
            return OSError(str(error))
        return [str(ip) for ip in sorted(answers, key=lambda ip: (ip.version, ip.packed))]

    addresses = (endpoint.address for pool in settings.pools.values() for endpoint in pool.endpoints)
    names = {address.host for address in addresses if address.is_name}
    with ThreadPoolExecutor(_LOOKUPS_AT_ONCE) as threads:
        return dict(zip(names, threads.map(ask, names), strict=True))


def _resolve_admin(loaded: Loaded, machine: Machine, problems: list[tuple[Place, str]]) -> ResolvedAdmin:
    admin = loaded.settings.admin
    bind = admin.bind or AdminAddress(str(machine.runtime_directory / "admin.sock"))
    if admin.token_file is None:
        return ResolvedAdmin(bind, None)
    place = ("admin", "token_file")
    text = _read_text(loaded.source.directory / admin.token_file, _LARGEST_TOKEN, place, problems)
    if text is None:
        return ResolvedAdmin(bind, None)
    if not re.fullmatch(r"\s*[\x21-\x7e]+\s*", text):
        problems.append((place, "expected a file with one word of ASCII characters"))
    return ResolvedAdmin(bind, text.strip())


def _read_pages(loaded: Loaded, problems: list[tuple[Place, str]]) -> dict[int, Page]:
    def body(status: str, page: ErrorPage) -> str:
        if page.file is None:
            return page.body or ""
        path = loaded.source.directory / page.file
        return _read_text(path, _LARGEST_PAGE, ("error_pages", status, "file"), problems) or ""

    return {
        int(status): Page(page.content_type, body(status, page)) for status, page in loaded.settings.error_pages.items()
    }


def _read_secrets(
    loaded: Loaded, table: Literal["affinity", "session_tickets"], problems: list[tuple[Place, str]]
) -> ResolvedSecrets:
    def read(option: str, name: str | None) -> str | None:
        if name is None:
            return None
        place = (table, option)
        text = _read_text(loaded.source.directory / name, _LARGEST_TOKEN, place, problems)
        if text is not None and not re.fullmatch(r"\s*[\x21-\x7e]{16,}\s*", text):
            problems.append((place, "expected a file with one word of 16 or more ASCII characters"))
        return text and text.strip()

    files = getattr(loaded.settings, table)
    return ResolvedSecrets(
        read("secret_file", files.secret_file), read("previous_secret_file", files.previous_secret_file)
    )


def _read_acme_keys(loaded: Loaded, problems: list[tuple[Place, str]]) -> None:
    """Whether the keys for ACME are there; they are read again when they are used."""
    for place, name in acme_key_files(loaded.settings).items():
        text = _read_text(loaded.source.directory / name, _LARGEST_TOKEN, place, problems)
        if text is not None and not re.fullmatch(r"\s*[A-Za-z0-9+/_-]+={0,2}\s*", text):
            problems.append((place, "expected a file with a secret in base64, and nothing else"))


def _read_text(path: Path, largest: int, place: Place, problems: list[tuple[Place, str]]) -> str | None:
    """A small file's text, or `None` and a problem."""
    try:
        with open_file(path) as file:
            raw = file.read(largest + 1)
        if len(raw) <= largest:
            return raw.decode()
        problems.append((place, f"{path} is larger than {largest >> 10:,} KiB"))
    except OSError as error:
        problems.append((place, f"{path} cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        problems.append((place, f"{path} is not UTF-8: byte {error.start}"))
    return None


def _log_path(loaded: Loaded) -> str | None:
    log = loaded.settings.access_log
    if log is None or log.path == "-":
        return None if log is None else "-"
    # The process may change its directory; the log must not move with it.
    return str((loaded.source.directory / log.path).resolve())


def state_directory(loaded: Loaded) -> Path | None:
    """Where the process keeps what must outlive it; absolute, because the process may change its directory."""
    name = loaded.settings.state_dir
    return None if name is None else (loaded.source.directory / name).resolve()


def _capped_connections(loaded: Loaded, machine: Machine) -> list[Problem]:
    settings = loaded.settings
    # The default is a wish; only a number that the user wrote deserves a remark.
    if "max_connections" not in settings.model_fields_set or settings.max_connections <= machine.connections:
        return []
    message = (
        f"cut to {machine.connections:,}: two descriptors each, of the {machine.descriptors:,} that the limit leaves"
    )
    if machine.own_descriptors:
        message += f", {machine.own_descriptors} of them for the process itself"
    return [loaded.source.problem(("max_connections",), message)]


def _unwritable_state(loaded: Loaded) -> list[Problem]:
    """A place where nothing could be kept, as far as that can be told without writing to it."""
    directory = state_directory(loaded)
    if directory is None:
        return []
    # Folders that are not there yet are made.
    there = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
    if not there.is_dir():
        problem = f"{there} is not a directory"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"this user may not write to {there}"
    else:
        return []
    return [loaded.source.problem(("state_dir",), f"{problem}; what is set at run time would end with the process")]


def _usable_cores() -> int:
    """Cores by affinity, cut by a container's CPU quota (cgroup v2, cpu.max: "quota period" in microseconds)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, max(1, ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such control group, or a quota of "max"
        return cores


def _runtime_directory() -> Path:
    # systemd separates several by colons.
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/run/evenly")
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session:
        return Path(session) / "evenly"
    home = os.environ.get("HOME")
    return Path(home) / ".evenly" if home else Path("/run/evenly")
