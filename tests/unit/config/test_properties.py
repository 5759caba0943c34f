"""Properties: hostile files are refused and never crash; the expanded form means the same; many routes load quickly."""

import contextlib
import time
from pathlib import Path
from typing import Any

from evenly.config import ConfigError, document, expand, load_text, resolve
from evenly.config.expand import toml
from evenly.config.load import Source, load_source
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.goldens import GOLDEN, MACHINE, accepted, look_up

from .writing import PATIENT, read

_WORDS = """listeners web pools app routes bind endpoints protocol tcp http timeouts limits header idle head pool split
path host redirect respond headers health_check type workers auto admin error_pages 503 access_log name weight"""
WORDS = st.sampled_from(_WORDS.split())
SCALARS = st.one_of(
    WORDS, st.text(max_size=6), st.integers(), st.floats(), st.booleans(), st.datetimes(), st.dates(), st.times(),
    st.sampled_from([":8080", "10s", "64KiB", "10.0.0.1:9000", "/a/*", "10%", "*.x", "app", "client_ip", "x:1"]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(ConfigError):
        read(raw.decode("utf-8", "replace"))


@settings(PATIENT, max_examples=300)
@given(st.dictionaries(WORDS, TREES, max_size=6))
def test_any_tree_is_read_or_refused(data: dict[str, Any]) -> None:
    try:
        loaded = load_source(Source("evenly.toml", Path(), "", data))
    except ConfigError as error:
        str(error)
        return
    expand(loaded.settings)


@settings(PATIENT, max_examples=200)
@given(st.data())
def test_a_golden_with_one_change_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([path.read_text(encoding="utf-8") for path in accepted()]))
    start = data.draw(st.integers(min_value=0, max_value=len(text)))
    end = data.draw(st.integers(min_value=start, max_value=min(len(text), start + 20)))
    changed = text[:start] + data.draw(st.text(max_size=5)) + text[end:]
    problems = []
    try:
        load_text(changed, "evenly.toml", GOLDEN)
    except ConfigError as error:
        problems = error.problems
    assert all(problem.line is None or 1 <= problem.line <= changed.count("\n") + 1 for problem in problems)


DURATIONS = st.sampled_from(["50ms", "1s", "90s", "2m", "1h"])
COUNTS = st.integers(min_value=1, max_value=200)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,6}", fullmatch=True)


def options(**some: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with any of these options."""
    return st.fixed_dictionaries({}, optional=some)


CHECKS = st.one_of(
    st.sampled_from(["tcp", "http", "/healthz?x=1"]),
    st.tuples(
        st.sampled_from([{"type": "tcp"}, {"type": "http"}]),
        options(interval=DURATIONS, timeout=DURATIONS, unhealthy_after=COUNTS, jitter=st.just("25%"), port=COUNTS),
    ).map(lambda parts: parts[0] | parts[1]),
)
POOLS = st.tuples(
    st.sampled_from(
        [{"balance": "random"}, {}, {"balance": "maglev", "hash_key": "header:A"}, {"balance": "ring-hash"}]
    ),
    st.lists(
        st.sampled_from(["10.0.0.1:1", "[::1]:2", {"address": "10.0.0.2:3", "weight": 7}, "app.internal:4"]),
        unique_by=str,
    ),
    options(
        health_check=CHECKS, panic_threshold=st.just("7%"), timeouts=options(connect=DURATIONS, tunnel_idle=DURATIONS)
    ),
).map(lambda parts: parts[0] | {"endpoints": parts[1]} | parts[2])
CONDITIONS = st.one_of(TEXTS, st.booleans(), TEXTS.map(lambda text: {"regex": text}))
MATCHES = options(
    host=st.sampled_from(["a.example", ["*.b.example", "c.example"]]),
    path=st.sampled_from(["/a", "/b/*"]),
    methods=st.just(["GET", "POST"]),
    headers=st.dictionaries(NAMES, CONDITIONS, max_size=2),
    query=st.dictionaries(TEXTS, CONDITIONS, max_size=2),
    limits=options(body=st.just("3MiB")),
    response_headers=options(
        set=st.dictionaries(NAMES, TEXTS, max_size=2), add=st.dictionaries(NAMES, TEXTS, max_size=2)
    ),
)
FORWARDING = options(
    host_rewrite=st.sampled_from(["endpoint", {"to": "x"}]),
    timeouts=options(idle=DURATIONS),
    allow_upgrade=st.booleans(),
)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from([{"pool": "app"}, {"split": {"app": 3}}]), FORWARDING).map(
        lambda parts: parts[0] | parts[1]
    ),
    st.sampled_from([{"redirect": "/x"}, {"redirect": {"to": "{uri}", "status": 307}}]),
    options(status=st.just(404), body=TEXTS).map(lambda respond: {"respond": respond}),
)
CONFIGURATIONS = st.fixed_dictionaries(
    {
        "listeners": st.fixed_dictionaries(
            {
                "web": st.fixed_dictionaries(
                    {"bind": st.just(":80")}, optional={"limits": options(headers=COUNTS, body=st.just("1B"))}
                )
            },
            optional={"db": st.just({"bind": "[::1]:5432", "protocol": "tcp", "pool": "other"})},
        ),
        "pools": POOLS.map(lambda pool: {"app": pool, "other": {"endpoints": []}}),
        "routes": st.lists(st.tuples(MATCHES, ACTIONS).map(lambda parts: parts[0] | parts[1]), min_size=1, max_size=4),
    },
    optional={
        "workers": COUNTS,
        "access_log": st.sampled_from(["-", {"path": "/x/y", "format": "text"}]),
        "error_pages": st.fixed_dictionaries({"503": st.fixed_dictionaries({"body": TEXTS})}),
        "shutdown_timeout": DURATIONS,
    },
)


@settings(PATIENT, max_examples=200)
@given(CONFIGURATIONS)
def test_the_expanded_form_means_the_same(data: dict[str, Any]) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in data.items())
    loaded = read(text)
    again = read(expand(loaded.settings))
    assert again.settings == loaded.settings
    assert document(resolve(again, MACHINE, look_up)).text == document(resolve(loaded, MACHINE, look_up)).text
    assert expand(again.settings) == expand(loaded.settings)


def test_the_expanded_form_of_every_golden_means_the_same() -> None:
    for path in accepted():
        loaded = load_text(path.read_text(encoding="utf-8"), path.name, GOLDEN)
        again = load_text(expand(loaded.settings), path.name, GOLDEN)
        assert again.settings == loaded.settings
        assert document(resolve(again, MACHINE, look_up)).text == document(resolve(loaded, MACHINE, look_up)).text


def test_ten_thousand_routes_load_in_a_few_seconds() -> None:
    """Takes some 1.3 s of processor time on an ordinary core; the bound leaves room for one that is slow and busy."""
    pools = "".join(f'[pools.p{n}]\nendpoints = ["10.0.0.{n + 1}:80"]\n' for n in range(100))
    routes = "".join(
        f'[[routes]]\nname = "r{n}"\nhost = "h{n}.example.com"\npath = "/a{n}/*"\npool = "p{n % 100}"\n'
        for n in range(10_000)
    )
    start = time.process_time()
    loaded = read('[listeners.web]\nbind = ":8080"\n' + pools + routes)
    made = document(resolve(loaded, MACHINE, look_up))
    assert time.process_time() - start < 10
    assert made.problem("routes[9999].hosts[0]", "").path == "routes[9999].host"
