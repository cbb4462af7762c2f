"""The API surfaces that the gateway offers, and speaks to providers."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.surfaces.base import Surface
from gateway.surfaces.chat import Chat
from gateway.surfaces.embeddings import Embeddings
from gateway.surfaces.generate import Generate
from gateway.surfaces.messages import Messages
from gateway.surfaces.responses import Responses

SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        surface.name: surface
        for surface in (Chat(), Responses(), Messages(), Embeddings(), Generate())
    }
)
