"""Several people at the same moment: each in a thread, on a database connection of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from django.db import connection


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returns, or the exception that it raises."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as raised:
            return raised
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def meet_after(step: Callable[..., Any], people: int) -> Callable[..., Any]:
    """`step`, and then wait for the others to have done it; not for long, one may be locked out.

    So without a lock all are in the critical moment together, every time.
    """
    barrier = threading.Barrier(people)

    def step_and_meet(*args: Any, **kwargs: Any) -> Any:
        done = step(*args, **kwargs)
        with suppress(threading.BrokenBarrierError):
            barrier.wait(timeout=1)
        return done

    return step_and_meet
