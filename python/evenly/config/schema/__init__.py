"""Every option that a user can write, once: its type, default, unit, bounds and description.

Validation, defaults, the reference (`docs/reference/configuration.md`), the JSON Schema for editors and
`evenly check --expand` are all derived from these classes. Start with `settings.py`, the whole file; each noun has a
module of its own. A short form (`"10.0.0.1:9000"`) becomes the long one (`{ address = … }`) while it is read, so the
rest of the program knows long forms only.
"""

from .acme import Acme, AcmeCertificate, CertifiedHost, Challenge, Issuer
from .admin import Admin, AdminAddress
from .affinity import Affinity, AffinityCookie, AffinitySecrets, Prefixes
from .circuit import CircuitOptions, EndpointCircuitOptions, Thresholds
from .concurrency import ConcurrencyOptions
from .datagram import DatagramTimeouts, UdpListener
from .discovery import (
    ConsulDiscovery,
    Discovery,
    DnsDiscovery,
    DockerDiscovery,
    FileDiscovery,
    HttpDiscovery,
    ResolverAddress,
    SrvDiscovery,
    Url,
)
from .experiment import Fault, Mirror
from .health_check import DnsCheck, GrpcCheck, HealthCheck, HttpCheck, StatusRange, TcpCheck, UdpCheck
from .listener import HttpListener, HttpTimeouts, Limits, Listener
from .listening import ProxyProtocol
from .match import PathPattern, ValueCondition
from .node import Node
from .outlier import OutlierOptions
from .pool import Endpoint, HashKey, KeepAlive, Pool, PoolHttp2, PoolTimeouts
from .pool_tls import PoolTls
from .retry import HedgeOptions, Retry, RetryBudget
from .route import ACTIONS, FORWARDING_ONLY, FieldRules, HostLiteral, Redirect, Respond, Rewrite, Route, RouteTimeouts
from .settings import AccessLog, ErrorPage, Settings
from .stream import StreamTimeouts, TcpListener, TlsRoute
from .table import Bounds, Matching, Says, Table, Written, alternatives, options
from .tls import Certificate, HttpTls, ListenerTls, SessionTickets, StreamTls
from .units import ByteRate, Duration, Percent, Rate, Size
from .words import BindAddress, EndpointAddress, HostPattern, Names, Network

__all__ = [
    "ACTIONS",
    "FORWARDING_ONLY",
    "AccessLog",
    "Acme",
    "AcmeCertificate",
    "Admin",
    "AdminAddress",
    "Affinity",
    "AffinityCookie",
    "AffinitySecrets",
    "BindAddress",
    "Bounds",
    "ByteRate",
    "Certificate",
    "CertifiedHost",
    "Challenge",
    "CircuitOptions",
    "ConcurrencyOptions",
    "ConsulDiscovery",
    "DatagramTimeouts",
    "Discovery",
    "DnsCheck",
    "DnsDiscovery",
    "DockerDiscovery",
    "Duration",
    "Endpoint",
    "EndpointAddress",
    "EndpointCircuitOptions",
    "ErrorPage",
    "Fault",
    "FieldRules",
    "FileDiscovery",
    "GrpcCheck",
    "HashKey",
    "HealthCheck",
    "HedgeOptions",
    "HostLiteral",
    "HostPattern",
    "HttpCheck",
    "HttpDiscovery",
    "HttpListener",
    "HttpTimeouts",
    "HttpTls",
    "Issuer",
    "KeepAlive",
    "Limits",
    "Listener",
    "ListenerTls",
    "Matching",
    "Mirror",
    "Names",
    "Network",
    "Node",
    "OutlierOptions",
    "PathPattern",
    "Percent",
    "Pool",
    "PoolHttp2",
    "PoolTimeouts",
    "PoolTls",
    "Prefixes",
    "ProxyProtocol",
    "Rate",
    "Redirect",
    "ResolverAddress",
    "Respond",
    "Retry",
    "RetryBudget",
    "Rewrite",
    "Route",
    "RouteTimeouts",
    "Says",
    "SessionTickets",
    "Settings",
    "Size",
    "SrvDiscovery",
    "StatusRange",
    "StreamTimeouts",
    "StreamTls",
    "Table",
    "TcpCheck",
    "TcpListener",
    "Thresholds",
    "TlsRoute",
    "UdpCheck",
    "UdpListener",
    "Url",
    "ValueCondition",
    "Written",
    "alternatives",
    "options",
]
