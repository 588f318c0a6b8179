"""Waiting for a state, with a deadline. The only place where a test lets time pass."""

import time

PAUSE_S = 0.05


def eventually(state, deadline_s=20.0, what="the state"):
    """Calls `state` until it returns something true, and returns that. An error of `state` counts as "not yet"."""
    end = time.monotonic() + deadline_s
    while True:
        last = None
        try:
            found = state()
            if found:
                return found
            last = found
        except (AssertionError, LookupError, OSError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what} was not reached within {deadline_s} s; last: {last!r}")
        time.sleep(PAUSE_S)
