"""The Rust dependency graph, from `cargo metadata`: the walls between the crates, licences, reasons.

deny.toml states the same for cargo-deny; this needs nothing but cargo.
"""

import json
import re
import subprocess
import tomllib
from functools import cache
from typing import Any

import pytest

from .tree import ROOT, read

# Which crate may depend on which of the workspace: http1 <- http2 <- http3, core <- proxy <- python.
MAY_USE = {
    "evenly-http1": set(),
    "evenly-http2": {"evenly-http1"},
    "evenly-http3": {"evenly-http2"},
    "evenly-core": set(),
    "evenly-proxy": {"evenly-http1", "evenly-http2", "evenly-http3", "evenly-core"},
    "evenly-python": {"evenly-core", "evenly-proxy"},
}
# Direct dependencies that only one crate may have: deciding does no I/O, and only the binding knows Python.
BELONGS_TO = {
    "pyo3": "evenly-python",
    "mimalloc": "evenly-python",
    "tokio": "evenly-proxy",
    "socket2": "evenly-proxy",
    "rustix": "evenly-proxy",
    "rustls": "evenly-proxy",
    "quinn-proto": "evenly-proxy",
    "aws-lc-rs": "evenly-proxy",
    "httparse": "evenly-http1",
}
# Bytes and decisions are testable to the last branch only without these.
NO_IO = re.compile(r"\b(?:std::(?:net::(?:Tcp|Udp)|fs|thread|process)|Instant::now|SystemTime::now|tokio::)")
LICENCES = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])


@cache
def packages() -> dict[str, dict[str, Any]]:
    """Every package of the graph by id, as `cargo metadata` describes it."""
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {package["id"]: package for package in json.loads(done.stdout)["packages"]}


def members() -> dict[str, dict[str, Any]]:
    """The workspace's own crates by name."""
    return {package["name"]: package for package in packages().values() if package["source"] is None}


def uses(crate: str, kind: str | None = None) -> set[str]:
    """Names of a crate's direct dependencies of one kind (None: for building, "dev": for tests)."""
    return {dependency["name"] for dependency in members()[crate]["dependencies"] if dependency["kind"] == kind}


def test_the_crates_are_those_of_the_map() -> None:
    """A new crate gets its place in ARCHITECTURE.md and here first."""
    assert set(members()) == set(MAY_USE)


@pytest.mark.parametrize("crate", sorted(MAY_USE))
def test_one_way_only(crate: str) -> None:
    """A crate depends on no crate above it, not even in its tests."""
    own = {name for name in uses(crate) | uses(crate, "dev") if name.startswith("evenly-")}
    assert own <= MAY_USE[crate], f"{crate} must not use {own - MAY_USE[crate]}"


@pytest.mark.parametrize("dependency", sorted(BELONGS_TO))
def test_dependencies_stay_in_their_crate(dependency: str) -> None:
    """Python, the runtime, sockets and the head parser are each known to one crate."""
    users = {crate for crate in members() if dependency in uses(crate)}
    assert users <= {BELONGS_TO[dependency]}


@pytest.mark.parametrize("crate", ["http1", "http2", "http3", "core"])
def test_pure_crates_have_no_sockets_and_no_clock(crate: str) -> None:
    """`http1`, `http2`, `http3` and `core` get bytes, the time and random numbers passed in."""
    for path in sorted((ROOT / "crates" / crate / "src").rglob("*.rs")):
        code = re.sub(r"//[^\n]*", "", path.read_text())
        found = NO_IO.search(code)
        assert not found, f"{path.relative_to(ROOT)} uses {found and found.group()}: pass it in"


def test_licences_are_allowed() -> None:
    """Of each `OR` one side, of each `AND` all must be on deny.toml's list."""

    def allowed(expression: str) -> bool:
        flat = expression.replace("(", "").replace(")", "").replace("/", " OR ")
        return all(any(choice.strip() in LICENCES for choice in part.split(" OR ")) for part in flat.split(" AND "))

    refused = {p["name"]: p["license"] for p in packages().values() if not allowed(p["license"] or "none")}
    assert not refused


def test_everything_comes_from_crates_io() -> None:
    """No git and no private registry: anybody can build what is published."""
    foreign = [p["id"] for p in packages().values() if p["source"] and "crates.io-index" not in p["source"]]
    assert not foreign


def test_every_rust_dependency_has_a_reason() -> None:
    """CONTRIBUTING.md's table names exactly the direct dependencies."""
    direct = {name for crate in members() for kind in (None, "dev", "build") for name in uses(crate, kind)}
    assert reasons("Rust") == {name for name in direct if not name.startswith("evenly-")}


def test_every_python_dependency_has_a_reason() -> None:
    """CONTRIBUTING.md's table names exactly what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    assert reasons("Python") == {re.match(r"[\w-]+", requirement).group() for requirement in wanted}  # type: ignore[union-attr]


def reasons(language: str) -> set[str]:
    """The first column of CONTRIBUTING.md's dependency table for one language."""
    section = read(ROOT / "CONTRIBUTING.md").split(f"### {language} dependencies", 1)[1].split("\n#", 1)[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", section, re.M))
