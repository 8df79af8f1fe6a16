"""Servers to compare with: a bare aiohttp echo, and one that writes an already encoded frame to every viewer.

`python -m benchmarks.floors` prints its address and serves until it is stopped. What a driver (`d<number>`) sends is
echoed to him, or, where somebody watches him (`w<number>`), written as one prepared frame to each of those transports:
what no server on this event loop can undercut.
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
    number = -1
    async for message in ws:
        data: bytes = message.data
        if number < 0:
            number = int(data[1:])
            if data.startswith(b"w") and request.transport is not None:
                _watching[number].append(request.transport)
        elif number in _watching:
            payload = bytes(POSITION_BYTES - 8) + data[-8:]
            frame = struct.pack(">BB", 0x82, len(payload)) + payload
            for transport in _watching[number]:
                transport.write(frame)
        else:
            await ws.send_bytes(data)
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
