"""The files of the repository, and the list of exemptions from the rules on them."""

import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXEMPTIONS = ROOT / "tests" / "tidy" / "exemptions.txt"


@cache
def files(*suffixes: str) -> list[Path]:
    """Every file that git tracks or would track, with one of `suffixes` (all of them without), relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    paths = sorted(Path(name) for name in listed.split("\0") if name)
    return [path for path in paths if (not suffixes or path.suffix in suffixes) and (ROOT / path).is_file()]


@cache
def read(path: Path) -> str:
    """The text of a file, or "" for one that is not text (pictures, raw requests)."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def production(*suffixes: str) -> Iterator[Path]:
    """Source files of the product itself: tests, benchmarks, examples and fuzz targets are left out."""
    for path in files(*suffixes):
        if path.parts[0] in {"crates", "python"} and "tests" not in path.parts and path.name != "tests.rs":
            yield path


def exempt(check: str) -> set[str]:
    """What is exempt from `check`; every line must have a reason."""
    found = set()
    for line in EXEMPTIONS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, what, reason = (part.strip() for part in line.split("|", 2))
        assert len(reason) > 20, f"exemptions.txt: {what} needs a reason, not {reason!r}"
        if name == check:
            found.add(what)
    return found


def assert_none(check: str, offences: Iterable[tuple[str, str]]) -> None:
    """Fails with every offence `(what, complaint)` that is not exempt, and with every exemption that is not needed."""
    allowed = exempt(check)
    complaints, used = [], set()
    for what, complaint in offences:
        if what in allowed:
            used.add(what)
        else:
            complaints.append(f"{what}: {complaint}")
    complaints += [f"exemptions.txt: {check} | {what} exempts nothing" for what in sorted(allowed - used)]
    assert not complaints, "\n" + "\n".join(complaints)
