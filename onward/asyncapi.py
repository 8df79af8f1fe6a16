"""The AsyncAPI 3.0 document of both sockets, made from the message types: nothing in it is written twice.

Both subprotocols carry the same messages; the document and its examples show the JSON one.
"""

from __future__ import annotations

import inspect
from typing import Any, Final, get_args

import msgspec

from tracking import wire
from tracking.wire import Down, Up

MESSAGE_REF: Final = "#/components/messages/{name}"
SCHEMA_REF: Final = "#/components/schemas/{name}"
RANGES: Final = {
    4000: "Connect again with back-off and jitter.",
    4100: "Get a new token first.",
    4200: "Stop: do not connect again.",
}

_FIX: Final = wire.WireFix(1767225600000, 60.1699, 24.9384, acc=5.0, spd=4.2, hdg=90.0, bat=0.81)
_AT: Final = "2026-01-01T00:00:00Z"
_DELIVERY: Final = "del_0198c0f2a1b27c3d8e4f5a6b7c8d9e0f"
_DRIVER: Final = "drv_0198c0f2a1b27c3d8e4f5a6b7c8d9e10"
_OFFER: Final = "off_0198c0f2a1b27c3d8e4f5a6b7c8d9e11"

EXAMPLES: Final[tuple[Up | Down, ...]] = (
    wire.Hello("ses_0123456789abcdef", "a1b2", app="my-app/3", clock_ms=1767225600000, last_acked_seq=41),
    wire.Fixes(42, [_FIX]),
    wire.OfferReply(43, "9f1c", 1767225601000, _OFFER, "accept"),
    wire.StatusAction(44, "9f1d", 1767225602000, _DELIVERY, "picked_up"),
    wire.ProofRef(45, "9f1e", 1767225603000, _DELIVERY, "prf_0198c0f2a1b27c3d8e4f5a6b7c8d9e12"),
    wire.AvailabilityAction(46, "9f1f", 1767225604000, "on_break"),
    wire.MoveDecline(50, "9f22", 1767225605500, "mov_0198c0f2a1b27c3d8e4f5a6b7c8d9e13"),
    wire.MessageAction(47, "9f20", 1767225605000, _DELIVERY, "I am at the door", "customer"),
    wire.Pong(1767225606000),
    wire.Welcome(
        "c0ffee",
        1767225600012,
        41,
        {"frame_bytes_max": wire.FRAME_BYTES_MAX, "fixes_per_frame_max": wire.FIXES_PER_FRAME_MAX},
        {
            "driver": {"id": _DRIVER, "name": "Pia", "vehicle": "bicycle", "state": "available"},
            "offers": [],
            "route": {"version": 3, "stops": []},
            "notices": [],
            "messages": [],
        },
    ),
    wire.Ack(42, {"zero": 1}),
    wire.Nack(43, "offer_gone", False, "The offer is no longer open"),
    wire.Offer({"id": _OFFER, "expires_at": _AT, "pay_minor": 450, "currency": "EUR", "distance_m": 2100}),
    wire.Move({"id": "mov_0198c0f2a1b27c3d8e4f5a6b7c8d9e13", "name": "Rosso", "lat": 60.1699, "lng": 24.9384}),
    wire.OfferGone(_OFFER, "expired"),
    wire.Route(4, [{"delivery_id": _DELIVERY, "kind": "pickup", "lat": 60.169, "lng": 24.94}]),
    wire.Shift("offline", _AT),
    wire.DriverMessage(
        "msg_0198c0f2a1b27c3d8e4f5a6b7c8d9e13", _DELIVERY, "desk", "desk", "Rosso", "The door code is 7", _AT
    ),
    wire.Config({"idle": 10_000, "far": 4_000, "near": 1_000}),
    wire.Ping(1767225660000),
    wire.Watch("trk_0123456789abcdef", wire.Since("5f0c", 17)),
    wire.Look((60.15, 24.9, 60.2, 25.0), step_m=40.0),
    wire.Snapshot("5f0c", 17, {"kind": "tracking", "id": _DELIVERY, "status": "picked_up"}),
    wire.Resumed("5f0c", 17),
    wire.Delta(18, [{"kind": "delivery", "id": _DELIVERY, "version": 6, "status": "delivered"}]),
    wire.Positions([(_DRIVER, 60.1699, 24.9384, 90.0, 4.2, 1767225600000)]),
    wire.Numbers({"open": 3}),
    wire.Closed(wire.CLOSE_GOING_AWAY),
)


def document(*, version: str) -> dict[str, Any]:
    """Return the document: two channels, every message with its direction, schema and example, and the close codes."""
    kinds = list(dict.fromkeys(kind for union in _DIRECTIONS.values() for kind in _members(union)))
    _, schemas = msgspec.json.schema_components(kinds, ref_template=SCHEMA_REF)
    examples = {type(example): msgspec.to_builtins(example) for example in EXAMPLES}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "onward",
            "version": version,
            "description": "The sockets of drivers and viewers. Subprotocol onward.v1.json has text frames, "
            "onward.v1.msgpack the same messages as MessagePack.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "driver": _channel("/ws/driver", "A driver's phone.", wire.DriverUp, wire.DriverDown),
            "live": _channel("/ws/live", "A board, or a customer's tracking page.", wire.ViewerUp, wire.ViewerDown),
        },
        "operations": {
            f"{channel}.{action}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in _members(union)],
            }
            for (channel, action), union in _DIRECTIONS.items()
        },
        "components": {
            "messages": {kind.__name__: _message(kind, examples[kind]) for kind in kinds},
            "schemas": schemas,
        },
    }


_DIRECTIONS: Final[dict[tuple[str, str], Any]] = {
    ("driver", "receive"): wire.DriverUp,
    ("driver", "send"): wire.DriverDown,
    ("live", "receive"): wire.ViewerUp,
    ("live", "send"): wire.ViewerDown,
}
"""What the server receives and sends on each channel."""


def _channel(address: str, summary: str, up: Any, down: Any) -> dict[str, Any]:
    headers = {"Sec-WebSocket-Protocol": {"type": "string", "enum": list(wire.SUBPROTOCOLS)}}
    return {
        "address": address,
        "summary": summary,
        "messages": {
            kind.__name__: {"$ref": MESSAGE_REF.format(name=kind.__name__)} for kind in _members(up) + _members(down)
        },
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {"type": "object", "properties": headers},
                "bindingVersion": "0.1.0",
            }
        },
        "x-frame-bytes-max": wire.FRAME_BYTES_MAX,
        "x-close-codes": [
            {"code": code, "meaning": meaning, "then": RANGES[code // 100 * 100]}
            for code, meaning in wire.CLOSE_CODES.items()
        ],
    }


def _message(kind: type[Any], example: Any) -> dict[str, Any]:
    return {
        "name": kind.__struct_config__.tag,
        "title": kind.__name__,
        "summary": (inspect.getdoc(kind) or "").replace("\n", " "),
        "payload": {"$ref": SCHEMA_REF.format(name=kind.__name__)},
        "examples": [{"payload": example}],
    }


def _members(union: Any) -> tuple[type[Any], ...]:
    return get_args(union) or (union,)
