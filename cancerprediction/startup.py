"""What must be true before a server or worker starts where real patients are."""

import sys
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from apps.accounts.permissions import Role

_LOCAL = {"localhost", "127.0.0.1", "::1", "[::1]"}
_KEY_LENGTH = 50
# Gunicorn's own code for "do not try again", so that its master ends as well.
REFUSED = 4


def refuse_mistakes() -> None:
    """End this process with one line for each mistake. A demo may be as careless as it likes."""
    if settings.DEMO:
        return
    found = mistakes() + missing_migrations()
    if found:
        sys.stderr.write("\n- ".join(["This program does not start:", *found]) + "\n")
        raise SystemExit(REFUSED)


def mistakes() -> list[str]:
    """What is unsafe about the settings, one sentence each."""
    rules = [
        (settings.DEBUG, "DEBUG is on, and its error pages show patients' data: unset it."),
        (
            len(settings.SECRET_KEY) < _KEY_LENGTH or len(set(settings.SECRET_KEY)) < 10,
            f"SECRET_KEY can be guessed (it needs {_KEY_LENGTH} random characters): "
            "scripts/make_secrets.sh makes one.",
        ),
        (
            settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"),
            "DATABASE_URL is not set, and SQLite is for a first try only: name a PostgreSQL.",
        ),
        ("*" in settings.ALLOWED_HOSTS, "ALLOWED_HOSTS is *: name the hosts of this site."),
        (
            not set(settings.SECOND_FACTOR_ROLES) <= set(Role.values),
            f"SECOND_FACTOR_ROLES names a role that there is not: {', '.join(Role.values)} are.",
        ),
    ]
    return [words for is_wrong, words in rules if is_wrong] + _transport()


def _transport() -> list[str]:
    """Patients' data cross a network encrypted, or do not leave this machine."""
    hosts = set(settings.ALLOWED_HOSTS) - _LOCAL - {settings.POD_IP}
    if not hosts:
        return []
    if not settings.SECURE_SSL_REDIRECT:
        return [
            f"SSL_REDIRECT is off, but the site is reached as {', '.join(sorted(hosts))}: only "
            "localhost may be served without TLS."
        ]
    rules = [
        (
            not settings.TRUSTED_PROXIES,
            "TRUSTED_PROXIES is 0, but this server leaves TLS to a proxy in front of it: say how "
            "many there are, else every page redirects to itself.",
        ),
        (
            urlsplit(settings.SITE_URL).scheme != "https",
            f"SITE_URL is {settings.SITE_URL!r}: the links in mails must begin with https://.",
        ),
        (
            any(urlsplit(one).scheme != "https" for one in settings.CSRF_TRUSTED_ORIGINS),
            "CSRF_TRUSTED_ORIGINS holds an address without https://.",
        ),
    ]
    return [words for is_wrong, words in rules if is_wrong]


def missing_migrations() -> list[str]:
    """What the database lacks. One that does not answer is readyz' business, not a mistake."""
    try:
        missing = unapplied_migrations()
    except DatabaseError:
        return []
    finally:
        connection.close()
    if not missing:
        return []
    return [
        f"The database lacks {len(missing)} migrations of this program, {missing[0]} first: "
        "run the role migrate."
    ]


def unapplied_migrations() -> list[str]:
    """Migrations that this program knows and the database has not. Newer ones do not matter."""
    loader = MigrationLoader(connection)
    missing = set(loader.graph.nodes) - set(loader.applied_migrations)
    return [f"{app}.{name}" for app, name in sorted(missing)]
