"""Servers to compare with: a bare aiohttp echo, and one that writes an already encoded frame to every viewer.

`python -m benchmarks.floors` prints its address and serves until it is stopped. What a driver (`d<number>`) sends is
written as one prepared frame to each transport that watches him (`w<number>`), which no server on this event loop can
undercut; what anybody else (`e`) sends is echoed.
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from typing import Final

import uvloop
from aiohttp import web

POSITION_BYTES: Final = 96
_watching: defaultdict[int, list[asyncio.Transport]] = defaultdict(list)


async def _serve(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    first: bytes = (await ws.receive()).data
    kind, number = first[:1], int(first[1:] or b"0")
    transport = request.transport
    if kind == b"w" and transport is not None:
        _watching[number].append(transport)
    try:
        async for message in ws:
            data: bytes = message.data
            if kind == b"e":
                await ws.send_bytes(data)
                continue
            payload = bytes(POSITION_BYTES - 8) + data[-8:]
            frame = struct.pack(">BB", 0x82, len(payload)) + payload
            for one in _watching[number]:
                one.write(frame)
    finally:
        if transport in _watching[number]:
            _watching[number].remove(transport)
    return ws


async def main() -> None:
    """Serve on a free port."""
    app = web.Application()
    app.router.add_get("/ws/driver", _serve)
    app.router.add_get("/ws/live", _serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"open at http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
