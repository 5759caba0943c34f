"""Discovery: where a pool's endpoints come from when they are not (only) written in the file."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, model_validator

from .table import Matching, Table, integer, listed, one_of, refused, widened, written
from .units import Duration, durations
from .words import FilePath, Network, join_port, parse_ip, split_port

SOURCES = ("dns", "srv", "file", "http", "consul", "docker")
_TYPE = one_of(*SOURCES)
_DNS_PORT = 53

# RFC 1035, section 2.3.4: 253 characters as one writes it. The underscore is for SRV and for names of containers.
QueryName = Annotated[
    str,
    Matching(r"(?=.{1,254}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?", "a DNS name"),
]
Word = Annotated[str, Matching(r"[\x21-\x7e]{1,255}", "a text of 1 to 255 printable ASCII characters without spaces")]
# A source is asked for as long as the process lives; twenty times a second is more than any of them deserves.
Pause = Annotated[Duration, durations("50ms", "24h")]


@written('a DNS server such as "10.0.0.2", "10.0.0.2:5353" or "[2001:db8::53]:53"')
@dataclass(frozen=True, order=True, slots=True)
class ResolverAddress:
    """A DNS server's IP address and port; 53 by itself."""

    ip: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        ip = parse_ip(text)
        if ip is not None:
            return cls(str(ip), _DNS_PORT)
        host, port = split_port(text) if ":" in text else (text, 0)
        ip = parse_ip(host)
        if ip is None or port == 0:
            raise ValueError("a server that is asked for names is itself known by an IP address")
        return cls(str(ip), port)

    def __str__(self) -> str:
        return self.ip if self.port == _DNS_PORT else join_port(self.ip, self.port)


@written('a URL such as "http://127.0.0.1:8500" or "https://inventory.internal/app.json"', r"^https?://[^/@]+(/.*)?$")
@dataclass(frozen=True, order=True, slots=True)
class Url:
    """Where a server is asked over HTTP; without user and password, which would end up in logs."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"https?://[\x21-\x7e]+", text):
            raise ValueError("")
        parts = urlsplit(text)
        if "@" in parts.netloc:
            raise ValueError("a password in a URL ends up in logs; put a token into `token_file`")
        if parts.fragment or not parts.hostname or parts.port == 0:
            raise ValueError("")
        return cls(text)

    def __str__(self) -> str:
        return self.text


class _Discovery(Table):
    type: str = Field(description="What is asked.")
    weight: Annotated[int, integer(0, 65_535)] = Field(
        default=1, description="The weight of endpoints for which the source names none."
    )
    max_endpoints: Annotated[int, integer(1, 65_535)] = Field(
        default=1024,
        description="Of an answer with more, the first in the order of their addresses are taken, and the rest is "
        "logged and counted: no answer can make the process grow without a bound.",
    )
    networks: Annotated[list[Network], widened(listed, Network, list[Network])] | None = Field(
        default=None,
        min_length=1,
        description="Only addresses in these networks are taken, so that whoever writes the source cannot point "
        "traffic anywhere. By itself every address but unspecified and multicast ones.",
        examples=[["10.0.0.0/8"]],
    )
    when_empty: Literal["keep", "apply"] = Field(
        default="keep",
        description='What an answer without endpoints means: `"keep"` counts it as a failure, since it is more often a '
        'mistake than meant, and the last endpoints stay; `"apply"` empties the pool (503).',
    )
    timeout: Annotated[Duration, durations("10ms", "60s")] = Field(
        default=Duration.parse("5s"), description="For one answer."
    )
    retry_min: Pause = Field(
        default=Duration.parse("1s"),
        description="Until a source that failed is asked again; twice as long after each further failure, with jitter.",
    )
    retry_max: Pause = Field(default=Duration.parse("30s"), description="The longest that this wait becomes.")

    @model_validator(mode="after")
    def _check_retry(self) -> Self:
        if self.retry_min > self.retry_max:
            raise refused(f"longer than `retry_max`, which is {self.retry_max}", "retry_min")
        return self


class _Dns(_Discovery):
    family: Literal["any", "ipv4", "ipv6"] = Field(
        default="any", description="Which addresses are asked for: A and AAAA, A only, or AAAA only."
    )
    resolver: Annotated[list[ResolverAddress], widened(listed, ResolverAddress, list[ResolverAddress])] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="DNS servers, asked in this order until one answers. By itself those of `/etc/resolv.conf`, with "
        "its search list. `/etc/hosts` is not looked at.",
        examples=[["10.0.0.2", "10.0.0.3:5353"]],
    )
    ttl_min: Pause = Field(
        default=Duration.parse("1s"), description="The name is not asked for again before this, whatever its TTL says."
    )
    ttl_max: Pause = Field(
        default=Duration.parse("5m"), description="The name is asked for again after this, whatever its TTL says."
    )

    @model_validator(mode="after")
    def _check_ttl(self) -> Self:
        if self.ttl_min > self.ttl_max:
            raise refused(f"longer than `ttl_max`, which is {self.ttl_max}", "ttl_min")
        return self


class DnsDiscovery(_Dns):
    """Each A and AAAA record of a name is an endpoint. The name is asked for again when its TTL has passed."""

    heading: ClassVar[str] = "Discovery by DNS"
    where: ClassVar[str] = "[pools.NAME.discovery]"
    example: ClassVar[str] = """
[pools.app]
discovery = { type = "dns", name = "app.internal", port = 9000 }
"""

    type: Annotated[Literal["dns"], _TYPE] = Field(description="What is asked: A and AAAA records.")
    name: QueryName = Field(description="The name.", examples=["app.internal"])
    port: Annotated[int, integer(1, 65_535)] = Field(description="The port of every endpoint.", examples=[9000])


class SrvDiscovery(_Dns):
    """Each SRV record of a name is one or more endpoints: the addresses of its target, with its port and its weight.

    Records of the lowest priority value are asked first, the others are endpoints of a higher `priority`. Weights are
    RFC 2782's.
    """

    heading: ClassVar[str] = "Discovery by SRV records"
    where: ClassVar[str] = "[pools.NAME.discovery]"
    example: ClassVar[str] = """
[pools.app]
discovery = { type = "srv", name = "_http._tcp.app.internal", resolver = "10.0.0.2" }
"""

    type: Annotated[Literal["srv"], _TYPE] = Field(description="What is asked: SRV records, and their targets.")
    name: QueryName = Field(description="The name.", examples=["_http._tcp.app.internal"])


class FileDiscovery(_Discovery):
    """A file that something else writes: `endpoints` as in a pool, in JSON or TOML. It is read when it has changed."""

    heading: ClassVar[str] = "Discovery by a file"
    where: ClassVar[str] = "[pools.NAME.discovery]"
    example: ClassVar[str] = """
[pools.app]
discovery = { type = "file", path = "app.json" }
"""

    type: Annotated[Literal["file"], _TYPE] = Field(description="What is asked: a file.")
    path: Annotated[FilePath, Matching(r".*\.(json|toml)", 'a path that ends in ".json" or ".toml"')] = Field(
        description="Its path, relative to the configuration file; at most 1 MiB.", examples=["app.json"]
    )
    interval: Pause = Field(default=Duration.parse("1s"), description="Between two looks at whether it has changed.")


class HttpDiscovery(_Discovery):
    """A JSON document behind a URL: `{"endpoints": […]}` with what a pool's `endpoints` may hold. It is polled.

    `ETag` is honoured, so that an answer that has not changed is not sent again; redirections are not followed.
    """

    heading: ClassVar[str] = "Discovery by HTTP"
    where: ClassVar[str] = "[pools.NAME.discovery]"
    example: ClassVar[str] = """
[pools.app]
discovery = { type = "http", url = "https://inventory.internal/app.json", interval = "5s" }
"""

    type: Annotated[Literal["http"], _TYPE] = Field(description="What is asked: a URL.")
    url: Url = Field(
        description="The URL; its answer has at most 1 MiB.", examples=["https://inventory.internal/app.json"]
    )
    interval: Pause = Field(default=Duration.parse("10s"), description="Between two requests.")
    token_file: FilePath | None = Field(
        default=None,
        description="A file with the bearer token to send; relative to the configuration file, read for each request.",
    )
    ca_file: FilePath | None = Field(
        default=None, description="Authorities (PEM) that the server is checked against instead of the system's."
    )


class ConsulDiscovery(_Discovery):
    """The instances of a service that pass their checks in Consul. Blocking queries, so that changes show at once."""

    heading: ClassVar[str] = "Discovery by Consul"
    where: ClassVar[str] = "[pools.NAME.discovery]"
    example: ClassVar[str] = """
[pools.app]
discovery = { type = "consul", service = "app", tags = ["production"] }
"""

    type: Annotated[Literal["consul"], _TYPE] = Field(description="What is asked: Consul.")
    service: Word = Field(description="The service's name.", examples=["app"])
    url: Url = Field(default=Url("http://127.0.0.1:8500"), description="Where the agent or server listens.")
    tags: Annotated[list[Word], widened(listed, str, list[str])] = Field(
        default=[], max_length=16, description="Tags that an instance must have, all of them."
    )
    datacenter: Word | None = Field(default=None, description="The datacenter; by itself that of the agent.")
    wait: Annotated[Duration, durations("100ms", "10m")] = Field(
        default=Duration.parse("5m"), description="How long Consul holds a query back while nothing changes."
    )
    token_file: FilePath | None = Field(
        default=None, description="A file with the ACL token; relative to the configuration file, read for each query."
    )
    ca_file: FilePath | None = Field(
        default=None, description="Authorities (PEM) that the server is checked against instead of the system's."
    )


class DockerDiscovery(_Discovery):
    """The running containers that carry a label. Docker's events are followed, so changes show at once.

    The label `evenly.port` says a container's port and `evenly.weight` its weight. Containers whose own health check
    has not passed are left out. Whoever may open Docker's socket is root on that machine; a proxy of it that allows
    `GET /containers/json` and `GET /events` is enough.
    """

    heading: ClassVar[str] = "Discovery by Docker"
    where: ClassVar[str] = "[pools.NAME.discovery]"
    example: ClassVar[str] = """
[pools.app]
discovery = { type = "docker", label = "evenly.pool=app", port = 9000 }
"""

    type: Annotated[Literal["docker"], _TYPE] = Field(description="What is asked: Docker, or what speaks its API.")
    socket: Annotated[FilePath, Matching(r"/.{0,106}", "an absolute path of at most 107 bytes")] = Field(
        default="/var/run/docker.sock", description="Its Unix socket."
    )
    label: Annotated[str, Matching(r"[^\x00-\x1f\x7f]{1,255}", "a label, or `label=value`")] | None = Field(
        default=None,
        description="The label that a container must carry, or `label=value`. By itself `evenly.pool=` and the pool's "
        "name.",
        examples=["com.docker.compose.service=app"],
    )
    port: Annotated[int, integer(1, 65_535)] | None = Field(
        default=None,
        description="The containers' port, for those without the label `evenly.port`. By itself the one TCP port that "
        "the container exposes.",
        examples=[9000],
    )
    network: Word | None = Field(
        default=None,
        description="The Docker network whose addresses are used. By itself the container's only one, or the first by "
        "name.",
    )
    interval: Pause = Field(
        default=Duration.parse("60s"), description="Containers are listed this often even when no event came."
    )


def _tag(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if kind in SOURCES else "<dns>"


Discovery = Annotated[
    Annotated[DnsDiscovery, Tag("<dns>")]
    | Annotated[SrvDiscovery, Tag("<srv>")]
    | Annotated[FileDiscovery, Tag("<file>")]
    | Annotated[HttpDiscovery, Tag("<http>")]
    | Annotated[ConsulDiscovery, Tag("<consul>")]
    | Annotated[DockerDiscovery, Tag("<docker>")],
    Discriminator(_tag),
]
