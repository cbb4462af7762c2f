"""Topaz Labs (developer.topazlabs.com): an upscaler, spoken to by workers (gateway/images/vendors/topaz.py)."""

from gateway.providers.base import Dialect, Headers


class Topaz(Dialect, frozen=True):
    def headers(self, surface: str, credential: str) -> Headers:
        return [("x-api-key", credential)]

    def probe(self, base_url: str, credential: str) -> tuple[str, Headers]:
        """The balance of the account: the vendor lists no models."""
        url = f"{self.root(base_url)}/account/v1/credits/balance"
        return url, self.headers("credits", credential)


TOPAZ = Topaz(
    slug="topaz",
    name="Topaz Labs",
    base_url="https://api.topazlabs.com",
    paths={},
    usage={},
)
