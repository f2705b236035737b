"""The logger "anyon": silent unless the application listens."""

from __future__ import annotations

import logging

log = logging.getLogger("anyon")
log.addHandler(logging.NullHandler())
