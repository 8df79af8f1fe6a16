"""Every error a client can meet, on one page: a stable code, its HTTP status and a title (RFC 9457 problems)."""

from __future__ import annotations

from typing import Final

import msgspec

CODES: Final[dict[str, tuple[int, str]]] = {
    "malformed_body": (400, "The body could not be read"),
    "malformed_query": (400, "The query could not be read"),
    "unauthenticated": (401, "Sign in first"),
    "token_expired": (401, "The token has expired"),
    "bad_credentials": (401, "Wrong e-mail or password"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "Not found"),
    "no_day": (404, "There is no such day to replay"),
    "method_not_allowed": (405, "Method not allowed"),
    "conflict": (409, "Conflict"),
    "illegal_transition": (409, "Not possible in this state"),
    "offer_gone": (409, "The offer is no longer open"),
    "idempotency_in_flight": (409, "The first request with this Idempotency-Key is still being worked on"),
    "quote_expired": (409, "The quote has expired"),
    "out_of_stock": (409, "Not available in this quantity"),
    "store_closed": (409, "The store is closed"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "validation_failed": (422, "Some fields are not right"),
    "idempotency_mismatch": (422, "This Idempotency-Key was used with another body"),
    "day_too_big": (422, "This day is too big to be replayed here"),
    "wrong_code": (422, "This is not the right code"),
    "undeliverable": (422, "This delivery can't be made"),
    "bad_image": (422, "This is not a picture we can read"),
    "rate_limited": (429, "Too many requests"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "A part of the service is away; try again shortly"),
}


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field: `field` is its path (`dropoff.lat`)."""

    field: str
    message: str


class Problem(Exception):
    """A coded error on its way to the client; `code` is one of `CODES`."""

    def __init__(
        self, code: str, detail: str = "", *, errors: tuple[FieldError, ...] = (), retry_after_s: int | None = None
    ) -> None:
        self.code = code
        self.status, self.title = CODES[code]
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s
        super().__init__(f"{code}: {detail or self.title}")


def invalid(field: str, message: str) -> Problem:
    """Return a `validation_failed` problem about one field."""
    return Problem("validation_failed", f"{field}: {message}", errors=(FieldError(field, message),))
