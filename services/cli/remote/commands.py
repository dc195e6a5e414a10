"""The one place where an operation of the contracts becomes a command.

A command is a function from its arguments to the `Call` that it stands for; one whose first parameter
is `client` may ask something before. `lists` and `does` give it the options that all have, send the
call, and show what comes back.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from everleaf import Call, Client, EndedOtherwise, Listing, NotInTime, Wait
from services.cli.connection import PROFILE, URL, Asked, connect
from services.cli.durations import duration
from services.cli.profiles import known_profiles
from services.cli.remote.exits import ENDED_OTHERWISE, FOUND_SOME, NOT_IN_TIME
from services.cli.remote.following import Following
from services.cli.shown import Columns, document, lines_of_json, table
from services.cli.terminal import say, until_nobody_reads
from shared.errors import Invalid

F = TypeVar("F", bound=Callable[..., Any])
USUAL_ROWS = 50
USUAL_WAIT = timedelta(hours=1)
"""A pipeline that nobody looks at must not wait for ever."""

Profile = Annotated[
    str | None,
    typer.Option(envvar=PROFILE, help="One of `everleaf profiles list`.", autocompletion=known_profiles),
]
Url = Annotated[str | None, typer.Option(envvar=URL, help="Of the platform, instead of a profile.")]
TokenFile = Annotated[Path | None, typer.Option(help="What holds the token; or set EVERLEAF_TOKEN.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=0, help="At most so many; 0 for all. A table has 50, JSON all."),
]
FailIfAny = Annotated[bool, typer.Option("--fail-if-any", help="End with 3 where there is one.")]
WaitToo = Annotated[bool, typer.Option("--wait", help="Wait for its end: 4 where it ends badly.")]
Timeout = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="How long to wait, as 10m: 5 when it is over. An hour where it is left out.",
    ),
]

Options = dict[str, tuple[Any, Any]]
"""The name of a parameter, what it is, and what it is when it is left out."""
_COMMON: Options = {
    "profile": (Profile, None),
    "url": (Url, None),
    "token_file": (TokenFile, None),
    "as_json": (AsJson, False),
}
_OF_LISTS: Options = {**_COMMON, "rows": (Limit, None), "fail_if_any": (FailIfAny, False)}
_OF_WAITS: Options = {**_COMMON, "wait_too": (WaitToo, False), "timeout": (Timeout, None)}


def lists(app: typer.Typer, columns: Columns, name: str | None = None) -> Callable[[F], F]:
    """Make a function that returns a `Listing`, or several, a command that lists; without a name, what the group does alone."""

    def take(function: F) -> F:
        def show(client: Client, asked: Any, common: dict[str, Any]) -> None:
            listings: Sequence[Listing[Any]] = [asked] if isinstance(asked, Listing) else asked
            found = chain.from_iterable(client.each(each) for each in listings)
            _list(found, columns, common)

        command = _command(function, show, _OF_LISTS)
        if name is None:
            app.callback(invoke_without_command=True)(_alone(command))
        else:
            app.command(name)(command)
        return function

    return take


def does(app: typer.Typer, name: str, *, wait: Callable[[Any], Wait[Any]] | None = None) -> Callable[[F], F]:
    """Make a function that returns a `Call` a command that shows the answer; `wait` says how its end is seen."""

    def take(function: F) -> F:
        def show(client: Client, asked: Call[Any], common: dict[str, Any]) -> None:
            if asked.answers in ("text", "bytes"):
                _pass_on(client, asked)
                return
            found = client.call(asked)
            if wait is not None and common["wait_too"]:
                found = follow(client, wait(found), within=common["timeout"])
            document(found, as_json=common["as_json"])

        app.command(name)(_command(function, show, _OF_WAITS if wait else _COMMON))
        return function

    return take


def waits(app: typer.Typer, name: str) -> Callable[[F], F]:
    """Make a function that returns a `Wait` a command that waits."""

    def take(function: F) -> F:
        def show(client: Client, asked: Wait[Any], common: dict[str, Any]) -> None:
            found = follow(client, asked, within=common["timeout"])
            if common["as_json"]:
                document(found, as_json=True)

        app.command(name)(_command(function, show, {**_COMMON, "timeout": (Timeout, None)}))
        return function

    return take


def follow(client: Client, wait: Wait[Any], *, within: timedelta | None) -> Any:
    """Wait and show how far it is; end the program where it does not end well."""
    seconds = (USUAL_WAIT if within is None else within).total_seconds()
    try:
        with Following(wait) as following:
            return client.wait(wait, every=1, within=seconds, seen=following.see)
    except EndedOtherwise as error:
        say(f"everleaf: {error}")
        raise typer.Exit(NOT_IN_TIME if isinstance(error, NotInTime) else ENDED_OTHERWISE) from None


def _pass_on(client: Client, asked: Call[Any]) -> None:
    """Write a file as it arrives, however long it is."""
    with client.stream(asked) as parts:
        for part in parts:
            sys.stdout.buffer.write(part)


def _list(found: Iterator[Any], columns: Columns, common: dict[str, Any]) -> None:
    most = common["rows"] if common["rows"] is not None else (0 if common["as_json"] else USUAL_ROWS)
    shown = islice(found, most) if most else found
    count = lines_of_json(shown) if common["as_json"] else table(shown, columns)
    sys.stdout.flush()  # before what is said of it on the other output
    if most and count == most and next(found, None) is not None:
        say(f"There are more than these {most}: --limit 0 shows all.")
    if not count and not common["as_json"]:
        say("There is none.")
    if count and common["fail_if_any"]:
        raise typer.Exit(FOUND_SOME)


def _command(
    function: Callable[..., Any],
    show: Callable[[Client, Any, dict[str, Any]], None],
    options: Options,
) -> Callable[..., None]:
    own = inspect.signature(function, eval_str=True)
    takes_client = "client" in own.parameters
    parameters = [each for each in own.parameters.values() if each.name != "client"]

    def run(**values: Any) -> None:
        common = {name: values.pop(name) for name in options}
        with until_nobody_reads(), _connected(common) as client:
            show(client, function(*([client] if takes_client else []), **values), common)

    for name, (annotation, default) in options.items():
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=annotation))
    return _as(run, function, parameters)


def _alone(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that keeps out of the way where one below its group is meant."""

    def run(context: typer.Context, **values: Any) -> None:
        if context.invoked_subcommand is None:
            command(**values)
            return
        # They would be lost, and so something else be asked, or another platform.
        lost = [name for name in values if _is_said(context, name)]
        if lost:
            words = f"{context.command_path} {context.invoked_subcommand}"
            raise Invalid(
                f"What is said before {context.invoked_subcommand} is about the list.",
                next_step=f"Write options after it: {words} …",
            )

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = inspect.Parameter("context", kind, annotation=typer.Context)
    return _as(run, command, [first, *inspect.signature(command).parameters.values()])


def _is_said(context: typer.Context, name: str) -> bool:
    """Return whether an option was written on the command line, instead of left out or in the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _as(
    run: Callable[..., None], function: Callable[..., Any], parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """Let a function be seen with another's name and words, and with these parameters."""
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what `inspect.signature` looks for
    return run


@contextmanager
def _connected(common: dict[str, Any]) -> Iterator[Client]:
    asked = Asked(profile=common["profile"], url=common["url"], token_file=common["token_file"])
    with connect(asked) as client:
        yield client
