"""Who is called by the guard of outgoing requests, and who is not; redirects."""

from collections.abc import Callable

import pytest

from gateway.addresses import Policy, UnsafeAddress
from gateway.outbound import (
    FetchFailed,
    Network,
    fetch,
    post,
    resolve_name,
)
from tests.gateway.far_end import head
from tests.gateway.hostile_links import HOSTILE, UNSAFE_ADDRESSES
from tests.gateway.outbound_calls import (
    BOTH_WAYS,
    LIMITS,
    LOOPBACK,
    PICTURE,
    Names,
    by_path,
    redirect_to,
    refuse_to_resolve,
)
from tests.gateway.outbound_servers import (
    Authority,
    LoopbackServer,
    NetworkWatch,
    answer,
    serving,
)

# Who is called


@BOTH_WAYS
@pytest.mark.parametrize("url", [url for url, _ in HOSTILE])
def test_a_hostile_link_is_neither_resolved_nor_connected_to(
    go: Callable[[str, Network], object], url: str, watch: NetworkWatch
) -> None:
    with pytest.raises(UnsafeAddress):
        go(url, Network(refuse_to_resolve))
    assert (watch.lookups, watch.connects) == ([], [])


@BOTH_WAYS
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0.0.0.0",
        "0",
        "[::ffff:127.0.0.1]",
        "127。0。0。1",
        "good.example@127.0.0.1",
    ],
)
def test_no_spelling_of_this_machine_reaches_a_server_on_it(
    go: Callable[[str, Network], object], scheme: str, host: str, canary: LoopbackServer
) -> None:
    with pytest.raises(UnsafeAddress):
        go(f"{scheme}://{host}:{canary.port}/", Network(refuse_to_resolve))


@BOTH_WAYS
@pytest.mark.parametrize(
    "answers", [[one] for one in UNSAFE_ADDRESSES] + [["8.8.8.8", "127.0.0.1"]]
)
def test_a_name_with_an_unsafe_answer_is_not_connected_to(
    go: Callable[[str, Network], object], answers: list[str], watch: NetworkWatch
) -> None:
    with pytest.raises(UnsafeAddress):
        go("https://good.example/", Network(Names(answers)))
    assert watch.connects == []


@BOTH_WAYS
def test_the_systems_own_answers_are_checked_too(
    go: Callable[[str, Network], object], watch: NetworkWatch
) -> None:
    def as_localhost(name: str) -> list[str]:
        return resolve_name("localhost")

    with pytest.raises(UnsafeAddress):
        go("https://good.example/", Network(as_localhost))
    assert (watch.lookups, watch.connects) == (["localhost"], [])


def test_a_name_is_resolved_once_and_the_connection_goes_to_that_answer(
    authority: Authority, watch: NetworkWatch
) -> None:
    tls = authority.serve_as("good.example")
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    with (
        serving(answer(PICTURE), "127.0.0.2", tls=tls) as first,
        serving(answer(PICTURE), "127.0.0.1", first.port, tls) as second,
    ):
        origin = f"https://good.example:{first.port}"
        found = fetch(
            f"{origin}/a?b=c",
            Policy(own_origin=origin),
            LIMITS,
            Network(names, authority.trusted()),
        )
    assert found == (b"a picture", "image/png", f"{origin}/a?b=c")
    assert (first.connections, second.connections) == (1, 0)
    assert (names.asked, watch.lookups) == (["good.example"], [])
    assert watch.connects == [("127.0.0.2", first.port)]
    assert first.requests[0].lines[0] == "GET /a?b=c HTTP/1.1"
    assert first.requests[0].headers == {
        "host": f"good.example:{first.port}",
        "user-agent": "tollgate",
        "accept-encoding": "identity",
    }


def test_a_callback_goes_to_the_first_answer_alone(authority: Authority) -> None:
    tls = authority.serve_as("good.example")
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    with (
        serving(answer(PICTURE), "127.0.0.2", tls=tls) as first,
        serving(answer(PICTURE), "127.0.0.1", first.port, tls) as second,
    ):
        origin = f"https://good.example:{first.port}"
        network = Network(names, authority.trusted())
        assert post(origin, b"{}", {}, Policy(own_origin=origin), 10.0, network).status == 200
    assert (first.connections, second.connections, names.asked) == (1, 0, ["good.example"])


@pytest.mark.parametrize("named", ["other.example", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(named: str, authority: Authority) -> None:
    with serving(answer(PICTURE), tls=authority.serve_as(named)) as server:
        origin = f"https://good.example:{server.port}"
        network = Network(Names(["127.0.0.1"]), authority.trusted())
        with pytest.raises(FetchFailed, match="certificate") as failure:
            fetch(origin, Policy(own_origin=origin), LIMITS, network)
    assert not failure.value.transient
    assert server.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    with serving(answer(PICTURE), tls=authority.serve_as("good.example")) as server:
        origin = f"https://good.example:{server.port}"
        with pytest.raises(FetchFailed, match="certificate"):
            fetch(origin, Policy(own_origin=origin), LIMITS, Network(Names(["127.0.0.1"])))
    assert server.requests == []


def test_what_does_not_speak_tls_is_no_connection() -> None:
    with (
        serving(answer(PICTURE)) as server,
        pytest.raises(FetchFailed, match="no connection") as failure,
    ):
        fetch(f"https://127.0.0.1:{server.port}/", LOOPBACK, LIMITS)
    assert failure.value.transient


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with serving(answer(PICTURE)) as server:
        policy = Policy(own_origin=f"http://good.example:{server.port}")
        names = Names(["127.0.0.3", "127.0.0.4", "127.0.0.1"])
        found = fetch(f"http://good.example:{server.port}/", policy, LIMITS, Network(names))
    assert found.data == b"a picture"


def test_a_name_with_many_addresses_does_not_have_us_knock_at_each(canary: LoopbackServer) -> None:
    policy = Policy(own_origin=f"http://good.example:{canary.port}")
    names = Names([*(f"127.0.0.{n}" for n in range(3, 7)), "127.0.0.1"])
    with pytest.raises(FetchFailed, match="no connection"):
        fetch(f"http://good.example:{canary.port}/", policy, LIMITS, Network(names))


def test_proxies_of_the_environment_are_not_used(
    canary: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.setenv(name, canary.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(answer(PICTURE)) as server:
        assert fetch(server.url, LOOPBACK, LIMITS).data == b"a picture"
        assert post(server.url, b"", {}, LOOPBACK, 10.0).status == 200


# Loopback by policy


def test_localhost_passes_by_policy_with_the_systems_own_resolver() -> None:
    with serving(answer(PICTURE)) as server:
        found = fetch(f"http://localhost:{server.port}/", LOOPBACK, LIMITS)
    assert found.url == f"http://localhost:{server.port}/"


def test_a_name_that_resolves_to_loopback_is_refused_also_by_that_policy(
    watch: NetworkWatch,
) -> None:
    with pytest.raises(UnsafeAddress):
        fetch("https://good.example/", LOOPBACK, LIMITS, Network(Names(["127.0.0.1"])))
    with pytest.raises(UnsafeAddress):
        fetch("http://localhost:1/", LOOPBACK, LIMITS, Network(Names(["127.0.0.1", "10.0.0.1"])))
    assert watch.connects == []


# Redirects


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_a_redirect_is_followed(status: str) -> None:
    answers = {"/a": redirect_to("/b?c=d#part", status), "/b?c=d": PICTURE}
    with serving(by_path(answers)) as server:
        found = fetch(f"{server.url}/a", Policy(own_origin=server.url), LIMITS)
    assert found == (b"a picture", "image/png", f"{server.url}/b?c=d")


def test_three_redirects_are_followed_and_no_fourth() -> None:
    answers = {f"/{n}": redirect_to(f"/{n + 1}") for n in range(4)} | {"/4": PICTURE}
    with serving(by_path(answers)) as server:
        assert fetch(f"{server.url}/1", LOOPBACK, LIMITS).data == b"a picture"
        assert server.connections == 4
        with pytest.raises(FetchFailed, match="more than 3 redirects") as failure:
            fetch(f"{server.url}/0", LOOPBACK, LIMITS)
        assert server.connections == 8
    assert not failure.value.transient


def test_a_loop_of_redirects_ends() -> None:
    with (
        serving(by_path({"/": redirect_to("/")})) as server,
        pytest.raises(FetchFailed, match="redirects"),
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert server.connections == 4


def test_a_redirect_to_nowhere_is_a_failure() -> None:
    with (
        serving(answer(head("302 Found", "content-length: 0"))) as server,
        pytest.raises(FetchFailed, match="nowhere"),
    ):
        fetch(server.url, LOOPBACK, LIMITS)


@pytest.mark.parametrize(
    "form",
    [
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0.0.0.0:{port}/",
        "//127.0.0.1:{port}#@good.example/",
        "//good.example@127.0.0.1:{port}/",
        "/\\127.0.0.1:{port}/",
        "http:\\\\127.0.0.1:{port}/",
        "/\t/127.0.0.1:{port}/",
        "/else\twhere",
        "http://[::1:{port}/",
        "https://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://good.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "data:image/png;base64,AAAA",
        "https://good.example/\xa0",
    ],
)
def test_a_redirect_to_an_unsafe_place_is_not_followed(
    form: str, canary: LoopbackServer, watch: NetworkWatch
) -> None:
    with serving(answer(redirect_to(form.format(port=canary.port)))) as server:
        policy = Policy(own_origin=server.url)
        with pytest.raises(UnsafeAddress):
            fetch(server.url, policy, LIMITS, Network(refuse_to_resolve))
    assert watch.connects == [("127.0.0.1", server.port)]


def test_the_name_of_a_redirect_is_resolved_and_checked_anew(watch: NetworkWatch) -> None:
    names = Names(["127.0.0.1"])
    with (
        serving(answer(redirect_to("https://good.example/"))) as server,
        pytest.raises(UnsafeAddress, match=r"good\.example"),
    ):
        fetch(server.url, Policy(own_origin=server.url), LIMITS, Network(names))
    assert names.asked == ["good.example"]
    assert watch.connects == [("127.0.0.1", server.port)]


def test_a_redirect_never_leads_from_https_to_http_elsewhere(
    authority: Authority, canary: LoopbackServer
) -> None:
    own = f"http://vendor.example:{canary.port}"
    tls = authority.serve_as("localhost")
    with serving(answer(redirect_to(own)), tls=tls) as server:
        network = Network(Names(["127.0.0.1"]), authority.trusted())
        with pytest.raises(UnsafeAddress, match="from https to http"):
            fetch(f"https://localhost:{server.port}", Policy(True, own), LIMITS, network)
    assert server.connections == 1


def test_on_loopback_by_policy_it_may(authority: Authority) -> None:
    with (
        serving(answer(PICTURE)) as plain,
        serving(answer(redirect_to(plain.url)), tls=authority.serve_as("localhost")) as server,
    ):
        network = Network(Names(["127.0.0.1"]), authority.trusted())
        found = fetch(f"https://localhost:{server.port}", LOOPBACK, LIMITS, network)
    assert found.url == f"{plain.url}/"


def test_nothing_is_carried_from_one_hop_to_the_next() -> None:
    first = head("302 Found", "location: /b", "set-cookie: a=b; path=/", "content-length: 0")
    with serving(by_path({"/a": first, "/b": PICTURE})) as server:
        fetch(f"{server.url}/a", LOOPBACK, LIMITS)
    assert set(server.requests[1].headers) == {"host", "user-agent", "accept-encoding"}
