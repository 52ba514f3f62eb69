"""Formats gunicorn's own messages, such as that a worker was killed, like all other log lines."""

from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from portal import env
from portal.core.logs import EcsFormatter, NoSecrets


class EcsLogger(Logger):
    """Writes ECS JSON, unless `LOG_JSON` asks for plain text."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.addFilter(NoSecrets())
            if env.boolean("LOG_JSON", True):
                handler.setFormatter(EcsFormatter())
