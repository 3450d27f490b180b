"""A broker that is only asked: for plans, lists and whatever else must leave no trace."""

from __future__ import annotations

from typing import Any

from xpm.broker.broker import SCHEMA, Broker, refuse_newer


class Reader(Broker):
    """The graph of one namespace, for questions alone: its connections don't say hello, which writes."""

    def _greet(self, connection: Any) -> None:
        connection.on_connect()
        connection.send_command("HGET", f"{self.prefix}meta", "schema")
        refuse_newer(int(connection.read_response() or SCHEMA))
