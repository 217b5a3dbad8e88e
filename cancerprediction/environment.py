"""Environment variables, each of whose mistakes is told in one line of plain words."""

import warnings
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

_YES_OR_NO = {"1", "0", "true", "false", "yes", "no", "on", "off", ""}
_SECRET = ("KEY", "URL", "TOKEN")


class Environment(environ.Env):
    """django-environ that collects what is wrong instead of stopping at the first mistake."""

    def __init__(self) -> None:
        super().__init__()
        self.mistakes: list[str] = []

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, *rest: Any, **more: Any
    ) -> Any:
        """The variable's value; after a mistake its default, so that the next one is found too."""
        said = self.ENVIRON.get(var)
        if said is None and default is self.NOTSET:
            return self._wrong(f"{var} is not set, and it has no default.", "")
        if cast is bool and said is not None and said.lower() not in _YES_OR_NO:
            return self._wrong(f"{var} is {said!r}: write 1 or 0.", default)
        try:
            return super().get_value(var, cast, default, *rest, **more)
        except (ValueError, TypeError, KeyError, ImproperlyConfigured):
            return self._wrong(f"{var} is {_shown(var, said)}, which is {_wanted(cast)}.", default)

    def db(self, var: str = "DATABASE_URL", default: Any = environ.Env.NOTSET) -> dict[str, Any]:
        """The database that a URL names."""
        return self._parsed(var, default, environ.Env.db_url_config, "ENGINE", "django.db.backends")

    def email(self, var: str = "EMAIL_URL", default: Any = environ.Env.NOTSET) -> dict[str, Any]:
        """The settings of the mail server that a URL names."""
        return self._parsed(var, default, environ.Env.email_url_config, "EMAIL_BACKEND", "django.")

    def refuse_mistakes(self) -> None:
        """Raise ImproperlyConfigured with one line for each mistake, if there are any."""
        if self.mistakes:
            raise ImproperlyConfigured("\n".join(["The settings cannot be used:", *self.mistakes]))

    def _parsed(
        self, var: str, default: str, parse: Any, engine: str, known: str
    ) -> dict[str, Any]:
        try:
            with warnings.catch_warnings(action="ignore"):  # they quote the address
                found = parse(self.ENVIRON.get(var, default))
            if found.get(engine, "").startswith(known):
                return found
        except (ValueError, TypeError, KeyError, ImproperlyConfigured):
            pass
        return self._wrong(f"{var} is no address of a kind that is known.", parse(default))

    def _wrong(self, line: str, instead: Any) -> Any:
        if line not in self.mistakes:
            self.mistakes.append(line)
        return instead


def _shown(var: str, value: str | None) -> str:
    return "something (not shown)" if var.endswith(_SECRET) else repr(value)


def _wanted(cast: Any) -> str:
    return "not a whole number" if cast is int else "not understood"
