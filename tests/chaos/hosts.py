"""Hosts with a network between them: namespaces around a hub, each with a link that can be cut."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host n reaches the hub by the address `hub(n)`; nothing reaches the machine's own network."""

    name: str

    def inside(self, place: str) -> list[str]:
        """What stands before a command that runs in a namespace: `hub`, or a host's number."""
        return ["nsenter", f"--net=/run/netns/{self.name}-{place}"]

    def hub(self, number: int) -> str:
        return f"10.99.{number}.1"

    def link(self, number: int, state: str) -> None:
        """Cuts (`down`) or mends (`up`) a host's link."""
        _ip("-n", f"{self.name}-hub", "link", "set", f"v{number}", state)


@contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """So many hosts; they go at the end, with their links."""
    made = Hosts(f"chaos{secrets.token_hex(3)}")
    with ExitStack() as stack:
        for place in ("hub", *range(count)):
            name = f"{made.name}-{place}"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        for number in range(count):
            hub, host = f"{made.name}-hub", f"{made.name}-{number}"
            near, far = f"v{number}", "eth0"
            _ip("link", "add", near, "netns", hub, "type", "veth", "peer", "name", far, "netns", host)
            _ip("-n", hub, "addr", "add", f"{made.hub(number)}/24", "dev", near)
            _ip("-n", host, "addr", "add", f"10.99.{number}.2/24", "dev", far)
            _ip("-n", hub, "link", "set", near, "up")
            _ip("-n", host, "link", "set", far, "up")
        yield made
