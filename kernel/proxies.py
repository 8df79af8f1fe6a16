"""Who is asking when a proxy stands in front: what it says is believed only of proxies the operator named.

`X-Forwarded-For` is read from its end, where each proxy adds whom it heard: what comes before the first stranger are
his own words.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import web

Networks = tuple[IPv4Network | IPv6Network, ...]

TRUSTED: Final = web.AppKey("trusted_proxies", tuple)
"""The networks of the proxies in front."""


def networks(written: str) -> Networks:
    """Return the networks named in a list with commas; raises `ValueError`."""
    return tuple(ip_network(one.strip()) for one in written.split(",") if one.strip())


def address(request: web.Request) -> str:
    """Return the address of whoever is asking: the nearest that is no proxy of ours."""
    heard = request.remote or "?"
    said = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    for one in reversed(said):
        if not _is_trusted(request, heard) or _parsed(one.strip()) is None:
            break
        heard = one.strip()
    return heard


def origin(request: web.Request) -> str:
    """Return where the caller reached this server, `https://host`; a proxy in front says whether that was TLS."""
    said = request.headers.get("X-Forwarded-Proto", "") if _is_trusted(request, request.remote or "") else ""
    return f"{said if said in ('http', 'https') else request.scheme}://{request.host}"


def _is_trusted(request: web.Request, heard: str) -> bool:
    parsed = _parsed(heard)
    return parsed is not None and any(parsed in network for network in request.app[TRUSTED])


def _parsed(written: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(written)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed
