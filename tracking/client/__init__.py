"""The reference client: a driver's and a viewer's side of the sockets, written without any of the server's code.

App authors read this to write theirs: `session` is each side as a state machine without I/O, `view` what a viewer makes
of frames, `store` keeps unsent frames, and `driver` and `viewer` put them on `websockets` and `msgpack`.
"""

from tracking.client.connection import Refused
from tracking.client.driver import DriverClient
from tracking.client.session import DriverSession, Full, Limits, Message, ViewerSession
from tracking.client.store import MemoryStore, Saved, SqliteStore, Store
from tracking.client.viewer import ViewerClient

__all__ = [
    "DriverClient",
    "DriverSession",
    "Full",
    "Limits",
    "MemoryStore",
    "Message",
    "Refused",
    "Saved",
    "SqliteStore",
    "Store",
    "ViewerClient",
    "ViewerSession",
]
