"""A stranger's text can do nothing to a terminal, nor to what writes to it."""

from rich.text import Text

from services.cli.terminal import plain, unmarked


def test_what_a_terminal_would_obey_is_gone() -> None:
    assert plain("a\x1b[2Jb\r\n\u202ec") == "a?[2Jb???c"


def test_markup_is_shown_as_it_is() -> None:
    assert Text.from_markup(unmarked("[red]a[/red]\x07")).plain == "[red]a[/red]?"
