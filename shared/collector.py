"""How often Python looks for garbage in a process that serves for long."""

import gc

_OBJECTS = 20_000
"""So many more objects than were freed are there before the youngest are looked through: some megabytes. A batch of events is
thousands of objects that are all freed without being looked for."""


_AT_FIRST = 100_000
"""As `_OBJECTS`, while a program starts."""


def look_hardly() -> None:
    """Hardly look for garbage while a program starts, or does one thing and ends: neither imports nor looks leave any behind.

    To look through all that was imported so far, again and again, is a twelfth of what importing the platform takes.
    """
    gc.set_threshold(_AT_FIRST)


def look_less() -> None:
    """Leave alone what is loaded by now, and look for garbage less often: nothing else would be found of it.

    To look through all of it again and again costs a tenth of answering, and a quarter of taking in events.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 20, 20)
