"""Every route of the API, on one page: method, path, handler, permission, rate class. No permission, no route."""

from __future__ import annotations

from kernel.http import Route
from tenancy import api as tenancy

ROUTES: tuple[Route, ...] = (*tenancy.ROUTES,)
