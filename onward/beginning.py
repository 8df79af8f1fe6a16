"""`onward init` and `onward add`: an operator and what belongs to it; passwords and keys are told once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onward.config import Settings
from onward.terminal import DataDir, console, log_as, settings_from

if TYPE_CHECKING:
    from onward.accounts import Login, Made, NewBusiness

adding = typer.Typer(no_args_is_help=True, help="Add a business, a store or a driver; asks for what is not given.")

Password = Annotated[str | None, typer.Option(help="A password; without it one is made and told.")]
Subdomain = Annotated[str | None, typer.Option(help="The business' name in links; by default made from its name.")]
StoreName = Annotated[str | None, typer.Option(help="The store's name.")]
Address = Annotated[str | None, typer.Option(help="The store's address.")]
At = Annotated[str | None, typer.Option(help="Where the store is: latitude,longitude.", metavar="LAT,LNG")]
OwnerEmail = Annotated[str | None, typer.Option(help="The owner's e-mail address.")]


def init(
    name: Annotated[str | None, typer.Option(help="What your delivery service is called.")] = None,
    currency: Annotated[str | None, typer.Option(help="Three letters: EUR.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Europe/Helsinki, for example.")] = None,
    email: Annotated[str | None, typer.Option(help="Your e-mail address: you are the admin.")] = None,
    password: Password = None,
    business: Annotated[str | None, typer.Option(help="The first business' name.")] = None,
    subdomain: Subdomain = None,
    store: StoreName = None,
    address: Address = None,
    at: At = None,
    owner_email: OwnerEmail = None,
    owner_password: Password = None,
    data_dir: DataDir = None,
) -> None:
    """Begin: your operator, its admin, and a first business with a store and an owner. Asks for what is not given."""
    from onward import accounts, asking

    with _servers_of(data_dir) as settings:
        asyncio.run(accounts.prepare_init(settings.database_url))
        operator = asking.ask(name, "--name", "Your delivery service's name", asking.a_name)
        money = asking.ask(currency, "--currency", "Currency", asking.a_currency, "EUR")
        zone = asking.ask(time_zone, "--time-zone", "Time zone", asking.a_time_zone, "UTC")
        admin = asking.a_login(email, "--email", "Your e-mail address", password, "--password")
        first = asking.a_business(
            asking.ask(business, "--business", "The first business' name", asking.a_name),
            subdomain=subdomain,
            store=store,
            address=address,
            at=at,
            owner_email=owner_email,
            owner_password=owner_password,
        )
        made = asyncio.run(
            accounts.init(
                settings.database_url, operator=operator, currency=money, time_zone=zone, admin=admin, business=first
            )
        )
    _tell_once(settings, _login("Admin", admin), *_business(settings, first, made))


@adding.command("business")
def add_business(
    name: Annotated[str | None, typer.Option(help="The business' name.")] = None,
    subdomain: Subdomain = None,
    store: StoreName = None,
    address: Address = None,
    at: At = None,
    owner_email: OwnerEmail = None,
    owner_password: Password = None,
    data_dir: DataDir = None,
) -> None:
    """Add a business with a store and an owner."""
    from onward import accounts, asking

    with begun(data_dir) as settings:
        new = asking.a_business(
            asking.ask(name, "--name", "The business' name", asking.a_name),
            subdomain=subdomain,
            store=store,
            address=address,
            at=at,
            owner_email=owner_email,
            owner_password=owner_password,
        )
        made = asyncio.run(accounts.add_business(settings.database_url, new))
    _tell_once(settings, *_business(settings, new, made))


@adding.command("store")
def add_store(
    business: Annotated[str | None, typer.Option(help="The business' name in links.")] = None,
    name: StoreName = None,
    address: Address = None,
    at: At = None,
    data_dir: DataDir = None,
) -> None:
    """Add a store to a business."""
    from onward import accounts, asking

    with begun(data_dir) as settings:
        subdomain = asking.ask(business, "--business", "The business' name in links", asking.a_subdomain)
        new = asking.a_store(name, "--name", address, at)
        print(f"Store  {asyncio.run(accounts.add_store(settings.database_url, subdomain, new))}")


@adding.command("driver")
def add_driver(
    name: Annotated[str | None, typer.Option(help="The driver's name.")] = None,
    email: Annotated[str | None, typer.Option(help="The driver's e-mail address.")] = None,
    password: Password = None,
    vehicle: Annotated[str | None, typer.Option(help="bicycle, scooter, car or foot.")] = None,
    business: Annotated[
        str | None, typer.Option(help="The business, by its name in links, that has the driver for itself.")
    ] = None,
    skill: Annotated[
        list[str] | None, typer.Option(help="What deliveries may need, as age_check; may be given several times.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a driver: to the shared pool, or with --business to one business."""
    from onward import accounts, asking
    from tenancy.skills import a_skill

    with begun(data_dir) as settings:
        called = asking.ask(name, "--name", "The driver's name", asking.a_name)
        login = asking.a_login(email, "--email", "The driver's e-mail address", password, "--password")
        can = [a_skill(text) for text in skill or []]
        moves = asking.ask(vehicle, "--vehicle", "Vehicle", asking.a_vehicle, "bicycle")
        asyncio.run(
            accounts.add_driver(
                settings.database_url, name=called, vehicle=moves, login=login, subdomain=business, skills=can
            )
        )
    _tell_once(settings, _login("Driver", login))


@contextlib.contextmanager
def begun(data_dir: Path | None) -> Iterator[Settings]:
    """Yield settings with the URLs of servers on which there is an operator."""
    from onward import accounts

    with _servers_of(data_dir) as settings:
        asyncio.run(accounts.prepare_add(settings.database_url))
        yield settings


@contextlib.contextmanager
def _servers_of(data_dir: Path | None) -> Iterator[Settings]:
    """Yield settings with the servers' URLs; those of an onward that runs will do."""
    from onward.servers import with_servers

    settings = settings_from(data_dir=data_dir)
    log_as(settings, quiet=True)
    with with_servers(settings, join=True) as filled:
        yield filled


def _login(whose: str, login: Login) -> tuple[str, str]:
    return whose, f"{login.email}  password {login.password}"


def _business(settings: Settings, new: NewBusiness, made: Made) -> tuple[tuple[str, str], ...]:
    return (
        _login("Owner", new.owner),
        ("Store", made.store_id),
        ("API key", made.api_key),
        ("Shop", f"{settings.base_url()}/shop/?s={new.subdomain}"),
    )


def _tell_once(settings: Settings, *lines: tuple[str, str]) -> None:
    """Print what was made on standard output."""
    for what, told in lines:
        print(f"{what:<8} {told}")
    console.print(f"Passwords and keys are told only now. Sign in at {settings.base_url()}/ while `onward serve` runs.")
