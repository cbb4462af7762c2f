"""Black Forest Labs (docs.bfl.ai): FLUX. Pictures alone, which are made by workers (gateway/images/vendors/flux.py)."""

from gateway.providers.base import Dialect, Headers


class BlackForestLabs(Dialect, frozen=True):
    """A base URL may end in the version or not."""

    def root(self, base_url: str) -> str:
        return base_url.rstrip("/").removesuffix("/v1")

    def headers(self, surface: str, credential: str) -> Headers:
        return [("x-key", credential)]

    def probe(self, base_url: str, credential: str) -> tuple[str, Headers]:
        """The balance of the account: the vendor lists no models."""
        return f"{self.root(base_url)}/v1/credits", self.headers("credits", credential)


BLACK_FOREST_LABS = BlackForestLabs(
    slug="black-forest-labs",
    name="Black Forest Labs",
    base_url="https://api.bfl.ai",
    paths={},
    usage={},
)
