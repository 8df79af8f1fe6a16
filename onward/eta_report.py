"""`onward eta-report`: how good the arrival times were, by minutes to go and by who said so."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console
from rich.table import Table

from dispatch.accuracy import Accuracy, Report
from dispatch.eta_report import read
from kernel.clock import SystemClock
from kernel.db import Database, Reason
from onward.config import Settings
from onward.errors import Refused

console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)


def run_report(settings: Settings, days: int, operator: str | None) -> Report:
    """Return the report; raises `Refused` when there is no such operator, or none, or several and none is named."""
    return asyncio.run(_read(settings, days, operator))


async def _read(settings: Settings, days: int, operator: str | None) -> Report:
    db = await Database.connect(settings.database_url, size_max=2)
    try:
        async with db.platform_tx(Reason.ADMIN, readonly=True) as con:
            rows = await con.fetch("SELECT id, name FROM operators WHERE $1::text IS NULL OR name = $1", operator)
            if not rows:
                raise Refused(
                    "There is no operator here yet: run `onward init`, or `onward demo`."
                    if operator is None
                    else f"There is no operator {operator}."
                )
            if len(rows) > 1:
                raise Refused("There are several operators here: choose one with --operator NAME.")
            return await read(con, rows[0]["id"], None, days, SystemClock().now())
    finally:
        await db.close()


def tell(found: Report) -> None:
    """Show it to a person."""
    if found.total is None:
        waiting = f"{found.open} estimates wait for their delivery to end; its arrival is noted some minutes later."
        console.print(
            f"No arrival was estimated and then seen in the last {found.days} days. "
            + (waiting if found.open else "Deliveries are estimated while a driver has them and the server runs.")
        )
        return
    table = Table("", "estimates", "error, min", "bias, min", "error, %", "±3 min", "±5 min", "P90 kept", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("[bold]all[/]", *_cells(found.total))
    for title, groups in (("minutes to go", found.by_horizon), ("source", found.by_source)):
        table.add_row()
        table.add_row(title, style="dim")
        for name, figures in groups.items():
            table.add_row(name, *_cells(figures))
    console.print(table)
    console.print(
        "Bias below 0: people were told too early a time. P90 kept: come by the later end of the range; 90 % is meant."
    )
    if found.open:
        console.print(f"{found.open} more wait for their arrival.")


def _cells(figures: Accuracy) -> tuple[str, ...]:
    shares = (figures.mape, figures.within_3_min, figures.within_5_min, figures.p90_cover)
    percent = [f"{100 * share:.0f} %" for share in shares]
    return (str(figures.n), f"{figures.mae_s / 60:.1f}", f"{figures.bias_s / 60:+.1f}", *percent)
