"""Who looks on is told of what changes, as it happens: of their own groups, from where they left off."""

from collections.abc import Collection
from pathlib import Path

import anyio

from services.notifier.api.changes import ChangeView
from shared.events.inventory import CertificatesArrived, LineagesGrouped
from tests.builders import bearer
from tests.notifier.premises import Premises, opened
from tests.notifier.test_subscriptions import failed

Told = tuple[str, str]


async def listen(
    notifier: Premises, *, wait: int = 0, after: str | None = None, groups: Collection[str] = ()
) -> tuple[list[Told], str]:
    """Return the kinds and lineages, or subjects, that a stream tells, and the id of its last event."""
    headers = {**bearer("viewer", groups=groups), **({"Last-Event-ID": after} if after else {})}
    answer = await notifier.client.get("/v1/changes", params={"wait": wait}, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    fields = [line.partition(": ")[::2] for line in answer.text.splitlines()]
    told = [value for name, value in fields if name == "data" and value != "{}"]
    views = [ChangeView.model_validate_json(each) for each in told]
    return [(each.type, each.lineage_id or each.subject or "") for each in views], [
        v for n, v in fields if n == "id"
    ][-1]


async def test_who_looks_on_is_told_of_their_own_groups_and_goes_on_where_they_left_off(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        scopes: list[list[str]] = [[], ["web"], ["db"]]
        begins = [(await listen(notifier, groups=groups))[1] for groups in scopes]
        await notifier.say(
            CertificatesArrived(fingerprints=["3f" * 32]),
            LineagesGrouped(group_id="web", joined=["l1"]),
            LineagesGrouped(group_id="db", joined=["l2"]),
            failed("l1"),
        )
        everywhere = [
            ("certificates.arrived", "3f" * 32),
            ("lineages.grouped", "web"),
            ("lineages.grouped", "db"),
            ("renewal.failed", "l1"),
            ("alert.opened", "l1"),
        ]
        heard: dict[int, list[Told]] = {0: [], 1: [], 2: []}
        with anyio.fail_after(60):
            while len(heard[0]) < len(everywhere):
                for number, groups in enumerate(scopes):
                    after = begins[number]
                    told, begins[number] = await listen(notifier, wait=1, after=after, groups=groups)
                    heard[number] += told
        assert heard[0] == everywhere
        assert heard[1] == [everywhere[1], *everywhere[3:]]
        assert heard[2] == [everywhere[2]]


async def test_a_stream_begins_with_now_and_tells_as_it_happens(tmp_path: Path):
    async with opened(tmp_path) as notifier:
        await notifier.say(failed("l1"))
        await notifier.until("/v1/alerts", 1)
        async with anyio.create_task_group() as tasks:

            async def look_on() -> None:
                told, _ = await listen(notifier, wait=3)
                assert ("certificates.arrived", "a1" * 32) in told
                assert ("renewal.failed", "l1") not in told

            tasks.start_soon(look_on)
            await anyio.wait_all_tasks_blocked()
            await notifier.say(CertificatesArrived(fingerprints=["a1" * 32]))
