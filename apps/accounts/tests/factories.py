"""Sites, people and groups for tests."""

from itertools import count
from typing import Any

from django.http import HttpRequest

from apps.accounts.models import ReadingGroup, Site, User
from apps.accounts.permissions import Role

PASSWORD = "correct horse battery"
_numbers = count(1)


def make_site(name: str = "") -> Site:
    """A hospital of this name; without one, a new hospital."""
    return Site.objects.get_or_create(name=name or f"Hospital {next(_numbers)}")[0]


def make_user(role: str = Role.DOCTOR, *, site: Site | None = None, **fields: Any) -> User:
    """Somebody who can log in with PASSWORD; without a site, at "Main site"."""
    number = next(_numbers)
    fields = {
        "email": f"{role}{number}@hospital.example",
        "password": PASSWORD,
        "first_name": "Kim",
        "last_name": f"{Role(role).label.title()}-{number}",
        **fields,
    }
    return User.objects.create_user(role=role, site=site or make_site("Main site"), **fields)


def make_group(*members: User, site: Site | None = None, name: str = "") -> ReadingGroup:
    """A reading group of these doctors, at the first one's site unless told."""
    at = site or (members[0].site if members else make_site("Main site"))
    group = ReadingGroup.objects.create(name=name or f"Readers {next(_numbers)}", site=at)
    group.members.set(members)
    return group


def request_of(user: User) -> HttpRequest:
    """A request as services take it, by this user, from nowhere in particular."""
    request = HttpRequest()
    request.user = user
    request.META["REMOTE_ADDR"] = "192.0.2.7"
    return request
