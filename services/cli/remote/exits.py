"""With which code a command ends, so that a script can tell one end from another."""

from everleaf import ClientError, Forbidden, NotAccepted, Problem, Unavailable, Unreachable

NO_ANSWER = 1
"""The platform gave no usable answer; trying again may help."""
MISTAKE = 2
"""It cannot be done as asked."""
FOUND_SOME = 3
"""`--fail-if-any`: there is one."""
ENDED_OTHERWISE = 4
"""What was waited for ended badly."""
NOT_IN_TIME = 5
"""What was waited for goes on; the time is over."""
NOT_ALLOWED = 6
"""The token is not accepted, or does not allow it."""


def code(error: ClientError) -> int:
    """Return the code for what went wrong."""
    if isinstance(error, NotAccepted | Forbidden):
        return NOT_ALLOWED
    if isinstance(error, Unreachable | Unavailable):
        return NO_ANSWER
    return MISTAKE


def told(error: ClientError) -> str:
    """Return what is said of it, with every fault of a request."""
    faults = error.faults if isinstance(error, Problem) else ()
    lines = [f"everleaf: {error}"]
    if len(faults) > 1:  # of a single one, all is said already
        lines += [f"  {fault.get('pointer')}: {fault.get('message')}" for fault in faults]
    return "\n".join(lines)
