"""PostgreSQL and Valkey for a command: the operator's own, or the embedded ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from onward.config import Settings
from onward.embedded import embedded, others


@contextlib.contextmanager
def with_servers(settings: Settings, *, join: bool = False) -> Iterator[Settings]:
    """Yield settings whose database and Redis URLs are filled: yours, or the embedded servers' while the block runs.

    With `join`, the embedded servers of an onward that runs on the same directory will do.
    """
    if settings.database_url and settings.redis_url:
        yield settings
        return
    theirs = others(settings.data_dir) if join else None
    own = contextlib.nullcontext(theirs) if theirs else embedded(settings.data_dir, fsync=settings.valkey_fsync)
    with own as servers:
        yield settings.model_copy(
            update={
                "database_url": settings.database_url or servers.database_url,
                "redis_url": settings.redis_url or servers.redis_url,
            }
        )
