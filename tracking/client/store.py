"""Where a driver's app keeps what was not acknowledged: in memory, in a SQLite file, or in a store of its own.

A store also knows the device: its id names this store to the server, and the last number given to a frame must never
be given again, not even after all frames are acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tracking.client.session import Message


@dataclass(frozen=True, slots=True)
class Saved:
    """What an earlier life left: the device, the highest number given to a frame, and the frames, oldest first."""

    device_id: str
    last_seq: int
    frames: tuple[Message, ...]


class Store(Protocol):
    """Keeps frames by `seq` until they are forgotten. Each call is durable when it returns."""

    def load(self) -> Saved:
        """Return what is kept; a new store makes a new device id."""

    def keep(self, frame: Message) -> None:
        """Keep a frame, or replace the one with its `seq`."""

    def forget(self, seqs: Iterable[int]) -> None:
        """Delete these frames."""


class MemoryStore:
    """Keeps nothing past the end of the process: for simulators, and for apps that may lose what is unsent."""

    def __init__(self, device_id: str | None = None) -> None:
        self._device_id = device_id or uuid.uuid4().hex

    def load(self) -> Saved:
        """Return a device with nothing kept."""
        return Saved(self._device_id, 0, ())

    def keep(self, frame: Message) -> None:
        """Do nothing: the session has the frame."""

    def forget(self, seqs: Iterable[int]) -> None:
        """Do nothing."""


class SqliteStore:
    """Keeps frames in a file: an app that is killed off line loses nothing. One process at a time."""

    def __init__(self, path: Path) -> None:
        self._con = sqlite3.connect(path, isolation_level=None)
        self._con.executescript(
            """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
               CREATE TABLE IF NOT EXISTS frames (seq INTEGER PRIMARY KEY, frame TEXT NOT NULL);
               CREATE TABLE IF NOT EXISTS device (id TEXT NOT NULL, last_seq INTEGER NOT NULL);"""
        )
        self._con.execute("INSERT INTO device SELECT ?, 0 WHERE NOT EXISTS (SELECT 1 FROM device)", (uuid.uuid4().hex,))

    def load(self) -> Saved:
        """Return the device and what is kept."""
        device_id, last_seq = self._con.execute("SELECT id, last_seq FROM device").fetchone()
        frames = self._con.execute("SELECT frame FROM frames ORDER BY seq").fetchall()
        return Saved(device_id, last_seq, tuple(json.loads(frame) for (frame,) in frames))

    def keep(self, frame: Message) -> None:
        """Keep a frame and its number."""
        with self._con:
            self._con.execute("BEGIN")
            self._con.execute("INSERT OR REPLACE INTO frames VALUES (?, ?)", (frame["seq"], json.dumps(frame)))
            self._con.execute("UPDATE device SET last_seq = max(last_seq, ?)", (frame["seq"],))

    def forget(self, seqs: Iterable[int]) -> None:
        """Delete these frames."""
        with self._con:
            self._con.execute("BEGIN")
            self._con.executemany("DELETE FROM frames WHERE seq = ?", [(seq,) for seq in seqs])

    def close(self) -> None:
        """Close the file."""
        self._con.close()
