"""Whose request it is, with proxies in front and with people who say that they are one."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from kernel.proxies import TRUSTED, address, networks, origin


def asked(remote: str, trusted: str = "127.0.0.0/8,::1,10.0.0.0/8", **said: str) -> web.Request:
    """Return a request as a socket from `remote` would bring it."""
    app = web.Application()
    app[TRUSTED] = networks(trusted)
    headers = {name.replace("_", "-"): value for name, value in said.items()}
    return make_mocked_request("GET", "/", {"Host": "city.example", **headers}, app=app).clone(remote=remote)


@pytest.mark.parametrize(
    ("remote", "forwarded", "who"),
    [
        ("8.8.8.8", "", "8.8.8.8"),
        ("127.0.0.1", "7.7.7.7", "7.7.7.7"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "7.7.7.7", "7.7.7.7"),
        ("127.0.0.1", "7.7.7.7, 10.0.0.2", "7.7.7.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("8.8.8.8", "7.7.7.7", "8.8.8.8"),  # a stranger's own words
        ("127.0.0.1", "1.1.1.1, 7.7.7.7", "7.7.7.7"),  # what he said to the proxy
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "7.7.7.7, '; DROP", "127.0.0.1"),
    ],
)
def test_only_what_our_own_proxies_say_is_believed(remote: str, forwarded: str, who: str) -> None:
    """From the end, up to the first stranger."""
    assert address(asked(remote, **({"X_Forwarded_For": forwarded} if forwarded else {}))) == who


def test_tls_is_told_by_a_proxy_of_ours_alone() -> None:
    """A stranger's header makes no link that begins with his word."""
    assert origin(asked("127.0.0.1", X_Forwarded_Proto="https")) == "https://city.example"
    assert origin(asked("8.8.8.8", X_Forwarded_Proto="https")) == "http://city.example"
    assert origin(asked("127.0.0.1", X_Forwarded_Proto="javascript")) == "http://city.example"
    assert origin(asked("127.0.0.1", "", X_Forwarded_Proto="https")) == "http://city.example"


def test_a_network_that_is_none_is_refused() -> None:
    """Before anything is served."""
    with pytest.raises(ValueError, match="nonsense"):
        networks("127.0.0.1, nonsense")
