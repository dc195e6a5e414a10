"""Deliveries are taken out of the stream of frames, however it is cut, and nothing else is."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aio_pika import DeliveryMode
from aio_pika import Message as Sent
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from shared.bus import Delivery, Message
from shared.bus.deliveries import AS_WE_SEND, Arrivals, Arrived, Sorter
from shared.bus.rabbitmq import packed

HEARTBEAT = marshal(Heartbeat(), 0)
OTHERS = (
    commands.Connection.Blocked("no memory"),
    commands.Basic.ConsumeOk("consumer"),
    commands.Basic.Cancel("consumer"),
)


def delivered(
    tag: int,
    bodies: Sequence[bytes],
    *,
    between: bytes = b"",
    route: str = "certificate.found",
    said: Mapping[str, object] | None = None,
) -> bytes:
    """Return the frames of a delivery on channel 1; `between` comes in the middle of them."""
    wanted = {
        "message_id": f"m{tag}",
        "type": "test.ticked",
        "content_type": "a/b",
        "headers": {},
        "priority": 0,
        **(said or {}),
    }
    sent = Sent(b"", delivery_mode=DeliveryMode.PERSISTENT, **wanted)  # type: ignore[arg-type] # of many types
    method = commands.Basic.Deliver("consumer", tag, False, "everleaf.events", route)
    header = ContentHeader(body_size=sum(map(len, bodies)), properties=sent.properties)
    frames: list[Frame | ContentHeader | ContentBody] = [method, header, *map(ContentBody, bodies)]
    first, *others = (marshal(frame, 1) for frame in frames)
    return b"".join((first, between, *others))


def sorted_out(stream: bytes, *, pieces: int) -> tuple[list[Arrived], bytes]:
    """Return the deliveries of a stream that comes in pieces of so many octets, and what else is in it."""
    found: list[Arrived] = []
    sorter = Sorter(found.append)
    others = [sorter.sort(stream[at : at + pieces]) for at in range(0, len(stream), pieces)]
    return found, b"".join(others).replace(HEARTBEAT, b"")


def message(tag: int, body: bytes) -> Message:
    return Message(id=f"m{tag}", type="test.ticked", body=body)


@pytest.mark.parametrize("pieces", [1, 7, 8, 64, 10_000])
def test_deliveries_are_taken_out_wherever_the_stream_is_cut(pieces: int) -> None:
    others = [marshal(frame, 1 if isinstance(frame, commands.Basic.Cancel) else 0) for frame in OTHERS]
    stream = b"".join(
        (
            others[0],
            delivered(1, [b"one"]),
            delivered(2, [b"two, ", b"in ", b"parts"], between=others[1]),
            delivered(3, []),
            others[2],
        )
    )
    found, rest = sorted_out(stream, pieces=pieces)
    assert [(each.tag, each.delivery) for each in found] == [
        (1, Delivery(message=message(1, b"one"), attempt=1)),
        (2, Delivery(message=message(2, b"two, in parts"), attempt=1)),
        (3, Delivery(message=message(3, b""), attempt=1)),
    ]
    assert rest == b"".join(others)


@pytest.mark.parametrize(
    ("said", "attempt"),
    [
        ({"headers": {"x-attempt": 2, "x-reason": "it failed"}}, 3),
        ({"headers": {"x-delivery-count": 1}}, 1),
        ({"correlation_id": "another's", "priority": 3}, 1),
    ],
    ids=["tried before", "given to a consumer that died", "with more properties"],
)
def test_a_message_of_another_form_is_read_whole(said: dict[str, object], attempt: int) -> None:
    found, rest = sorted_out(delivered(1, [b"{}"], said=said), pieces=10_000)
    assert [each.delivery for each in found] == [Delivery(message=message(1, b"{}"), attempt=attempt)]
    assert rest == b""


def test_a_message_without_a_type_is_of_the_type_that_it_was_routed_by() -> None:
    found, _ = sorted_out(delivered(1, [b"{}"], route="place.lost", said={"type": None}), pieces=10_000)
    assert found[0].delivery.message.type == "place.lost"


def test_a_delivery_is_a_sign_of_life_to_the_client() -> None:
    assert Sorter(lambda _: None).sort(delivered(1, [b"{}"])) == HEARTBEAT


def test_a_message_is_read_when_its_last_piece_comes() -> None:
    stream, found = delivered(1, [b"{", b"}"]), list[Arrived]()
    sorter = Sorter(found.append, reader=lambda each: each.body.decode())
    sorter.sort(stream[:-1])
    assert not found
    sorter.sort(stream[-1:])
    assert [each.delivery.read for each in found] == ["{}"]


def test_what_is_no_frame_is_left_to_the_client() -> None:
    broken = bytearray(delivered(1, [b"{}"]))
    broken[-1] = 0
    found, rest = sorted_out(bytes(broken), pieces=10_000)
    assert not found
    assert rest.endswith(b"{}\x00")


def test_the_form_that_is_read_at_once_is_the_one_that_the_bus_sends() -> None:
    """Others are read too, but that takes ten times as long, which nobody would see."""
    header = ContentHeader(body_size=2, properties=packed(message(1, b"{}")).properties)
    assert header.marshal()[12:14] == AS_WE_SEND


async def test_what_has_arrived_is_taken_in_its_order_and_in_no_more_than_is_wanted() -> None:
    arrivals, gone = Arrivals(), asyncio.get_running_loop().create_future()
    every = [Arrived(tag, Delivery(message=message(tag, b""), attempt=1)) for tag in range(5)]
    for each in every:
        arrivals.put(each)
    assert await arrivals.take(3, gone=gone) == every[:3]
    assert await arrivals.take(3, gone=gone) == every[3:]


async def test_who_waits_for_deliveries_is_told_when_the_channel_is_gone() -> None:
    gone = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(Arrivals().take(3, gone=gone))
    await asyncio.sleep(0)
    gone.set_result(None)
    with pytest.raises(ConnectionError):
        await waiting
