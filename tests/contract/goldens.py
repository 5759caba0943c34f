"""The configuration goldens, and how each is made; run as a program it writes them anew.

    python -m tests.contract.goldens

`tests/golden/config/NAME.toml` becomes `NAME.json`, the document for the packet path, which Rust's tests read too.
`tests/golden/config/errors/NAME.toml` is refused with the text in `NAME.txt`. The machine and the name lookups are made
up here, so that every machine gets the same.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

from evenly.config import ConfigError, Loaded, Machine, document, load, resolve
from evenly.config.self_signed import Pem

GOLDEN = Path(__file__).parent.parent / "golden" / "config"
MACHINE = Machine(cores=2, descriptors=200_000, runtime_directory=Path("/run/evenly"))
_TLS = GOLDEN / "tls"
_NAMES = ("site", "shop")
_SITE, _SHOP = (Pem((_TLS / f"{each}.pem").read_text(), (_TLS / f"{each}.key").read_text()) for each in _NAMES)
ISSUED = {"site": _SITE, "shop": _SHOP, "site.example.com": _SITE, "shop.example.com": _SHOP, "customers": _SITE}
"""What issuers have issued: a placeholder would be another each time."""
_ADDRESSES = {"app.internal": ["fd00::1", "10.1.0.2", "10.1.0.1", "10.1.0.2"], "db.internal": ["10.2.0.1"]}


def look_up(name: str) -> list[str]:
    """Knows two names, and answers as resolvers do: in any order, and more than once."""
    if name not in _ADDRESSES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _ADDRESSES[name]


def accepted() -> list[Path]:
    """Configurations that become documents."""
    return sorted(GOLDEN.glob("*.toml"))


def refused() -> list[Path]:
    """Configurations that are refused."""
    return sorted((GOLDEN / "errors").glob("*.toml"))


def document_of(loaded: Loaded) -> str:
    """The document, laid out for people: the goldens are read more often than written."""
    text = document(resolve(loaded, MACHINE, look_up, issued=ISSUED)).text
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def refusal_of(path: Path) -> str:
    """The problems, with file names as the user of that directory would see them."""
    try:
        resolve(load(path), MACHINE, look_up)
    except ConfigError as error:
        return str(error).replace(f"{path.parent}/", "") + "\n"
    return "accepted\n"


def expected() -> Iterator[tuple[Path, str]]:
    """Every golden with the text that it should have."""
    for path in accepted():
        yield path.with_suffix(".json"), document_of(load(path))
    for path in refused():
        yield path.with_suffix(".txt"), refusal_of(path)


if __name__ == "__main__":
    for golden, text in expected():
        golden.write_text(text, encoding="utf-8")
