"""Structured logs: an event name and fields, never a sentence with values inside, never a secret."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

SECRET_FIELDS = frozenset({"token", "password", "authorization", "secret", "api_key", "cookie"})


def _hide_secrets(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for field in SECRET_FIELDS & event.keys():
        event[field] = "[hidden]"
    return event


def configure(*, level: str = "info", json: bool = False) -> None:
    """Set up logging for the process: coloured lines for people, JSON lines for machines, both on stderr."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    if json:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        )
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, force=True)


def get_logger(name: str) -> Any:
    """Return a logger whose lines carry the module's name."""
    return structlog.get_logger(module=name)
