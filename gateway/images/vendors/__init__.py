"""The image vendors that workers speak to, by the dialect of a channel."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.images.vendors.base import Access, Driver
from gateway.images.vendors.flux import Flux
from gateway.images.vendors.openai import OpenAIImages
from gateway.images.vendors.topaz import Topaz

DRIVERS: Mapping[str, Callable[[Access], Driver]] = MappingProxyType(
    {"openai": OpenAIImages, "black-forest-labs": Flux, "topaz": Topaz}
)
