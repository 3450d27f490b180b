"""Names of experimaestro: see `xpm.compat`."""

from __future__ import annotations

from xpm.compat.services import ProcessWebService, Service, WebService

__all__ = ["ProcessWebService", "Service", "WebService"]
