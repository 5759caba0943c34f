"""Files that cannot be read, and what reading makes of those that can. Every single refusal is a golden."""

import os
import socket
from pathlib import Path

import pytest
from evenly.config import ConfigError, Machine, load, resolve
from evenly.config.load import LARGEST_FILE

from .writing import APP, WEB, read, refusal


def message_of(path: Path | str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert len(refused.value.problems) == 1
    return str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert message_of(missing) == f"{missing}: there is no such file"
    assert message_of(tmp_path) == f"{tmp_path}: a directory, not a file"
    assert message_of("a\0b").endswith("a path has no NUL in it")
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    assert "symbolic links" in message_of(loop)


@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.toml", tmp_path / "link.toml"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    assert message_of(pipe) == f"{pipe}: a pipe, not a file"
    assert message_of(link) == f"{link}: a pipe, not a file"
    assert message_of("/dev/null") == "/dev/null: a device, not a file"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert message_of(tmp_path / "s") == f"{tmp_path / 's'}: a socket, not a file"


@pytest.mark.timeout(10)
def test_a_file_beside_it_is_a_regular_one_as_well(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "page.html")
    (tmp_path / "evenly.toml").write_text(WEB + APP + '[error_pages]\n503 = { file = "page.html" }\n')
    with pytest.raises(ConfigError, match="a pipe, not a file"):
        resolve(load(tmp_path / "evenly.toml"), Machine.here())


def test_only_who_reads_it_once_reads_a_pipe_that_was_given(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, (WEB + APP).encode())
    os.close(write_end)
    name = f"/dev/fd/{read_end}"
    assert message_of(name) == f"{name}: a pipe, not a file"
    assert load(name, once=True).settings == read(WEB + APP).settings
    os.close(read_end)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (LARGEST_FILE + 1))
    assert message_of(path) == f"{path}: larger than 16 MiB; this is hardly a configuration"


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# one\n# caf\xe9\n")
    assert message_of(path) == f"{path}:2: not UTF-8: byte 0xe9"


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (WEB + APP).replace("\n", "\r\n").encode())
    assert load(path).settings == read(WEB + APP).settings


def test_a_mistake_has_line_and_column() -> None:
    with pytest.raises(ConfigError) as refused:
        read(WEB + "[pools.app]\nendpoints = []\n  balanse = 1\n")
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.column, problem.path) == ("evenly.toml", 5, 3, "pools.app.balanse")


def test_deep_nesting_is_refused() -> None:
    assert refusal("a = " + "[" * 10_000 + "]" * 10_000) == "evenly.toml: nested too deeply"


def test_numbers_that_python_refuses() -> None:
    assert "not TOML" in refusal(f"workers = {'9' * 5_000}")
    assert "a very large integer" in refusal(WEB + f"max_connections = 0x{'f' * 5_000}")


def test_the_only_pool_gets_every_request() -> None:
    (route,) = read(WEB + APP).settings.routes
    assert (route.name, route.pool) == ("default", "app")


def test_no_route_is_made_up_where_there_is_a_choice_or_no_request() -> None:
    assert "nowhere to go" in refusal(WEB + APP + '[pools.other]\nendpoints = ["10.0.0.2:9000"]\n')
    assert "nowhere to go" in refusal("routes = []\n" + WEB + "[pools]\na = { endpoints = [] }\nb = { endpoints = [] }")
    tcp = read('[listeners.db]\nbind = ":1"\nprotocol = "tcp"\npool = "app"\n' + APP)
    assert tcp.settings.routes == []


def test_routes_are_named_by_their_place() -> None:
    routes = read(WEB + APP + '[[routes]]\npath = "/a"\npool = "app"\n' + '[[routes]]\nname = "b"\npool = "app"\n' * 1)
    assert [route.name for route in routes.settings.routes] == ["route-1", "b"]
    text = WEB + APP + '[[routes]]\nname = "route-2"\npool = "app"\n[[routes]]\npool = "app"\n'
    assert refusal(text) == 'evenly.toml:8: routes[1].name: routes[0] is already called "route-2"'


def test_what_is_hardly_meant_is_a_warning() -> None:
    text = WEB + '[listeners.alone]\nbind = ":1"\n' + APP + "[pools.idle]\nendpoints = []\n"
    loaded = read(text + '[[routes]]\nlisteners = "web"\npool = "app"\n')
    assert [str(warning) for warning in loaded.warnings] == [
        "evenly.toml:7: pools.idle: no route, no listener and no other pool uses this pool",
        "evenly.toml:3: listeners.alone: no route belongs to this listener: every request is answered 404",
    ]


def test_short_and_long_forms_are_the_same() -> None:
    short = WEB + '[pools.app]\nendpoints = "10.0.0.1:9000"\nhealth_check = "/healthz"\n'
    short += '[[routes]]\nhost = "a"\nmethods = "GET"\nheaders = { A = "b", C = true }\nredirect = "/x"\n'
    long = '[listeners.web]\nbind = ["0.0.0.0:8080"]\nprotocol = "http"\n[pools.app]\n'
    long += 'endpoints = [{ address = "10.0.0.1:9000", weight = 1 }]\n'
    long += 'health_check = { type = "http", path = "/healthz" }\n[[routes]]\nname = "route-1"\nhost = ["a"]\n'
    long += 'methods = ["GET"]\nheaders = { A = { exact = "b" }, C = { present = true } }\nredirect = { to = "/x" }\n'
    assert read(short).settings == read(long).settings


def test_a_rewrite_of_a_prefix_without_a_slash_is_a_warning() -> None:
    text = (
        WEB
        + APP
        + "".join(
            f'[[routes]]\npath = "{path}"\nrewrite = {rewrite}\npool = "app"\n'
            for path, rewrite in [
                ("/files*", '{ prefix = "/public/" }'),
                ("/files/*", '{ prefix = "/public/" }'),
                ("/file", '{ prefix = "/public" }'),
                ("/x*", '{ regex = "a", replacement = "b" }'),
            ]
        )
    )
    assert [str(warning) for warning in read(text).warnings] == [
        'evenly.toml:7: routes[0].rewrite.prefix: "/files*" also matches "/files-x" and "/files..": '
        'write "/files/*", and another route for "/files" if that is meant, too'
    ]
