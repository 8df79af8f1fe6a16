"""Questions at the terminal: what was not given is asked, and what is wrong is told and asked again."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
import typer

from geo.point import Point
from geo.travel import Vehicle
from kernel.errors import Problem
from onward.accounts import SUBDOMAIN, Login, NewBusiness, NewStore, new_password, subdomain_of
from tenancy.service import check_password, clean_email

NAME_LENGTH_MAX: Final = 120
CURRENCY: Final = re.compile(r"^[A-Z]{3}$")

T = TypeVar("T")


def ask(given: str | None, option: str, question: str, check: Callable[[str], T], default: str | None = None) -> T:
    """Return what was given, or else answered, as `check` makes it; `check` raises `typer.BadParameter`."""
    if given is None:
        answer: T = typer.prompt(question, default=default, value_proc=check, err=True)
        return answer
    try:
        return check(given)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint=option) from None


def a_name(text: str) -> str:
    """Return a name."""
    name = text.strip()
    if not name.isprintable() or not 1 <= len(name) <= NAME_LENGTH_MAX:
        raise typer.BadParameter(f"Use 1 to {NAME_LENGTH_MAX} characters.")
    return name


def an_email(text: str) -> str:
    """Return an e-mail address."""
    try:
        return clean_email(text)
    except Problem as problem:
        raise typer.BadParameter(problem.errors[0].message) from None


def a_password(text: str) -> str:
    """Return a password that is long enough."""
    try:
        return check_password(text)
    except Problem as problem:
        raise typer.BadParameter(problem.errors[0].message) from None


def a_currency(text: str) -> str:
    """Return a currency's code."""
    if not CURRENCY.match(text.upper()):
        raise typer.BadParameter("Use the three letters of the currency: EUR.")
    return text.upper()


def a_time_zone(text: str) -> str:
    """Return the name of a time zone."""
    try:
        return zoneinfo.ZoneInfo(text).key
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise typer.BadParameter("Use a name like Europe/Helsinki.") from None


def a_subdomain(text: str) -> str:
    """Return the name of a shop in links."""
    if not SUBDOMAIN.match(text):
        raise typer.BadParameter("Use small letters a to z, digits and hyphens.")
    return text


def a_place(text: str) -> Point:
    """Return the place that `60.1699, 24.9384` means."""
    try:
        lat, lng = map(float, text.split(","))
        return msgspec.convert({"lat": lat, "lng": lng}, Point)
    except (ValueError, msgspec.ValidationError):
        raise typer.BadParameter("Use latitude and longitude in degrees: 60.1699,24.9384.") from None


def a_vehicle(text: str) -> Vehicle:
    """Return a vehicle."""
    try:
        return Vehicle(text.lower())
    except ValueError:
        raise typer.BadParameter(f"One of {', '.join(Vehicle)}.") from None


def a_login(email: str | None, option: str, question: str, password: str | None, password_option: str) -> Login:
    """Return an e-mail address, asked for, and a password, made when none was given."""
    known = ask(email, option, question, an_email)
    return Login(known, new_password() if password is None else ask(password, password_option, "", a_password))


def a_store(name: str | None, option: str, address: str | None, at: str | None) -> NewStore:
    """Return a store."""
    return NewStore(
        ask(name, option, "The store's name", a_name),
        ask(address, "--address", "The store's address", a_name),
        ask(at, "--at", "Where that is (latitude,longitude)", a_place),
    )


def a_business(
    name: str,
    *,
    subdomain: str | None,
    store: str | None,
    address: str | None,
    at: str | None,
    owner_email: str | None,
    owner_password: str | None,
) -> NewBusiness:
    """Return a business with its store and owner."""
    return NewBusiness(
        name,
        ask(subdomain, "--subdomain", "Its name in links", a_subdomain, subdomain_of(name) or None),
        a_store(store, "--store", address, at),
        a_login(owner_email, "--owner-email", "The owner's e-mail address", owner_password, "--owner-password"),
    )
