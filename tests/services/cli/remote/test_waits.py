"""How long is waited for what goes on."""

from datetime import timedelta
from typing import Any, cast

import pytest
import typer

from everleaf import Client, NotInTime, Wait, waiting
from services.cli.remote.commands import follow
from services.cli.remote.exits import NOT_IN_TIME


class Slow:
    """A client for whom nothing ever ends: it says how long it was to wait."""

    def __init__(self) -> None:
        self.within: list[float | None] = []

    def wait(self, wait: Wait[Any], *, within: float | None, **_: Any) -> None:
        self.within.append(within)
        raise NotInTime(f"{wait.what} goes on.", next_step="Look again later.", last={})


@pytest.mark.parametrize(("said", "seconds"), [(None, 3600), (timedelta(minutes=10), 600)])
def test_nothing_is_waited_for_without_an_end(said: timedelta | None, seconds: float) -> None:
    slow = Slow()
    with pytest.raises(typer.Exit) as ended:
        follow(cast("Client", slow), waiting.scan("1"), within=said)
    assert (slow.within, ended.value.exit_code) == ([seconds], NOT_IN_TIME)
