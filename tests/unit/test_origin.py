"""Whose page a request comes from: scheme, host and port, or it is nobody of ours."""

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from accounts import origin as rules
from accounts.origin import allowed_name, is_allowed_host, is_own_origin, may_go_keyless, may_use_cookie


@pytest.mark.parametrize(
    ("origin", "host", "secure", "own"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", False, True),
        ("https://engine.example", "engine.example", True, True),
        ("https://engine.example", "engine.example:443", True, True),
        ("http://engine.example:80", "engine.example", False, True),
        ("https://ENGINE.example", "engine.EXAMPLE", True, True),
        ("http://[::1]:8000", "[::1]:8000", False, True),
        ("null", "127.0.0.1:8000", False, False),
        ("", "127.0.0.1:8000", False, False),
        ("null", "", False, False),
        ("http://", "", False, False),
        ("http://[", "127.0.0.1:8000", False, False),
        ("http://[", "[", False, False),
        ("http://127.0.0.1:x", "127.0.0.1:x", False, False),
        ("http://127.0.0.1:99999", "127.0.0.1:99999", False, False),
        ("https://127.0.0.1:8000", "127.0.0.1:8000", False, False),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True, False),
        ("file://", "127.0.0.1:8000", False, False),
        ("chrome-extension://127.0.0.1:8000", "127.0.0.1:8000", False, False),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False, False),
        ("http://127.0.0.1", "127.0.0.1:8000", False, False),
        ("http://localhost:8000", "127.0.0.1:8000", False, False),
        ("http://127.0.0.1:8000.evil.example", "127.0.0.1:8000", False, False),
        ("http://evil@127.0.0.1:8000", "127.0.0.1:8000", False, False),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000", False, False),
        ("//127.0.0.1:8000", "127.0.0.1:8000", False, False),
    ],
)
def test_an_origin_is_ours_by_scheme_host_and_port(origin: str, host: str, secure: bool, own: bool) -> None:
    assert is_own_origin(origin, host, secure=secure) is own
    assert may_use_cookie(origin, host, secure=secure) is own
    if not own:
        assert not may_go_keyless(origin, host, secure=secure)


@given(st.text(max_size=40), st.text(max_size=40), st.booleans())
def test_whatever_is_sent_is_judged(origin: str, host: str, secure: bool) -> None:
    for text in (origin, f"http://{origin}", f"http://[{origin}", "null"):
        assert isinstance(is_own_origin(text, host, secure=secure), bool)
        assert not may_go_keyless(text, f"evil.example{host}", secure=secure)
    assert isinstance(is_allowed_host(host), bool)


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "127.0.0.1:8000", True),
        (None, "localhost", True),
        (None, "engine.example:8000", False),
        (None, "", False),
        ("http://localhost:8000", "localhost:8000", True),
        ("http://engine.example", "engine.example", False),
    ],
)
def test_only_this_machine_s_own_names_go_without_a_key(origin: str | None, host: str, may: bool) -> None:
    assert may_go_keyless(origin, host, secure=False) is may


def test_a_cookie_wants_an_origin() -> None:
    assert not may_use_cookie(None, "engine.example", secure=True)


def test_the_hosts_that_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["engine.example", ".desk.example", "[::1]"])
    rules.is_allowed_host.cache_clear()
    judged = {
        host: is_allowed_host(host)
        for host in (
            "engine.example",
            "engine.example:8443",
            "a.desk.example",
            "[::1]:1",
            "evil.example",
            "",
            "a b",
            "[",
        )
    }
    rules.is_allowed_host.cache_clear()
    assert [host for host, ours in judged.items() if ours] == [
        "engine.example",
        "engine.example:8443",
        "a.desk.example",
        "[::1]:1",
    ]


@pytest.mark.parametrize(
    ("patterns", "name"),
    [([], "localhost"), (["*"], "localhost"), ([".a.example"], "a.example"), (["[::1]", "b"], "[::1]")],
)
def test_a_name_that_passes(patterns: list[str], name: str) -> None:
    assert allowed_name(patterns) == name
