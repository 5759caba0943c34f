"""Who may use the admin API over TCP."""

import pytest
from evenly.api.guard import bears, is_local_name, refusal

TOKEN = b"0123456789abcdef"
LOCAL = {"host": "127.0.0.1:9900"}


@pytest.mark.parametrize(
    ("authorization", "passes"),
    [
        ("Bearer 0123456789abcdef", True),
        ("bearer 0123456789abcdef", True),
        ("Bearer  0123456789abcdef ", True),
        ("Bearer 0123456789abcdeF", False),
        ("Bearer 0123456789abcde", False),
        ("Basic 0123456789abcdef", False),
        ("Bearer \u00e4", False),
        ("Bearer", False),
        ("", False),
    ],
)
def test_only_the_token_passes(authorization: str, passes: bool) -> None:
    assert bears(authorization, TOKEN) is passes
    refused = refusal("GET", "/metrics", {"host": "lb.example.com", "authorization": authorization}, TOKEN)
    assert (refused is None) is passes
    if refused is not None:
        assert refused[0] == 401


def test_health_needs_no_token() -> None:
    assert refusal("GET", "/healthz", {"host": "lb.example.com"}, TOKEN) is None
    assert refusal("GET", "/healthz/", {"host": "lb.example.com"}, TOKEN) is not None


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:9900", True),
        ("[::1]:9900", True),
        ("localhost:9900", True),
        ("LOCALHOST", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:9900", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_a_name_that_strangers_control_is_no_host(host: str, is_local: bool) -> None:
    assert is_local_name(host) is is_local
    assert (refusal("GET", "/metrics", {"host": host}, None) is None) is is_local


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("POST", "http://evil.example", 403),
        ("PUT", "http://127.0.0.1:9901", 403),
        ("POST", "null", 403),
        ("POST", "http://127.0.0.1:9900", None),
        ("POST", None, None),
        ("GET", "http://evil.example", None),
    ],
)
def test_a_foreign_page_does_not_write(method: str, origin: str | None, status: int | None) -> None:
    headers = LOCAL if origin is None else {**LOCAL, "origin": origin}
    refused = refusal(method, "/api/reload", headers, None)
    assert (refused and refused[0]) == status
