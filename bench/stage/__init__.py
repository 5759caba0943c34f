"""The stage: the origin on its core, and contenders started beside it as a row asks for them."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine, peers
from bench.peers import DIRECT, NGINX_STREAM, TEMPLATES, Contender, fill
from bench.stage import certificate
from bench.stage.certificate import Certificate
from bench.stage.process import START_SECONDS, Running, started

SMALL_BODY = "x" * 100
FILES = {"64k": 64 * 1024, "1m": 1024 * 1024}


@dataclass(frozen=True)
class Started:
    """A contender that accepts connections. ``running`` is ``None`` for the direct one, which has no process."""

    label: str
    running: Running | None
    http: int
    https: int
    tcp: int


@dataclass(frozen=True)
class Stage:
    """Where everything runs: a directory for written files, and the origin with its ports.

    ``checked`` answers on all of 127.0.0.0/8, as many endpoints as a row wants, and ``multiplexed`` by HTTP/2."""

    work: Path
    origin: int
    checked: int
    multiplexed: int
    descriptors: int
    certificate: Certificate

    @contextmanager
    def start(
        self, contender: Contender, wrap: Sequence[str] = (), seconds: float = START_SECONDS
    ) -> Iterator[Started]:
        """Run a contender alone on the proxy's core until the end of the block.

        ``wrap`` is a command to run it under, such as valgrind. Raises ``RuntimeError`` when it does not come up.
        """
        if contender.peer is DIRECT:
            yield Started(contender.label, None, self.origin, self.origin, self.origin)
            return
        peer = contender.peer
        found = dict(zip(peer.serves, machine.free_ports(len(peer.serves)), strict=True))
        # The floor relays whatever comes, so its one port is good for every kind of load that the origin takes.
        ports = dict.fromkeys(("HTTP", "HTTPS", "TCP"), found[peer.serves[0]]) | found
        name = contender.label.replace(" ", "-")
        values = self._values(name) | {key: str(port) for key, port in ports.items()}
        # A row knows no ports when it is written, so its values may name others.
        values |= {key: fill(value, values) for key, value in contender.values.items()}
        config = self.work / f"{name}.conf"
        if peer.template is not None:
            # The extension stays (envoy takes the format from it).
            config = self.work / f"{name}-{Path(peer.template).name.removesuffix('.in')}"
            config.write_text(fill((TEMPLATES / peer.template).read_text(encoding="utf-8"), values), encoding="utf-8")
        command = machine.pinned(machine.PROXY_CORE, [*wrap, *peer.command(config, values)])
        with started(command, self.work / f"{name}.log", sorted(found.values()), seconds, self.work) as running:
            yield Started(contender.label, running, ports["HTTP"], ports["HTTPS"], ports["TCP"])

    def admin(self, name: str) -> Path:
        """Where the contender of that name has its admin socket, if it is one that has."""
        return self.work / f"{name}.sock"

    def _values(self, name: str) -> dict[str, str]:
        return {
            "ORIGIN": str(self.origin),
            "CHECKED": str(self.checked),
            "MULTIPLEXED": str(self.multiplexed),
            "UPSTREAM": "explicit_http_config: {http_protocol_options: {}}",
            "WORK": str(self.work),
            "CERTIFICATE": str(self.certificate.cert),
            "KEY": str(self.certificate.key),
            "ADMIN": str(self.admin(name)),
            "DESCRIPTORS": str(self.descriptors),
            "STREAM": str(NGINX_STREAM),
            "MASTER": "on",
            "BUFSIZE": "16384",
            "BUFFERS": "",
            "ADD": "",
            "ROUTES": '[[routes]]\npool = "app"\n',
            "POOLS": "",
            "ENDPOINTS": f'"127.0.0.1:{self.origin}"',
            "SERVERS": f"server origin 127.0.0.1:{self.origin} pool-max-conn 256",
            "BALANCE": "",
        }


class Company:
    """Contenders that stay up for a whole row, so that no run pays for a cold start; an idle one costs nothing.

    Each is started and warmed up when it is first asked for, and all are stopped with ``stack``.
    """

    def __init__(self, stage: Stage, stack: ExitStack, warm_up: Callable[[Started], object]) -> None:
        self._stage = stage
        self._stack = stack
        self._warm_up = warm_up
        self._ready: dict[str, Started] = {}

    def __getitem__(self, contender: Contender) -> Started:
        if contender.label not in self._ready:
            started = self._stack.enter_context(self._stage.start(contender))
            self._warm_up(started)
            self._ready[contender.label] = started
        return self._ready[contender.label]


@contextmanager
def set_up() -> Iterator[Stage]:
    """Write the files, start the origin, and take everything away at the end."""
    descriptors = machine.raise_descriptor_limit()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evenly-bench-")))
        # Memory-backed where there is such a place: the origin must not wait for a disk.
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evenly-bench-", dir=memory)))
        # The origin's worker drops root and still has to read the files and to reach its own socket.
        for directory in (work, files):
            directory.chmod(0o755)
        for name, size in FILES.items():
            (files / name).write_bytes(b"x" * size)
        origin, checked, multiplexed = ports = machine.free_ports(3)
        values = {
            "ORIGIN": str(origin),
            "CHECKED": str(checked),
            "MULTIPLEXED": str(multiplexed),
            "WORK": str(work),
            "FILES": str(files),
            "SMALL": SMALL_BODY,
            "DESCRIPTORS": str(descriptors),
        }
        config = work / "origin.conf"
        template = (peers.TEMPLATES / "origin.conf.in").read_text(encoding="utf-8")
        config.write_text(fill(template, values), encoding="utf-8")
        command = machine.pinned(machine.LOAD_CORE, peers.NGINX.command(config, values))
        stack.enter_context(started(command, work / "origin.log", ports, directory=work))
        yield Stage(work, origin, checked, multiplexed, descriptors, certificate.written(work))
