"""TLS with a pool's endpoints."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .table import Matching, Table, refused
from .words import CertificateName, FilePath

# No top-level domain is numeric (RFC 3696, section 2), so an address is none.
ServerName = Annotated[
    str,
    Matching(
        r"(?=.{1,253}$)([A-Za-z0-9_-]{1,63}\.)*[A-Za-z_][A-Za-z0-9_-]{0,62}", 'a host name such as "app.example.com"'
    ),
]


class PoolTls(Table):
    """TLS with the endpoints of a pool: for requests, connections of TCP listeners, copies, questions of
    `forward_auth`, and health checks over HTTP and TCP. Turned on by this table, also an empty one, or by endpoints
    that are written `https://HOST:PORT`.

    Each endpoint has to show a certificate that is valid for the name that its address is written with (or was found
    by, over DNS), or for the address itself. Sessions are resumed. Files that are replaced are used for new
    connections, without a reload.
    """

    heading: ClassVar[str] = "Pool: TLS"
    where: ClassVar[str] = "[pools.NAME.tls]"
    example: ClassVar[str] = """
[pools.app]
endpoints = ["https://app.internal:8443", "https://10.0.0.2:8443"]

[pools.partner]
endpoints = ["192.0.2.10:443", "192.0.2.11:443"]
tls = { sni = "api.partner.example", ca = "partner-root.pem", client_certificate = "us" }

[certificates.us]
cert = "us/fullchain.pem"
key = "us/privkey.pem"
"""

    verify: bool = Field(
        default=True,
        description="Whether certificates have to be valid. Without it anybody on the way can read and change what is "
        "sent.",
    )
    ca: FilePath | None = Field(
        default=None,
        description="A PEM file with the certificates of those who are believed; relative to the configuration file. "
        "By itself, those that the system trusts.",
        examples=["internal-root.pem"],
    )
    sni: ServerName | None = Field(
        default=None,
        description="The name that endpoints are asked for and that their certificates have to be for, whatever their "
        "addresses are.",
        examples=["app.example.com"],
    )
    client_certificate: CertificateName | None = Field(
        default=None,
        description="The certificate of `[certificates]` that endpoints are shown that ask for one.",
        examples=["us"],
    )
    min_version: Literal["1.2", "1.3"] = Field(default="1.2", description="The lowest version of TLS.")

    @model_validator(mode="after")
    def _check_ca(self) -> Self:
        if self.ca is not None and not self.verify:
            raise refused("has no effect with `verify = false`", "ca")
        return self
