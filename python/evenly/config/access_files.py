"""Reads the files that say who may come in: networks, users, keys. Each problem has the file's own name and line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .files import open_file
from .load import Loaded
from .problems import Place, Problem
from .schema import Settings
from .schema.access import RouteAccess, key_hash_problem, name_problem, password_hash_problem
from .schema.words import Network

# A million networks take some 20 MiB; beyond this it is the wrong file.
LARGEST_FILE = 32 << 20

Pairs = list[tuple[str, str]]
Check = Callable[[str], str | None]


@dataclass(frozen=True)
class AccessFiles:
    """What the files say, by their names as the configuration has them."""

    networks: dict[str, list[str]]
    users: dict[str, Pairs]
    keys: dict[str, Pairs]


def named_files(settings: Settings) -> list[str]:
    """Every file that is read with these settings, for whoever watches them."""
    return [name for _, name in (*_network_files(settings), *_user_files(settings), *_key_files(settings))]


def read_access_files(loaded: Loaded) -> tuple[AccessFiles, list[Problem]]:
    """Reads them all; what is wrong with them."""
    settings, problems = loaded.settings, list[Problem]()
    networks = {
        name: [text for _, text in _lines(loaded, place, name, problems, _network_problem)]
        for place, name in _network_files(settings)
    }
    users = {
        name: _pairs(loaded, place, name, problems, password_hash_problem) for place, name in _user_files(settings)
    }
    keys = {name: _pairs(loaded, place, name, problems, key_hash_problem) for place, name in _key_files(settings)}
    return AccessFiles(networks, users, keys), problems


def _network_files(settings: Settings) -> Iterator[tuple[Place, str]]:
    tables: list[tuple[Place, RouteAccess | None]] = [
        *((("routes", index), route.access) for index, route in enumerate(settings.routes))
    ]
    for place, access in tables:
        if access is not None:
            for option in ("allow_file", "deny_file"):
                name = getattr(access, option)
                if name is not None:
                    yield (*place, "access", option), name


def _user_files(settings: Settings) -> Iterator[tuple[Place, str]]:
    for index, route in enumerate(settings.routes):
        if route.basic_auth is not None and route.basic_auth.users_file is not None:
            yield ("routes", index, "basic_auth", "users_file"), route.basic_auth.users_file


def _key_files(settings: Settings) -> Iterator[tuple[Place, str]]:
    for index, route in enumerate(settings.routes):
        if route.api_keys is not None and route.api_keys.file is not None:
            yield ("routes", index, "api_keys", "file"), route.api_keys.file


def _pairs(loaded: Loaded, place: Place, name: str, problems: list[Problem], check: Check) -> Pairs:
    """The `name:value` lines of a file; a name may occur once."""
    pairs, seen = Pairs(), dict[str, int]()

    def problem(text: str) -> str | None:
        user, colon, value = text.partition(":")
        if not colon:
            return "expected `name:hash`"
        if user in seen:
            return f"`{user}` is in line {seen[user]} already"
        return name_problem(user) or check(value)

    for number, text in _lines(loaded, place, name, problems, problem):
        user, _, value = text.partition(":")
        seen[user] = number
        pairs.append((user, value))
    if not pairs and not problems:
        problems.append(loaded.source.problem(place, f"{name} has no entry"))
    return pairs


def _lines(loaded: Loaded, place: Place, name: str, problems: list[Problem], check: Check) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is right; empty ones and comments are passed over."""
    path = loaded.source.directory / name
    try:
        with open_file(path) as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problems.append(loaded.source.problem(place, f"{path} cannot be read: {reason or error}"))
        return
    if len(raw) > LARGEST_FILE:
        problems.append(loaded.source.problem(place, f"{path} is larger than {LARGEST_FILE >> 20} MiB"))
        return
    # A byte that is not UTF-8 is right in no line, so the line is named.
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), start=1):
        text = line.partition("#")[0].strip() if check is _network_problem else line.strip()
        if not text or text.startswith("#"):
            continue
        message = check(text)
        if message is None:
            yield number, text
        else:
            problems.append(Problem(str(path), number, None, "", message))


def _network_problem(text: str) -> str | None:
    try:
        Network.parse(text)
    except ValueError as error:
        return 'expected a network such as "10.0.0.0/8"' + (f": {error}" if str(error) else "")
    return None
