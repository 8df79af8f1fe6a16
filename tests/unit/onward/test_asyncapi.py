"""The AsyncAPI document: all of the vocabulary, and nothing that the codecs would not take."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from onward.asyncapi import EXAMPLES, document
from tracking import wire
from tracking.wire import DRIVER_CODECS, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL, VIEWER_CODECS, Down, Up

DOCUMENT = document(version="1.2.3")


def vocabulary() -> set[type[Any]]:
    return set(Up.__subclasses__()) | set(Down.__subclasses__())


def resolve(reference: str) -> Any:
    """Return what a reference points to, as a reader would."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for value in part.values() for ref in references(value)]
    return [ref for item in part for ref in references(item)] if isinstance(part, list) else []


def test_every_message_of_the_vocabulary_is_in_the_document_with_an_example() -> None:
    """A new message can't be forgotten."""
    assert set(DOCUMENT["components"]["messages"]) == {kind.__name__ for kind in vocabulary()}
    assert {type(example) for example in EXAMPLES} == vocabulary()


def test_every_message_has_a_direction_on_a_channel() -> None:
    """What the server receives and what it sends is what its codecs and unions say."""
    said = {
        name: {resolve(ref["$ref"])["$ref"].rsplit("/", 1)[1] for ref in operation["messages"]}
        for name, operation in DOCUMENT["operations"].items()
    }
    assert said == {
        "driver.receive": {kind.__name__ for kind in get_args(wire.DriverUp)},
        "driver.send": {kind.__name__ for kind in get_args(wire.DriverDown)},
        "live.receive": {"Watch", "Look"},
        "live.send": {kind.__name__ for kind in get_args(wire.ViewerDown)},
    }
    assert set().union(*said.values()) == {kind.__name__ for kind in vocabulary()}


def test_every_reference_leads_somewhere() -> None:
    """To what it names."""
    found = references(DOCUMENT)
    assert len(found) > 50
    for reference in found:
        assert isinstance(resolve(reference), dict), reference


def test_the_close_codes_and_subprotocols_are_there() -> None:
    """Each code with its meaning and what to do."""
    codes = {value for name, value in vars(wire).items() if name.startswith("CLOSE_") and isinstance(value, int)}
    for channel in DOCUMENT["channels"].values():
        assert {code["code"] for code in channel["x-close-codes"]} == codes
        protocols = channel["bindings"]["ws"]["headers"]["properties"]["Sec-WebSocket-Protocol"]["enum"]
        assert set(protocols) == {JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_every_example_is_what_the_codecs_take_and_give(example: Any) -> None:
    """In both encodings, and with a name for every field it has."""
    shown = DOCUMENT["components"]["messages"][type(example).__name__]["examples"][0]["payload"]
    schema = DOCUMENT["components"]["schemas"][type(example).__name__]
    assert set(shown) <= set(schema["properties"])
    assert set(schema["required"]) <= set(shown)
    if isinstance(example, Down):
        assert msgspec.convert(shown, type=type(example)) == example
        return
    codecs = VIEWER_CODECS if isinstance(example, wire.Watch | wire.Look) else DRIVER_CODECS
    assert codecs[JSON_SUBPROTOCOL].decode(msgspec.json.encode(shown)) == example
    assert codecs[MSGPACK_SUBPROTOCOL].decode(msgspec.msgpack.encode(shown)) == example
