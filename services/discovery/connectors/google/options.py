"""What is said of a Google Cloud project that is read."""

from pydantic import Field

from shared.clouds.google import Address, TokenSettings


class GoogleSettings(TokenSettings):
    """Which project, and what is read in it."""

    location: str = Field(
        "-",
        pattern=r"^(-|[a-z0-9-]{2,40})$",
        description="Location of Certificate Manager; `-` for all of them.",
    )
    compute: bool = Field(
        True,
        description="Read Compute Engine too: its own certificates, and the load balancers that use any.",
    )
    certificate_manager_url: Address = Field(
        "https://certificatemanager.googleapis.com", description="Another one for Private Service Connect."
    )
    compute_url: Address = Field("https://compute.googleapis.com", description="As above.")
