import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.addresses import Policy, UnsafeAddress, check_answers, check_url, is_global
from tests.gateway.hostile_links import ACCEPTED, GLOBAL_ADDRESSES, HOSTILE, UNSAFE_ADDRESSES

STRICT = Policy()
LOOPBACK = Policy(allow_loopback=True)


@pytest.mark.parametrize(("url", "reason"), HOSTILE)
def test_a_hostile_link_is_refused_and_its_caller_told_why(url: str, reason: str) -> None:
    with pytest.raises(UnsafeAddress, match=reason):
        check_url(url, STRICT)


@pytest.mark.parametrize(("url", "sent"), ACCEPTED)
def test_a_right_link_passes_in_canonical_form(url: str, sent: str) -> None:
    assert check_url(url, STRICT).url == sent
    assert check_url(sent, STRICT).url == sent


@pytest.mark.parametrize("address", UNSAFE_ADDRESSES)
def test_an_address_of_special_purpose_is_not_global(address: str) -> None:
    assert not is_global(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", GLOBAL_ADDRESSES)
def test_an_ordinary_address_is_global(address: str) -> None:
    assert is_global(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_nothing_is_global_that_the_standard_library_knows_to_be_otherwise(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_global(address) and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


def spell(number: int, base: str) -> str:
    return {"decimal": f"{number}", "octal": f"0{number:o}", "hex": f"0x{number:x}"}[base]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.lists(st.sampled_from(["decimal", "octal", "hex"]), min_size=4, max_size=4),
)
def test_no_spelling_that_libc_reads_as_an_address_passes_for_a_name(
    address: int, parts: int, bases: list[str]
) -> None:
    octets = address.to_bytes(4)
    numbers = [*octets[: parts - 1], int.from_bytes(octets[parts - 1 :])]
    host = ".".join(spell(n, base) for n, base in zip(numbers, bases, strict=False))
    assert socket.inet_aton(host) == octets
    try:
        link = check_url(f"https://{host}/", STRICT)
    except UnsafeAddress:
        return
    assert link.host == str(ipaddress.IPv4Address(address)) == host
    assert link.address is not None
    assert is_global(link.address)


@given(st.text(st.characters(codec="utf-8"), max_size=24))
def test_a_host_that_passes_is_a_name_in_ascii_that_libc_does_not_read_as_an_address(
    host: str,
) -> None:
    try:
        link = check_url(f"https://{host}.example/", STRICT)
    except UnsafeAddress:
        return
    assert link.host.endswith(".example") or "/" in host or "?" in host
    assert link.url.isascii()
    if link.address is None:
        with pytest.raises(OSError, match="illegal"):
            socket.inet_aton(link.host)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8000/x",
        "https://127.9.9.9:8443/",
        "http://[::1]:9000/",
        "http://localhost:9000/",
        "https://LOCALHOST/",
        "https://good.example/",
    ],
)
def test_a_policy_of_loopback_passes_this_machine_at_every_port(url: str) -> None:
    check_url(url, LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "http://good.example/",
        "https://good.example:8443/",
        "http://10.0.0.1/",
        "https://192.168.0.1/",
        "https://169.254.169.254/",
        "http://0.0.0.0:8000/",
        "http://2130706433/",
        "http://127.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::]/",
        "http://app.localhost/",
        "http://alice@127.0.0.1/",
        "http://localhost.:8000/",
        "ftp://127.0.0.1/",
    ],
)
def test_a_policy_of_loopback_passes_nothing_else(url: str) -> None:
    with pytest.raises(UnsafeAddress):
        check_url(url, LOOPBACK)


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080/files/1.png?s=a"),
        ("http://pictures:9000/", "http://PICTURES:9000/1"),
        ("https://vendor.internal", "https://vendor.internal:443/1"),
        ("http://[fd00::5]:80", "http://[fd00:0::5]/1"),
    ],
)
def test_a_link_to_the_operators_own_origin_passes(origin: str, url: str) -> None:
    link = check_url(url, Policy(own_origin=origin))
    assert link.reach == "own"
    assert check_answers(link, ["10.0.0.5", "127.0.0.1"]) == ["10.0.0.5", "127.0.0.1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5:8081/",
        "http://10.0.0.5/",
        "https://10.0.0.5:8080/",
        "http://10.0.0.6:8080/",
        "http://10.0.0.5:8080@10.0.0.6/",
        "http://10.0.0.5:8080.good.example/",
        "http://10.0.0.6/?http://10.0.0.5:8080/",
        "http://0xa.5:8080/",
    ],
)
def test_a_link_to_another_origin_does_not(url: str) -> None:
    with pytest.raises(UnsafeAddress):
        check_url(url, Policy(own_origin="http://10.0.0.5:8080"))


@pytest.mark.parametrize("unsafe", [*UNSAFE_ADDRESSES, "2130706433", "", "good.example"])
@pytest.mark.parametrize("others", [[], ["8.8.8.8"]])
def test_one_unsafe_answer_refuses_the_name(unsafe: str, others: list[str]) -> None:
    link = check_url("https://good.example/", LOOPBACK)
    with pytest.raises(UnsafeAddress, match=r"good\.example") as refusal:
        check_answers(link, [*others, unsafe])
    assert not unsafe or unsafe not in str(refusal.value) or unsafe == "good.example"


def test_localhost_may_be_nothing_but_loopback() -> None:
    link = check_url("http://localhost/", LOOPBACK)
    assert check_answers(link, ["::1", "127.0.0.1"]) == ["::1", "127.0.0.1"]
    for elsewhere in ("10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1"):
        with pytest.raises(UnsafeAddress):
            check_answers(link, ["127.0.0.1", elsewhere])


def test_the_host_header_names_a_port_only_where_it_is_unusual() -> None:
    assert check_url("https://good.example:443/", STRICT).authority == "good.example"
    assert check_url("http://[::1]:81/", LOOPBACK).authority == "[::1]:81"
    assert check_url("http://127.0.0.1:443/", LOOPBACK).authority == "127.0.0.1:443"
