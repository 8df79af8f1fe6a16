"""Whatever bytes come: a message, or a documented refusal."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import msgspec
import pytest
from aiohttp import WSMessage, WSMsgType
from hypothesis import given
from hypothesis import strategies as st

from onward.asyncapi import EXAMPLES
from tracking.incoming import BadFrame, decode_frame
from tracking.wire import DRIVER_CODECS, JSON_SUBPROTOCOL, SUBPROTOCOLS, VIEWER_CODECS, Codec, Up

CODES = {"malformed_frame", "invalid_message", "wrong_frame_type"}
CODECS = [*DRIVER_CODECS.values(), *VIEWER_CODECS.values()]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
UP = [msgspec.to_builtins(example) for example in EXAMPLES if isinstance(example, Up)]


def read(codec: Codec, data: bytes) -> Any:
    """Return the message, or the code of the refusal; anything else that is raised fails the test."""
    kind = WSMsgType.BINARY if codec.binary else WSMsgType.TEXT
    try:
        return decode_frame(WSMessage(kind, data, None), codec)
    except BadFrame as error:
        return error.code if error.detail else "no words"


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)
@given(data=st.binary(max_size=300))
def test_random_bytes_are_refused_with_a_code(codec: Codec, data: bytes) -> None:
    """Never an exception that nobody documented, never a message by chance."""
    assert read(codec, data) in CODES


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)
@given(base=st.sampled_from(UP), field=st.text(max_size=10), value=ANYTHING, drop=st.integers(0, 20))
def test_a_message_with_anything_in_any_field_is_read_or_refused(
    codec: Codec, base: dict[str, Any], field: str, value: Any, drop: int
) -> None:
    """Fields added, replaced and missing, of any type and size."""
    names = list(base)
    mutated = {name: item for number, (name, item) in enumerate(base.items()) if number != drop}
    mutated[names[drop % len(names)] if drop % 3 else field] = value
    try:
        data = json.dumps(mutated).encode() if codec.subprotocol == JSON_SUBPROTOCOL else msgpack.packb(mutated)
    except UnicodeEncodeError:  # half a surrogate pair can't even be sent
        return
    found = read(codec, data)
    assert isinstance(found, Up) or found in CODES


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)
@pytest.mark.parametrize("open_", [b"[", b'{"a":', b"\x91", b"\x81\xa1a"])
def test_depth_without_end_is_refused(codec: Codec, open_: bytes) -> None:
    """A hundred thousand brackets cost their sender the socket, and the server nothing."""
    assert read(codec, open_ * 50_000) in CODES


@given(base=st.sampled_from(UP), subprotocol=st.sampled_from(SUBPROTOCOLS), cut=st.integers(0, 400))
def test_half_a_message_is_no_message(base: dict[str, Any], subprotocol: str, cut: int) -> None:
    """A frame that ends too early is refused whole."""
    codec = (VIEWER_CODECS if base["type"] in ("watch", "look") else DRIVER_CODECS)[subprotocol]
    data = json.dumps(base).encode() if subprotocol == JSON_SUBPROTOCOL else msgpack.packb(base)
    assert isinstance(read(codec, data), Up)
    assert read(codec, data[: cut % len(data)]) in CODES
