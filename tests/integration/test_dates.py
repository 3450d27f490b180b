"""The server's time as RQ writes it, on any day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from redis import Redis

import xpm.broker

SOURCE = (Path(xpm.broker.__file__).with_name("lua") / "lib/dates.lua").read_text()


def test_each_day_is_named_as_it_is(client: Redis) -> None:
    first = datetime(1999, 12, 31, 23, 59, 58, 7000, tzinfo=UTC)
    days = [first + timedelta(days=n) for n in range(366 * 5)]
    days += [datetime(2100, 2, 28, tzinfo=UTC) + timedelta(days=n, milliseconds=999) for n in range(3)]
    moments = [round(day.timestamp() * 1000) for day in days]
    script = f"{SOURCE}\nlocal found = {{}}\nfor i, ms in ipairs(ARGV) do found[i] = at(tonumber(ms)) end\nreturn found"
    found = client.eval(script, 0, *moments)
    assert [text.decode() for text in found] == [day.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for day in days]
