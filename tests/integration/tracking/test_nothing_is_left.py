"""A socket that ended is freed at once: what waits for the cycle collector waits for millions of others."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import msgpack
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import REGISTRY
from websockets import Subprotocol
from websockets.asyncio.client import connect

from tests.support.people import create_delivery, eventually
from tests.support.server import Onward
from tracking.gateway import DriverSocket
from tracking.groups import Group, Viewer
from tracking.viewers import SocketOutlet

OURS = (web.WebSocketResponse, web.Request, RequestHandler, DriverSocket, Viewer, SocketOutlet, Group)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection meanwhile, and none of what was there before."""
    gc.collect()
    gc.disable()
    yield
    gc.garbage.clear()
    gc.enable()


def left() -> Counter[str]:
    """Return what only a collection frees, of the classes that a socket is made of."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    return Counter(type(one).__qualname__ for one in gc.garbage if type(one) in OURS)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "closed"])
@pytest.mark.parametrize("path", ["/ws/driver", "/ws/live"])
async def test_nothing_of_a_socket_is_left(onward: Onward, path: str, cut: bool) -> None:
    """However it ended: with a good-bye, or with a network that was gone."""
    delivery = await create_delivery(onward, onward.world.rosso)
    hello = {"type": "hello", "token": onward.world.dedicated.token, "device_id": "x"}
    watch = {"type": "watch", "token": delivery["tracking_url"].split("#")[1]}
    kind, first = ("driver", hello) if path == "/ws/driver" else ("viewer", watch)
    url = onward.url.replace("http", "ws", 1) + path
    for number in range(4):
        if number == 1:
            gc.collect()  # the first makes Redis learn its scripts, by an error
        async with connect(url, subprotocols=[Subprotocol("onward.v1.msgpack")]) as ws:
            await ws.send(msgpack.packb(first))
            await ws.recv()
            if cut:
                ws.transport.abort()
        await eventually(lambda: opened(onward, kind), lambda count: count == 0, "the socket ended")
    assert left() == {}


async def opened(onward: Onward, kind: str) -> float | None:
    """Return how many sockets are open, once the loop has gone round."""
    async with onward.http.get("/healthz"):
        return REGISTRY.get_sample_value("onward_sockets_open", {"kind": kind})
