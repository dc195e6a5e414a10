"""What a deployment to a BIG-IP would do: each request that changes something, before it is sent."""

from collections.abc import Iterator, Sequence

from services.provisioner.connectors.devices import prefix
from services.provisioner.connectors.devices.bigip_slots import (
    ENDINGS,
    PROFILES,
    VIRTUALS,
    BigIpOptions,
    BigIpSlot,
    collection_of,
    object_at,
    upload_name,
)
from services.provisioner.connectors.devices.plans import OLDER, new_name, transaction
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from shared.appliances.bigip import UPLOADS, at

_SAVE = PlannedCall(request="POST /mgmt/tm/sys/config", about="save")


def plan_big_ip(slot: BigIpSlot, *, options: BigIpOptions, coming: Coming) -> Sequence[PlannedStep]:
    """Say which requests would be sent."""
    new = f"{slot.folder}/{new_name(slot, coming)}"
    endings = ENDINGS if coming.issuers else ENDINGS[:-1]
    synchronise = list(_synchronising(options))
    return in_steps(
        stage=PlannedStep(
            step="stage",
            text=f"Make {new}.crt, its key and its chain.",
            calls=tuple(_making(slot, new, endings)),
        ),
        bind=(
            PlannedStep(
                step="bind",
                text=f"Let {slot.profile} name them.",
                calls=transaction(*_exchanging(slot)),
            ),
            PlannedStep(step="save", text="Save the configuration.", calls=(_SAVE,)),
            *synchronise,
        ),
        read_back=f"Ask which certificate {slot.profile} names.",
        tidy=[*_sweeping(slot), _SAVE, *(call for step in synchronise for call in step.calls)],
    )


def _making(slot: BigIpSlot, new: str, endings: Sequence[str]) -> Iterator[PlannedCall]:
    for each in ENDINGS:
        yield PlannedCall(request=f"DELETE {object_at(new + each)}", about="leftovers")
    for each in endings:
        yield PlannedCall(request=f"POST {UPLOADS}/{upload_name(slot, each)}")
    made = (PlannedCall(request=f"POST /mgmt/tm/{collection_of(each)}", about=new + each) for each in endings)
    yield from transaction(*made)
    for each in ENDINGS:
        yield PlannedCall(request="POST /mgmt/tm/util/unix-rm", about=upload_name(slot, each))


def _exchanging(slot: BigIpSlot) -> Iterator[PlannedCall]:
    yield PlannedCall(request=f"PATCH {at(PROFILES, slot.profile)}", about="certKeyChain")
    if slot.virtual is not None:
        path, when = f"{at(VIRTUALS, slot.virtual)}/profiles", "it has not this profile yet"
        yield PlannedCall(request=f"POST {path}", about=slot.profile, when=when)


def _sweeping(slot: BigIpSlot) -> Iterator[PlannedCall]:
    older = f"{slot.folder}/{prefix(slot)}{{older}}"
    for each in ENDINGS:
        yield PlannedCall(request=f"DELETE {object_at(older + each)}", when=OLDER)


def _synchronising(options: BigIpOptions) -> Iterator[PlannedStep]:
    if options.sync_group is not None:
        run = PlannedCall(request="POST /mgmt/tm/cm", about=f"config-sync to-group {options.sync_group}")
        text = f"Synchronise the configuration to {options.sync_group}."
        yield PlannedStep(step="synchronise", text=text, calls=(run,))
