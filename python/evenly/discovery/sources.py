"""The one table that names every source: what the file says by `type`, and the class that asks it.

By name, because a source is imported only where it is used: the libraries behind them take longer to import than all
of Evenly, and most configurations have none.
"""

from __future__ import annotations

from importlib import import_module

from evenly.config.schema import (
    ConsulDiscovery,
    Discovery,
    DnsDiscovery,
    DockerDiscovery,
    FileDiscovery,
    HttpDiscovery,
    SrvDiscovery,
)
from evenly.discovery.source import Place, Source

SOURCES: dict[type, tuple[str, str]] = {
    DnsDiscovery: ("evenly.discovery.dns", "DnsSource"),
    SrvDiscovery: ("evenly.discovery.srv", "SrvSource"),
    FileDiscovery: ("evenly.discovery.file", "FileSource"),
    HttpDiscovery: ("evenly.discovery.http", "HttpSource"),
    ConsulDiscovery: ("evenly.discovery.consul", "ConsulSource"),
    DockerDiscovery: ("evenly.discovery.docker", "DockerSource"),
}


def source_for(options: Discovery, place: Place) -> Source:
    """The source that options describe."""
    module, name = SOURCES[type(options)]
    source: Source = getattr(import_module(module), name)(options, place)
    return source
