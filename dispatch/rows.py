"""What queries about deliveries have in common, in SQL: `d` is the delivery."""

from __future__ import annotations

from typing import Final

BOTH_ENDS: Final = """\
JOIN stops p ON p.business_id = d.business_id AND p.delivery_id = d.id AND p.kind = 'pickup'
JOIN stops q ON q.business_id = d.business_id AND q.delivery_id = d.id AND q.kind = 'dropoff'"""
"""Joins its pickup `p` and its drop-off `q`."""

AT_CLOSED_STORE: Final = """EXISTS (
  SELECT FROM stores s WHERE s.business_id = d.business_id AND s.id = d.store_id AND s.closed_since IS NOT NULL)"""
"""Whether its store is closed for now."""
