"""The cache holds only counters of attempts and requests; the site must work without it."""

import logging
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class ForgivingRedisCache(RedisCache):
    """A cache that is empty while its server is away, instead of failing every request.

    Then nobody is kept from the images because attempts cannot be counted.
    """

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except RedisError as error:
            return self._away(error, default)

    def set(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(*args, **kwargs)
        except RedisError as error:
            self._away(error, None)

    def add(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().add(*args, **kwargs)
        except RedisError as error:
            return self._away(error, True)

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().delete(*args, **kwargs)
        except RedisError as error:
            return self._away(error, False)

    def _away(self, error: RedisError, answer: Any) -> Any:
        log.warning("the cache is away (%s)", type(error).__name__)
        return answer
