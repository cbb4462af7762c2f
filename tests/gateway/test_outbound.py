import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.addresses import Policy, UnsafeAddress
from gateway.outbound import (
    EXCERPT_BYTES,
    FetchFailed,
    Limits,
    Network,
    TooLarge,
    fetch,
    post,
    resolve_name,
)
from tests.gateway.far_end import Seen, chunked, head, whole
from tests.gateway.hostile_links import HOSTILE, UNSAFE_ADDRESSES
from tests.gateway.outbound_servers import (
    Authority,
    LoopbackServer,
    NetworkWatch,
    Play,
    answer,
    drip,
    say_nothing,
    serving,
)

STRICT = Policy()
LOOPBACK = Policy(allow_loopback=True)
LIMITS = Limits(bytes_max=1_000, timeout_s=10.0)
PICTURE = whole(b"a picture", "Image/PNG; q=1")


class Names:
    """A resolver that gives one list of answers after the other, the last for ever, and remembers who was asked for."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def refuse_to_resolve(name: str) -> list[str]:
    raise AssertionError(f"{name} was looked up")


def redirect_to(location: str, status: str = "302 Found") -> bytes:
    return head(status, f"location: {location}", "content-length: 0")


def by_path(answers: dict[str, bytes]) -> Play:
    """Answers each path with what is written for it."""

    def play(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        connection.sendall(answers[seen.lines[0].split()[1]])

    return play


def read_link(url: str, network: Network) -> object:
    return fetch(url, STRICT, LIMITS, network)


def call_back(url: str, network: Network) -> object:
    return post(url, b"{}", {}, STRICT, 10.0, network)


BOTH_WAYS = pytest.mark.parametrize("go", [read_link, call_back])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def network_watch() -> NetworkWatch:
    return NetworkWatch()


@pytest.fixture
def watch(network_watch: NetworkWatch) -> Iterator[NetworkWatch]:
    with network_watch.on():
        yield network_watch


@pytest.fixture
def canary() -> Iterator[LoopbackServer]:
    """Nobody may ever come here."""
    with serving(answer(PICTURE)) as server:
        yield server
        assert server.connections == 0


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


# Size


def test_an_answer_of_the_greatest_size_is_whole() -> None:
    body = b"x" * LIMITS.bytes_max
    with serving(answer(whole(body))) as server:
        assert fetch(server.url, LOOPBACK, LIMITS).data == body


@pytest.mark.parametrize(
    "pieces",
    [
        (whole(b"x" * 1_001),),
        (head("200 OK", "content-length: 999999999999"),),
        (head("200 OK"), b"x" * 1_001),
        (head("200 OK", "transfer-encoding: chunked"), chunked(b"x" * 600, b"x" * 600)),
    ],
    ids=["said and sent", "only said", "unsaid", "chunked"],
)
def test_an_answer_that_is_larger_is_refused(pieces: tuple[bytes, ...]) -> None:
    with (
        serving(answer(*pieces)) as server,
        pytest.raises(TooLarge),
    ):
        fetch(server.url, LOOPBACK, LIMITS)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (head("200 OK"), b"x" * 10_000),
        (head("200 OK", "transfer-encoding: chunked"), b"2710\r\n%b\r\n" % (b"x" * 10_000)),
    ],
)
def test_an_endless_answer_is_left_as_soon_as_it_is_too_large(start: bytes, drop: bytes) -> None:
    with serving(drip(start, drop, 0.001)) as server:
        begun = time.monotonic()
        with pytest.raises(TooLarge):
            fetch(server.url, LOOPBACK, LIMITS)
        assert time.monotonic() - begun < LIMITS.timeout_s / 2


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    with serving(answer(head("200 OK"), b"abc", b"def")) as server:
        assert fetch(server.url, LOOPBACK, LIMITS) == (b"abcdef", "", f"{server.url}/")


@pytest.mark.parametrize(
    "pieces",
    [
        (head("200 OK", "content-length: 10"), b"short"),
        (head("200 OK", "transfer-encoding: chunked"), b"5\r\nshort\r\n"),
        (b"HTTP/1.1 200",),
        (b"not http at all\r\n\r\n",),
        (head("200 OK", "content-length: 3", "content-length: 4"), b"abcd"),
        (head("200 OK", f"x: {'y' * 200_000}"),),
        (),
    ],
)
def test_a_broken_answer_is_a_failure_that_may_pass(pieces: tuple[bytes, ...]) -> None:
    with (
        serving(answer(*pieces)) as server,
        pytest.raises(FetchFailed, match="broke") as failure,
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert failure.value.transient


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_an_encoded_answer_is_refused(coding: str) -> None:
    body = gzip.compress(b"x" * 100)
    lines = (f"content-encoding: {coding}", f"content-length: {len(body)}")
    with (
        serving(answer(head("200 OK", *lines), body)) as server,
        pytest.raises(FetchFailed, match="encoding") as failure,
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert not failure.value.transient


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 410, 408, 425, 429, 500, 503])
def test_another_status_is_a_failure(status: int) -> None:
    with (
        serving(answer(head(f"{status} X", "content-length: 0"))) as server,
        pytest.raises(FetchFailed) as failure,
    ):
        fetch(server.url, LOOPBACK, LIMITS)
    assert failure.value.status == status
    assert failure.value.transient is (status in (408, 425, 429, 500, 503))


# Time


@contextlib.contextmanager
def ends_in_time(timeout_s: float) -> Iterator[None]:
    """A failure that may pass, not before its time and not long after."""
    begun = time.monotonic()
    with pytest.raises(FetchFailed, match="in time") as failure:
        yield
    assert failure.value.transient
    assert timeout_s * 0.9 < time.monotonic() - begun < timeout_s + 1.0


@pytest.mark.parametrize(
    "play",
    [
        say_nothing,
        drip(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
        drip(head("200 OK", "content-length: 900"), b"x"),
        drip(head("200 OK", "transfer-encoding: chunked"), b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "head", "body", "chunks", "continue"],
)
def test_a_slow_answer_ends_at_the_deadline(play: Play) -> None:
    with serving(play) as server, ends_in_time(0.5):
        fetch(server.url, LOOPBACK, Limits(1_000, 0.5))


def test_all_hops_together_have_one_deadline() -> None:
    def play(connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        over.wait(0.3)
        connection.sendall(redirect_to("/"))

    with serving(play) as server, ends_in_time(0.5):
        fetch(server.url, LOOPBACK, Limits(1_000, 0.5))


def test_a_handshake_that_never_ends_does_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ends_in_time(0.5):
        fetch(f"https://127.0.0.1:{listener.getsockname()[1]}", LOOPBACK, Limits(1_000, 0.5))


def test_a_name_that_is_never_resolved_is_given_up_at_the_deadline() -> None:
    over = threading.Event()

    def hang(name: str) -> list[str]:
        over.wait(10)
        return ["127.0.0.1"]

    with ends_in_time(0.5):
        fetch("https://good.example/", STRICT, Limits(1_000, 0.5), Network(hang))
    over.set()


def test_a_callback_that_nobody_reads_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ends_in_time(0.5):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        post(url, b"x" * 50_000_000, {}, LOOPBACK, 0.5)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), False),
        (socket.gaierror(socket.EAI_AGAIN, "later"), True),
        (OSError("no resolver"), True),
    ],
)
def test_a_name_that_is_not_resolved_is_a_failure(error: OSError, transient: bool) -> None:
    def fail(name: str) -> list[str]:
        raise error

    with pytest.raises(FetchFailed, match=r"good\.example was not resolved") as failure:
        fetch("https://good.example/", STRICT, LIMITS, Network(fail))
    assert failure.value.transient is transient


def test_a_name_without_an_address_is_a_failure() -> None:
    with pytest.raises(FetchFailed, match="no IP address"):
        fetch("https://good.example/", STRICT, LIMITS, Network(Names([])))


# Callbacks


def test_a_callback_is_posted_with_its_headers_and_our_own_cannot_be_replaced() -> None:
    headers = {"Webhook-Id": "msg_1", "Content-Type": "application/json", "HOST": "evil.example"}
    with serving(answer(whole(b"thank you\x00\n", status="201 Created"))) as server:
        posted = post(f"{server.url}/hook", b'{"a":1}', headers, LOOPBACK, 10.0)
    assert (posted.status, posted.excerpt) == (201, "thank you  ")
    assert 0 <= posted.ms < 10_000
    (seen,) = server.requests
    assert seen.lines[0] == "POST /hook HTTP/1.1"
    assert seen.body == b'{"a":1}'
    assert seen.headers == {
        "webhook-id": "msg_1",
        "content-type": "application/json",
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "tollgate",
        "accept-encoding": "identity",
        "content-length": "7",
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500])
def test_whatever_answers_a_callback_is_a_status(status: int, canary: LoopbackServer) -> None:
    with serving(answer(redirect_to(canary.url, f"{status} X"))) as server:
        assert post(server.url, b"{}", {}, LOOPBACK, 10.0).status == status


def test_no_more_than_an_excerpt_of_an_endless_answer_is_read() -> None:
    with serving(drip(head("200 OK"), b"x" * 700, 0.001)) as server:
        begun = time.monotonic()
        posted = post(server.url, b"{}", {}, LOOPBACK, 10.0)
        assert time.monotonic() - begun < 4.0
    assert posted.excerpt == "x" * EXCERPT_BYTES


def test_a_callback_whose_answer_does_not_end_has_its_status_all_the_same() -> None:
    with serving(drip(head("200 OK", "content-length: 900"), b"x", 0.1)) as server:
        posted = post(server.url, b"{}", {}, LOOPBACK, 0.5)
    assert posted.status == 200
    assert 1 <= len(posted.excerpt) <= 6


def test_an_encoded_answer_has_no_excerpt() -> None:
    with serving(answer(head("200 OK", "content-encoding: gzip"), b"PK")) as server:
        assert post(server.url, b"{}", {}, LOOPBACK, 10.0).excerpt == ""


def test_a_callback_to_nobody_is_a_failure_that_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchFailed, match="no connection") as failure:
        post(f"http://127.0.0.1:{port}", b"{}", {}, LOOPBACK, 10.0)
    assert failure.value.transient
