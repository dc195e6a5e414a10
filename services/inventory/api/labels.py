"""How it is shown how certificates are organised."""

from pydantic import Field

from shared.http import View


class OwnerView(View):
    """The team that owns a certificate."""

    id: str = Field(examples=["payments"])
    name: str
    set_by: str | None = Field(
        description="Why: `person:` and who, or `rule:` and the id of an assignment rule.",
        examples=["person:ada"],
    )


class Labelled(View):
    """What people and rules say of a certificate, beside what it says itself."""

    owner: OwnerView | None = None
    groups: list[str] = Field([], examples=[["web"]])
    tags: list[str] = Field([], examples=[["env:prod"]])
    fields: dict[str, str | bool | int | float] = Field({}, examples=[{"cost-centre": "4711"}])
    missing_fields: list[str] = Field([], description="Required fields without a value.")
