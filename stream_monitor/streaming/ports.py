"""Free ports on the loopback interface, for brokers that the demo and the tests start."""

from __future__ import annotations

import contextlib
import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections: those could steal the port of a broker that restarts.
_LOWEST, _HIGHEST = 20_000, 32_000
_TRIES = 1_000


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports of 127.0.0.1 that nothing listened on a moment ago; another process may still win the race for one."""
    draw = random.SystemRandom()
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for _ in range(_TRIES):
            if len(found) == count:
                return found
            candidate = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):
                candidate.bind(("127.0.0.1", draw.randint(_LOWEST, _HIGHEST)))
                found.append(candidate.getsockname()[1])
        raise OSError(f"expected {count} free ports of 127.0.0.1 in {_LOWEST}-{_HIGHEST}, found {len(found)} in {_TRIES} tries")
