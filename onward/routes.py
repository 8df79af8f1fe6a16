"""Every route of the API, on one page, by room: each row names its permission and its rate class."""

from __future__ import annotations

from dispatch import (
    board_api,
    deliveries_api,
    dispatcher_api,
    driver_api,
    erasure_api,
    eta_report,
    fairness_api,
    fits,
    messages_api,
    policy_api,
    route_api,
    routing_api,
    suggestions_api,
    trips_api,
    whatif_api,
    zones_api,
)
from finance import api as finance
from kernel.http import Route
from storefront_api.catalog import api as catalog
from storefront_api.checkout import api as checkout
from storefront_api.orders import api as orders
from storefront_api.storefronts import api as storefronts
from tenancy import api as tenancy
from tenancy import stores_api
from tracking import api as tracking
from tracking import devices_api, filters_api, retention_api

ROUTES: tuple[Route, ...] = (
    *tenancy.ROUTES,
    *stores_api.ROUTES,
    *storefronts.ROUTES,
    *catalog.ROUTES,
    *checkout.ROUTES,
    *orders.ROUTES,
    *deliveries_api.ROUTES,
    *messages_api.ROUTES,
    *board_api.ROUTES,
    *dispatcher_api.ROUTES,
    *fits.ROUTES,
    *policy_api.ROUTES,
    *suggestions_api.ROUTES,
    *route_api.ROUTES,
    *routing_api.ROUTES,
    *fairness_api.ROUTES,
    *eta_report.ROUTES,
    *zones_api.ROUTES,
    *whatif_api.ROUTES,
    *trips_api.ROUTES,
    *driver_api.ROUTES,
    *erasure_api.ROUTES,
    *tracking.ROUTES,
    *devices_api.ROUTES,
    *retention_api.ROUTES,
    *filters_api.ROUTES,
    *finance.ROUTES,
)
