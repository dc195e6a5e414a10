"""What a deployment into files would do: which files, which commands, in which order."""

from collections.abc import Callable, Iterator

from services.provisioner.connectors.file_slots import FilesOptions, FilesSlot
from services.provisioner.connectors.planning import PlannedStep


def plan_files(
    slot: FilesSlot, *, options: FilesOptions, prefixed: Callable[[str], str]
) -> tuple[PlannedStep, ...]:
    """Return the steps; `prefixed` is how a command is run there."""
    return tuple(_steps(slot, options, prefixed))


def _steps(slot: FilesSlot, options: FilesOptions, prefixed: Callable[[str], str]) -> Iterator[PlannedStep]:
    test = slot.test_command or options.test_command
    reload = slot.reload_command or options.reload_command
    paths = ", ".join(slot.paths)
    yield PlannedStep(
        step="stage",
        text=f"Write the new files beside {paths}, with their owners and modes.",
        files=slot.paths,
    )
    if test is not None:
        yield PlannedStep(step="test", text="Test the present configuration.", command=prefixed(test))
    yield PlannedStep(
        step="swap", text=f"Keep the present files, and rename the new ones over {paths}.", files=slot.paths
    )
    if test is not None:
        yield PlannedStep(step="test again", text="Test the new configuration.", command=prefixed(test))
    if reload is not None:
        yield PlannedStep(step="reload", text="Make the server read its files.", command=prefixed(reload))
    yield PlannedStep(step="read back", text=f"Read {slot.certificate_path} back.")
