"""Log lines say what went wrong, never with whom."""

import logging
from types import TracebackType


class DiscreetFormatter(logging.Formatter):
    """Drops what PostgreSQL adds to an error under DETAIL: the values of the row, names too."""

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None]
    ) -> str:
        lines = super().formatException(ei).splitlines()
        return "\n".join(line for line in lines if not line.startswith("DETAIL:"))
