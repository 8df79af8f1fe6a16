"""A courier: moves along real streets, loses his signal now and then, answers offers, and brings things to doors."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import random
from datetime import datetime
from typing import Any, Final

import aiohttp
from PIL import Image

from geo.distance import bearing_deg, meters_between
from geo.path import Walk
from geo.point import Point
from geo.streets import SPEED_MAX_MPS
from geo.travel import Vehicle
from kernel.clock import Clock, to_ms
from onward.maps.store import CityMap
from onward.seed import CourierAccess
from onward.simulator.checkers import Ledger
from onward.simulator.plan import PlannedCourier
from tracking.client import DriverClient, Message, Refused

TICK_S: Final = 1.0
NOISE_M: Final = 4.0
NOISE_MEMORY: Final = 0.9
ACCEPTS: Final = 0.92
IGNORES: Final = 0.03
FOLLOWS: Final = 0.8
WRITES: Final = 0.2
DROPOUT_PER_TICK: Final = 1 / 240
OFFLINE_PER_TICK: Final = 1 / 300
DUPLICATE_PER_TICK: Final = 1 / 200
OFFLINE_S: Final = (8.0, 25.0)
DROPOUT_S: Final = (5.0, 15.0)
METERS_PER_DEGREE: Final = 111_320.0
STREET_SPEED: Final = 1.2


class Courier:
    """One person with a phone."""

    def __init__(
        self,
        city: CityMap,
        planned: PlannedCourier,
        access: CourierAccess,
        *,
        url: str,
        http: aiohttp.ClientSession,
        ledger: Ledger,
        faults: bool,
        clock: Clock,
        fix_every_s: float,
    ) -> None:
        self._city = city
        self._vehicle = planned.vehicle
        self._access = access
        self._http = http
        self._ledger = ledger
        self._faults = faults
        self._clock = clock
        self._fix_every_s = fix_every_s
        self._random = random.Random(planned.seed)
        self._at = Point(planned.lat, planned.lng)
        self._heading = 0.0
        self._speed = 0.0
        self._noise = (0.0, 0.0)
        self._stops: list[dict[str, Any]] = []
        self._advised: dict[str, Any] | None = None
        self._route_version = -1
        self._silent_until = 0.0
        self._offline_until = 0.0
        self._socket: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self.acked_fixes: list[int] = []
        """The device time of every acknowledged fix, in milliseconds."""
        self.client = DriverClient(url, access.token, on_message=self._hear, on_acked=self._acked, now_ms=clock.now_ms)

    async def live(self) -> None:
        """Go on line and work until cancelled."""
        self._connect()
        phone = asyncio.create_task(self._phone())
        try:
            await self.client.connected.wait()
            await self.client.act("availability", state="available")
            while True:
                if self._stops:
                    await self._serve(self._stops[0])
                else:
                    await self._roam()
        finally:
            phone.cancel()
            await asyncio.gather(phone, return_exceptions=True)

    async def come_home(self) -> None:
        """Wait until all that is kept is acknowledged."""
        self._silent_until = self._offline_until = 0.0
        if self._socket is None or self._socket.done():
            self._connect()
        await self.client.all_acked()

    async def hang_up(self) -> None:
        """Close the socket for good."""
        for task in (*self._answers, self._socket):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    # --- the phone ------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._socket = asyncio.create_task(self._stay_connected())

    async def _stay_connected(self) -> None:
        try:
            await self.client.run()
        except Refused as refused:
            self._ledger.error(f"driver socket refused: {refused}")

    async def _phone(self) -> None:
        """Take a fix now and again, or miss it; what is taken off line waits in the client."""
        while True:
            now = asyncio.get_running_loop().time()
            if self._faults:
                await self._misbehave(now)
            if now >= self._offline_until and self._socket is None:
                self._connect()
            if now >= self._silent_until:
                await self._send_fix()
            await asyncio.sleep(self._fix_every_s)

    async def _send_fix(self) -> None:
        fix = self._fix()
        if self.client.connected.is_set():
            self._ledger.fix_sent(self._access.id, fix["t"])
        twice = self._faults and self._random.random() < DUPLICATE_PER_TICK
        await self.client.send_fixes([fix, fix] if twice else [fix])

    async def _misbehave(self, now: float) -> None:
        if now < max(self._silent_until, self._offline_until):
            return
        if self._random.random() < DROPOUT_PER_TICK:
            self._silent_until = now + self._random.uniform(*DROPOUT_S)
        elif self._random.random() < OFFLINE_PER_TICK:
            self._offline_until = now + self._random.uniform(*OFFLINE_S)
            if self._socket is not None:
                await self.client.cut()
                self._socket.cancel()
                await asyncio.gather(self._socket, return_exceptions=True)
                self._socket = None

    def _acked(self, frame: Message) -> None:
        self.acked_fixes += [fix["t"] for fix in frame.get("fixes", ())]

    def _fix(self) -> Message:
        east, north = (NOISE_MEMORY * n + self._random.gauss(0, NOISE_M * (1 - NOISE_MEMORY**2)) for n in self._noise)
        self._noise = (east, north)
        lat = self._at.lat + north / METERS_PER_DEGREE
        lng = self._at.lng + east / (METERS_PER_DEGREE * math.cos(math.radians(self._at.lat)))
        return {
            "t": self._clock.now_ms(),
            "lat": round(lat, 7),
            "lng": round(lng, 7),
            "acc": round(self._random.uniform(4, 18), 1),
            "spd": round(self._speed, 1),
            "hdg": round(self._heading, 0),
        }

    def _hear(self, message: Message) -> None:
        kind = message["type"]
        if kind == "welcome":
            self._adopt(message["state"]["route"])
            self._advised = message["state"]["move"]
            for offer in message["state"]["offers"]:
                self._consider(offer)
        elif kind == "route":
            self._adopt(message)
        elif kind == "move":
            self._advised = message["move"]
        elif kind == "offer":
            self._consider(message["offer"])
        elif kind == "nack" and not message["retry"]:
            self._ledger.nack(message)

    def _adopt(self, route: dict[str, Any]) -> None:
        if route["version"] >= self._route_version:
            self._route_version = route["version"]
            self._stops = route["stops"]
            self._ledger.route(self._access.id, {stop["delivery_id"] for stop in self._stops})

    def _consider(self, offer: dict[str, Any]) -> None:
        self._ledger.offers += 1
        task = asyncio.create_task(self._answer(offer))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, offer: dict[str, Any]) -> None:
        await asyncio.sleep(self._random.uniform(0.8, 4.0))
        luck = self._random.random()
        if luck < IGNORES:
            return
        reply = "accept" if luck < IGNORES + ACCEPTS else "decline"
        reason = "" if reply == "accept" else "too far for me"
        await self.client.act("offer_reply", offer_id=offer["id"], reply=reply, reason=reason)

    # --- the street -----------------------------------------------------------------------------------------------

    async def _roam(self) -> None:
        """Wait, go where he is told that work comes from, or else sometimes to another corner."""
        self._speed = 0.0
        for _ in range(self._random.randint(4, 15)):
            await asyncio.sleep(TICK_S)
            if self._stops:
                return
            if self._advised is not None:
                move, self._advised = self._advised, None
                if self._random.random() < FOLLOWS:
                    await self._drive(Point(move["lat"], move["lng"]), while_idle=True)
                    return
                await self.client.act("move_decline", move_id=move["id"])
        lat, lng = self._at.lat, self._at.lng
        away = Point(lat + self._random.uniform(-0.002, 0.002), lng + self._random.uniform(-0.004, 0.004))
        await self._drive(away, while_idle=True)

    async def _serve(self, stop: dict[str, Any]) -> None:
        delivery, pickup = stop["delivery_id"], stop["kind"] == "pickup"
        if stop["kind"] == "return":
            await self._bring_back(stop)
            return
        if stop["status"] in ("assigned", "picked_up"):
            await self._report(delivery, "en_route_to_pickup" if pickup else "en_route_to_dropoff")
        if not await self._drive(Point(stop["lat"], stop["lng"]), delivery=delivery):
            return
        if not stop["status"].startswith("arrived"):
            await self._report(delivery, "arrived_at_pickup" if pickup else "arrived_at_dropoff")
            if not pickup and self._random.random() < WRITES:
                await self.client.act("message", delivery_id=delivery, channel="customer", text="I am at the door")
        until_ms = self._clock.now_ms() + round(self._random.uniform(4_000, 12_000))
        if pickup:
            until_ms = max(until_ms, to_ms(datetime.fromisoformat(stop["ready_at"])))
        while self._clock.now_ms() < until_ms:
            await asyncio.sleep(TICK_S)
            if not self._has(delivery):
                return
        if pickup:
            await self._report(delivery, "picked_up")
        else:
            await self._photograph(delivery)
            await self._report(delivery, "delivered")
        await self.client.all_acked()
        self._stops = [s for s in self._stops if s is not stop and not _same(s, stop)]
        for following in self._stops:
            if following["delivery_id"] == delivery and pickup:
                following["status"] = "picked_up"

    async def _bring_back(self, stop: dict[str, Any]) -> None:
        """What a dispatcher gave up on goes back to its store."""
        delivery = stop["delivery_id"]
        if stop["status"] == "failed":
            await self._report(delivery, "returning")
        if await self._drive(Point(stop["lat"], stop["lng"]), delivery=delivery):
            await self._report(delivery, "returned")
            await self.client.all_acked()
            self._stops = [s for s in self._stops if not _same(s, stop)]

    async def _drive(self, to: Point, *, delivery: str | None = None, while_idle: bool = False) -> bool:
        """Move to a place along the streets; False when the work went away, or came, meanwhile."""
        route = self._city.graph.route(self._at, to, self._vehicle)
        points = [self._at, to] if route is None else [self._at, *(Point(*row) for row in route.path.tolist()), to]
        walk = Walk(points)
        top = SPEED_MAX_MPS[self._vehicle] * STREET_SPEED * self._random.uniform(0.85, 1.15)
        if self._vehicle is not Vehicle.BICYCLE:
            top *= 0.55  # lights and traffic
        clock = asyncio.get_running_loop().time
        before = clock()
        while not walk.done:
            if (delivery is not None and not self._has(delivery)) or (while_idle and self._stops):
                self._speed = 0.0
                return False
            aim = 0.0 if self._random.random() < 0.015 else top * self._random.uniform(0.85, 1.05)
            self._speed += max(-3.0, min(1.6, aim - self._speed))
            now = clock()
            here = walk.advance(self._speed * (now - before))
            before = now
            if meters_between(self._at, here) > 0.5:
                self._heading = bearing_deg(self._at, here)
            self._at = here
            await asyncio.sleep(TICK_S)
        self._speed = 0.0
        return True

    def _has(self, delivery: str) -> bool:
        return any(stop["delivery_id"] == delivery for stop in self._stops)

    async def _report(self, delivery: str, status: str) -> None:
        await self.client.act("status", delivery_id=delivery, status=status)

    async def _photograph(self, delivery: str) -> None:
        """Upload the proof, again and again until it is there."""
        color = tuple(self._random.randint(60, 200) for _ in range(3))
        out = io.BytesIO()
        Image.new("RGB", (320, 240), color).save(out, "JPEG")
        headers = {"Authorization": f"Bearer {self._access.token}", "Content-Type": "image/jpeg"}
        await self.client.all_acked()
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                url = f"/api/v1/driver/deliveries/{delivery}/proof"
                async with self._http.post(url, data=out.getvalue(), headers=headers) as reply:
                    if reply.status == 201:
                        return
                    if reply.status < 500:
                        self._ledger.error(f"proof refused: {reply.status} {await reply.text()}")
                        return
            await asyncio.sleep(TICK_S)


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return bool(a["delivery_id"] == b["delivery_id"] and a["kind"] == b["kind"])
