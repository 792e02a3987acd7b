"""SIGTERM and SIGINT as an event, set at once even while the main thread is inside a client library.

A handler in Python runs only when the main thread is back in the interpreter, and librdkafka may keep it for seconds when the broker hangs:
too long for a deadline that counts from the signal. But the interpreter writes a byte to a socket the moment a signal comes, on whatever
thread, and a thread of ours waits for that.
"""

from __future__ import annotations

import os
import signal
import socket
import threading

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM or SIGINT sets; the same signal a second time ends the process with exit code 1. Call on the main thread.

    The same, because Ctrl-C reaches a supervisor and its children, and the supervisor's SIGTERM to them follows.
    """
    stop = threading.Event()
    ours, interpreters = socket.socketpair()
    interpreters.setblocking(False)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(interpreters.fileno(), warn_on_full_buffer=False)

    def wait() -> None:
        with ours, interpreters:
            came: set[int] = set()
            while True:
                for number in ours.recv(1):
                    if number in came:
                        os._exit(1)
                    if number in STOP_SIGNALS:
                        came.add(number)
                        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop
