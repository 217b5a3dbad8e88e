"""Anonymous mode: pages name nobody, for demonstrations. What is stored stays as it is."""

from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

SESSION_KEY = "anonymous"
_hidden: ContextVar[bool] = ContextVar("anonymous", default=False)


def names_are_hidden() -> bool:
    """Whether the page being made may show nobody's name, number or day of birth."""
    return _hidden.get()


class Anonymous:
    """Holds the session's choice while its request is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        mark = _hidden.set(bool(request.session.get(SESSION_KEY)))
        try:
            return self.get_response(request)
        finally:
            _hidden.reset(mark)
