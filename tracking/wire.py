"""Every message that crosses a socket, both ways: the one page that names the vocabulary.

Two subprotocols carry the same messages: `onward.v1.msgpack` for apps, `onward.v1.json` for people and browsers.
A message is a map with a `type`; unknown fields are refused by name. `docs/protocol.md` tells the story in words.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

JSON_SUBPROTOCOL: Final = "onward.v1.json"
MSGPACK_SUBPROTOCOL: Final = "onward.v1.msgpack"
SUBPROTOCOLS: Final = (MSGPACK_SUBPROTOCOL, JSON_SUBPROTOCOL)

FRAME_BYTES_MAX: Final = 131_072
FIXES_PER_FRAME_MAX: Final = 500

Seq = Annotated[int, Meta(ge=1, le=2**53)]
Token = Annotated[str, Meta(min_length=8, max_length=256)]
ShortText = Annotated[str, Meta(max_length=200)]
Millis = Annotated[int, Meta(ge=0, le=2**53)]


class Up(msgspec.Struct, frozen=True, gc=False, tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """A message from a client."""


class Down(msgspec.Struct, frozen=True, gc=False, tag_field="type", omit_defaults=True):
    """A message from the server."""


class WireFix(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One GPS reading as the device stamped it: `t` in Unix milliseconds, `acc` metres, `spd` m/s, `hdg` degrees.

    Bounds are judged by the filters, not here: one bad fix must not cost the good ones in its frame.
    """

    t: int
    lat: float
    lng: float
    acc: float | None = None
    spd: float | None = None
    hdg: float | None = None
    alt: float | None = None
    bat: float | None = None
    src: ShortText | None = None


# --- driver socket, up -------------------------------------------------------------------------------------------


class Hello(Up, frozen=True, tag="hello"):
    """First frame of a driver: who, on what device, and how far he is: the highest `seq` that he knows is durable, and
    the newest `message` he has.
    """

    token: Token
    device_id: Annotated[str, Meta(min_length=1, max_length=64)]
    app: ShortText = ""
    clock_ms: Millis = 0
    last_acked_seq: Annotated[int, Meta(ge=0, le=2**53)] = 0
    last_event: ShortText = ""


class Fixes(Up, frozen=True, tag="fixes"):
    """1..500 readings, one per second or saved up offline."""

    seq: Seq
    fixes: Annotated[list[WireFix], Meta(min_length=1, max_length=FIXES_PER_FRAME_MAX)]


class OfferReply(Up, frozen=True, tag="offer_reply"):
    """The driver's answer to an offer."""

    seq: Seq
    id: ShortText
    t: Millis
    offer_id: ShortText
    reply: Literal["accept", "decline"]
    reason: ShortText = ""


class StatusAction(Up, frozen=True, tag="status"):
    """The driver moved a delivery on, as with `PATCH /driver/deliveries/{id}/status`; `code` is its PIN or barcode."""

    seq: Seq
    id: ShortText
    t: Millis
    delivery_id: ShortText
    status: ShortText
    reason: ShortText = ""
    code: ShortText = ""


class ProofRef(Up, frozen=True, tag="proof_ref"):
    """A proof uploaded over HTTP belongs to this delivery."""

    seq: Seq
    id: ShortText
    t: Millis
    delivery_id: ShortText
    proof_id: ShortText


class AvailabilityAction(Up, frozen=True, tag="availability"):
    """The driver goes on line, on a break or off line."""

    seq: Seq
    id: ShortText
    t: Millis
    state: Literal["available", "on_break", "offline"]


class MoveDecline(Up, frozen=True, tag="move_decline"):
    """The driver would rather stay: he is told of no other place in this shift."""

    seq: Seq
    id: ShortText
    t: Millis
    move_id: ShortText


class MessageAction(Up, frozen=True, tag="message"):
    """The driver wrote to the desk, or to the customer, about a delivery he has."""

    seq: Seq
    id: ShortText
    t: Millis
    delivery_id: ShortText
    text: Annotated[str, Meta(max_length=4_000)]
    channel: Literal["desk", "customer"] = "desk"


class Pong(Up, frozen=True, tag="pong"):
    """Answer to `ping`."""

    t: Millis = 0


DriverAction = OfferReply | StatusAction | ProofRef | AvailabilityAction | MoveDecline | MessageAction
DriverUp = Hello | Fixes | DriverAction | Pong

# --- driver socket, down -----------------------------------------------------------------------------------------


class Welcome(Down, frozen=True, tag="welcome"):
    """The session is open. Send again everything above `resume_seq`; it is the highest durable `seq`."""

    session: str
    server_clock_ms: int
    resume_seq: int
    limits: dict[str, int]
    state: dict[str, Any]


class Ack(Down, frozen=True, tag="ack"):
    """All frames up to `seq` are durable: safe to delete on the phone. `rejected` counts bad fixes by reason."""

    seq: int
    rejected: dict[str, int] = {}


class Nack(Down, frozen=True, tag="nack"):
    """Frame `seq` was refused (0: it could not be read). `retry` tells whether sending it again can help."""

    seq: int
    code: str
    retry: bool
    detail: str = ""


class Offer(Down, frozen=True, tag="offer"):
    """A timed proposal: answer with `offer_reply` before `expires_at`."""

    offer: dict[str, Any]


class OfferGone(Down, frozen=True, tag="offer_gone"):
    """The offer is closed: `expired`, `revoked`, `declined` or `accepted` (also on another device)."""

    offer_id: str
    reason: str


class Move(Down, frozen=True, tag="move"):
    """Where an idle driver had better wait, because orders come from there; None: nowhere in particular."""

    move: dict[str, Any] | None


class Route(Down, frozen=True, tag="route"):
    """The driver's whole route, replaced as one: an ordered list of stops. A higher `version` wins."""

    version: int
    stops: list[dict[str, Any]]


class Shift(Down, frozen=True, tag="shift"):
    """Whether the driver is at work, whoever changed it. `silent_since` (RFC 3339): he was taken off for silence."""

    state: Literal["offline", "available", "busy", "on_break"]
    silent_since: str | None


class DriverMessage(Down, frozen=True, tag="message"):
    """Somebody wrote to the driver: the desk, or the customer. `at` is RFC 3339."""

    id: str
    delivery_id: str
    channel: Literal["desk", "customer"]
    sender: Literal["driver", "desk", "customer"]
    name: str
    text: str
    at: str


class Config(Down, frozen=True, tag="config"):
    """How often to sample, in milliseconds, by nearness to the next stop."""

    period_ms: dict[str, int]


class Ping(Down, frozen=True, tag="ping"):
    """Are you there? Answer `pong`."""

    t: int


# --- viewer socket -----------------------------------------------------------------------------------------------


class Since(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a viewer had come before it lost the socket."""

    epoch: ShortText
    offset: Annotated[int, Meta(ge=0, le=2**53)]


class Watch(Up, frozen=True, tag="watch"):
    """First frame of a viewer. A tracking token opens one delivery; a session token or API key opens its board."""

    token: Token
    since: Since | None = None


class Look(Up, frozen=True, tag="look"):
    """What a board's screen shows: `box` is south, west, north, east; movements under `step_m` metres don't matter."""

    box: tuple[
        Annotated[float, Meta(ge=-90, le=90)],
        Annotated[float, Meta(ge=-180, le=180)],
        Annotated[float, Meta(ge=-90, le=90)],
        Annotated[float, Meta(ge=-180, le=180)],
    ]
    step_m: Annotated[float, Meta(ge=0, le=1e6)] = 0.0


ViewerUp = Watch | Look


class Snapshot(Down, frozen=True, tag="snapshot"):
    """The whole object as of `offset`. `object.kind` is `board` or `tracking`."""

    epoch: str
    offset: int
    object: dict[str, Any]


class Delta(Down, frozen=True, tag="delta"):
    """Facts in order: each change replaces one object by its id. Never dropped."""

    offset: int
    changes: list[dict[str, Any]]


class Resumed(Down, frozen=True, tag="resumed"):
    """The viewer's `since` was still in the history: the missing deltas follow, no snapshot is needed."""

    epoch: str
    offset: int


class Positions(Down, frozen=True, tag="positions"):
    """The newest position of each driver that moved: `[driver_id, lat, lng, heading, speed_mps, t_ms]`. Latest wins."""

    positions: list[tuple[str, float, float, float | None, float | None, int]]


class Closed(Down, frozen=True, tag="closed"):
    """Last event of a stream of Server-Sent Events, which has no close code of its own."""

    code: int


class Numbers(Down, frozen=True, tag="numbers"):
    """A board's numbers, every few seconds. Latest wins: they replace `object.numbers` and are not numbered."""

    numbers: dict[str, Any]


DriverDown = Welcome | Ack | Nack | Offer | OfferGone | Move | Route | Shift | DriverMessage | Config | Ping
ViewerDown = Snapshot | Delta | Resumed | Positions | Numbers | Nack | Closed

# --- close codes -------------------------------------------------------------------------------------------------
# 4000-4099: reconnect with back-off. 4100-4199: get a new token first. 4200-4299: stop, do not reconnect.

CLOSE_GOING_AWAY: Final = 4000
CLOSE_TOO_SLOW: Final = 4001
CLOSE_IDLE: Final = 4002
CLOSE_BAD_TOKEN: Final = 4100
CLOSE_EXPIRED: Final = 4101
CLOSE_TAKEN_OVER: Final = 4200
CLOSE_BAD_FRAME: Final = 4201
CLOSE_FORBIDDEN: Final = 4202
CLOSE_FINISHED: Final = 4203

CLOSE_CODES: Final = {
    CLOSE_GOING_AWAY: "The server is stopping, or lost touch with its store.",
    CLOSE_TOO_SLOW: "What waits for this viewer grew past the bound.",
    CLOSE_IDLE: "Nothing was said for too long.",
    CLOSE_BAD_TOKEN: "The token is not known.",
    CLOSE_EXPIRED: "The token has expired, or was revoked.",
    CLOSE_TAKEN_OVER: "The same device opened another socket.",
    CLOSE_BAD_FRAME: "A frame could not be read; a `nack` before it says why.",
    CLOSE_FORBIDDEN: "This token may not do this.",
    CLOSE_FINISHED: "There is nothing behind this link any more.",
}
"""What each code means; its range says what to do."""


class Codec:
    """Encode and decode one direction of one socket in one encoding.

    Raises `msgspec.DecodeError` (garbage) or its subclass `msgspec.ValidationError` (well formed, wrong content).
    """

    __slots__ = ("binary", "decode", "encode", "subprotocol")

    def __init__(self, subprotocol: str, incoming: Any) -> None:
        self.subprotocol = subprotocol
        self.binary = subprotocol == MSGPACK_SUBPROTOCOL
        if self.binary:
            self.decode = msgspec.msgpack.Decoder(incoming).decode
            self.encode = msgspec.msgpack.Encoder().encode
        else:
            self.decode = msgspec.json.Decoder(incoming).decode
            self.encode = msgspec.json.Encoder().encode


DRIVER_CODECS: Final = {name: Codec(name, DriverUp) for name in SUBPROTOCOLS}
VIEWER_CODECS: Final = {name: Codec(name, ViewerUp) for name in SUBPROTOCOLS}
