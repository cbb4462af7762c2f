"""Which addresses we call for somebody else: links to pictures, callbacks. Pure: text in, a verdict out.

A link is read once, here, by rules narrower than those of RFC 3986; what goes out is built from the parts that were
checked, so no second parser can understand it differently. gateway/outbound.py checks what its name resolves to.
"""

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, NamedTuple
from urllib.parse import quote

import idna

URL_LENGTH_MAX = 2_048
HOST_LENGTH_MAX = 253
DEFAULT_PORTS = {"http": 80, "https": 443}

# IANA special-purpose address registries (RFC 6890), also what they call globally reachable: no picture lives there.
_SPECIAL_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # not in the registry: the platform's own services, inside every network of Azure
    )
)  # fmt: skip
# All unicast that is assigned; loopback, mapped, compatible, unique local, link-local and site-local lie outside.
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocols: Teredo, benchmarking, ORCHID
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
# Where only IPv6 is routed, every IPv4 address is met in this form (RFC 6052), so it is as good as what it carries.
_NAT64 = IPv6Network("64:ff9b::/96")

_LOCAL_DOMAINS = frozenset(
    {"localhost", "local", "internal", "localdomain", "lan", "intranet", "svc", "home.arpa"}
)
_METADATA_NAMES = frozenset({"metadata.goog", "metadata.tencentyun.com"})
_LINK = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?]*)([^?]*)(\?.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]*\]|[^:\[\]]*)(?::([1-9][0-9]{0,4}))?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label like this makes libc (inet_aton) and browsers read the whole host as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH_SAFE = "/?%:@!$&'()*+,;=[]-._~"

IPAddress = IPv4Address | IPv6Address


class UnsafeAddress(ValueError):
    """An address that we do not call. The message is for who named it, and tells nothing of our network."""


class Policy(NamedTuple):
    """What may be called beside public https addresses.

    `allow_loopback`: http and https to this machine itself, any port, by loopback address or as `localhost`.
    `own_origin`: `scheme://host:port` that an operator named; links to exactly it are followed wherever it is.
    """

    allow_loopback: bool = False
    own_origin: str | None = None


class Destination(NamedTuple):
    """A checked link. `host` is ASCII, lower case, an IPv6 address without brackets; `path` has the query.

    `reach` says which IP addresses its name may have: public ones, loopback ones, or any (the operator's own origin).
    """

    scheme: str
    host: str
    port: int
    path: str
    address: IPAddress | None  # where the host is one
    reach: Literal["public", "loopback", "own"] = "public"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """As in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def check_url(text: str, policy: Policy) -> Destination:
    """The link in its parts. Raises UnsafeAddress. Nothing is resolved: `check_answers` has the last word."""
    link = _read_link(text)
    if policy.own_origin is not None and link.origin == _read_link(policy.own_origin).origin:
        return link._replace(reach="own")
    if policy.allow_loopback and (link.host == "localhost" or _is_loopback(link.address)):
        return link._replace(reach="loopback")
    if link.scheme != "https":
        raise UnsafeAddress("Only https addresses are accepted.")
    if link.port != 443:
        raise UnsafeAddress("Only port 443 is accepted.")
    if link.address is None:
        _check_name(link.host)
    elif not is_global(link.address):
        raise UnsafeAddress("The host is not a public IP address.")
    return link


def check_answers(destination: Destination, answers: Iterable[str]) -> list[str]:
    """What a destination's name resolved to, in canonical form. One unsafe IP address refuses them all."""
    checked = []
    for answer in answers:
        try:
            address = ipaddress.ip_address(answer)
        except ValueError:
            raise UnsafeAddress(f"{destination.host} has no valid IP address.") from None
        if destination.reach == "loopback" and not _is_loopback(address):
            raise UnsafeAddress(f"{destination.host} is not an address of this machine alone.")
        if destination.reach == "public" and not is_global(address):
            raise UnsafeAddress(f"{destination.host} is not at a public IP address.")
        checked.append(str(address))
    return checked


def is_global(address: IPAddress) -> bool:
    """Whether it is an ordinary address of the public Internet. ipaddress.is_global knows no multicast, site-local,
    NAT64, 6to4 and compatible forms, and in Python 3.11 not all of the registries."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_global(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_IPV6 and not any(address in network for network in _SPECIAL_IPV6)


def _is_loopback(address: IPAddress | None) -> bool:
    # In Python 3.11 `is_loopback` is false for ::ffff:127.0.0.1, later true: mapped forms are refused here always.
    if isinstance(address, IPv6Address):
        return address == IPv6Address("::1")
    return address is not None and address.is_loopback


def _read_link(text: str) -> Destination:
    """Syntax alone. Raises UnsafeAddress."""
    if len(text) > URL_LENGTH_MAX:
        raise UnsafeAddress(f"The address is longer than {URL_LENGTH_MAX} characters.")
    if not text.isprintable() or " " in text or "\\" in text:
        raise UnsafeAddress("The address has a space, a backslash or a control character.")
    if "#" in text:
        raise UnsafeAddress("The address has a fragment (#).")
    link = _LINK.fullmatch(text)
    if link is None or link[1].lower() not in DEFAULT_PORTS:
        raise UnsafeAddress("The address must begin with https://.")
    scheme = link[1].lower()
    if "@" in link[2]:
        raise UnsafeAddress("The address has a user name or password.")
    authority = _AUTHORITY.fullmatch(link[2])
    if authority is None or not authority[1]:
        raise UnsafeAddress("The host or port of the address is not valid.")
    host, address = _read_host(authority[1])
    port = int(authority[2]) if authority[2] else DEFAULT_PORTS[scheme]
    if port > 65_535:
        raise UnsafeAddress("The host or port of the address is not valid.")
    path = quote((link[3] or "/") + (link[4] or ""), safe=_PATH_SAFE)
    return Destination(scheme, host, port, path, address)


def _read_host(text: str) -> tuple[str, IPAddress | None]:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except ValueError:
            raise UnsafeAddress("The host is not a valid IPv6 address.") from None
        return str(address), address
    host = _to_ascii(text)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return host, _read_ipv4(text)
    if len(host) > HOST_LENGTH_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise UnsafeAddress("The host is not a valid name.")
    return host, None


def _to_ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    if len(host) > HOST_LENGTH_MAX:  # idna takes long over long ones
        raise UnsafeAddress("The host is not a valid name.")
    try:
        return idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        raise UnsafeAddress("The host is not a valid name.") from None


def _read_ipv4(text: str) -> IPv4Address:
    """Four decimal numbers in ASCII, no leading zeros. Every other spelling means different addresses to different
    readers."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise UnsafeAddress("The host is an unusual spelling of an IP address.") from None


def _check_name(host: str) -> None:
    labels = host.split(".")
    if len(labels) == 1:
        raise UnsafeAddress("The host is not a full domain name.")
    endings = {".".join(labels[start:]) for start in range(len(labels))}
    if endings & _LOCAL_DOMAINS or endings & _METADATA_NAMES:
        raise UnsafeAddress("The host is not a public name.")
