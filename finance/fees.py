"""What a delivery costs the customer and pays the driver: a base and a rate per kilometre, in whole minor units."""

from __future__ import annotations

import msgspec

from kernel.db import Record


class Pricing(msgspec.Struct, frozen=True):
    """A business' terms."""

    delivery_base_fee_minor: int
    delivery_fee_per_km_minor: int
    driver_base_pay_minor: int
    driver_pay_per_km_minor: int
    currency: str


def pricing_of(business: Record) -> Pricing:
    """Return the terms in a row of `businesses`."""
    return Pricing(**{field: business[field] for field in Pricing.__struct_fields__})


def delivery_fee_minor(pricing: Pricing, distance_m: int) -> int:
    """Return the customer's fee for a distance in metres."""
    return pricing.delivery_base_fee_minor + _per_km(pricing.delivery_fee_per_km_minor, distance_m)


def driver_pay_minor(pricing: Pricing, distance_m: int) -> int:
    """Return the driver's base pay for a distance in metres."""
    return pricing.driver_base_pay_minor + _per_km(pricing.driver_pay_per_km_minor, distance_m)


def _per_km(rate_minor: int, distance_m: int) -> int:
    """Round half up, in integers."""
    return (rate_minor * distance_m + 500) // 1000
