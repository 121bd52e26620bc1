"""The front: who reaches what, and that nothing is changed, mixed up or kept on its way."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from fedcredit.adapters.coordinator_folder import read_register, revoke_institution
from fedcredit.adapters.front import FrontLimits, SuperLinkPlace
from fedcredit.adapters.gate import Gate, Standing
from fedcredit.adapters.system import utc_moment
from tests.adapters.enrolled import HOST, Consortium, kind_of, serving, upstream

FLEET = "/v1/fleet/pull-messages"
NOBODYS = (
    "/",
    "/docs",
    "/openapi.json",
    "/redoc",
    "/health",
    "/v1/control/start-run",
    "/v1/runtime/pull-task",
    "/v1/fleet",
    "/v1/fleet/",
    "/v1/fleetx/a",
    "/v1/studiesx",
    "/V1/fleet/pull-messages",
    "/v1//fleet/pull-messages",
    "//v1/fleet/pull-messages",
    "/v1/fleet/../control/start-run",
    "/v1/fleet/./pull-messages",
    "/v1/fleet/%2e%2e/control/start-run",
    "/v1/fleet/..%2fcontrol/start-run",
    "/v1/fleet/pull-messages;a=b",
    "/v1/fleet\\control",
    "/enrol",
    "/enrol/",
    "/enrol/approve",
)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    """With a bank, a shop that is revoked, and an auditor."""
    made = Consortium(tmp_path_factory.mktemp("consortium")).found()
    made.member("bank")
    made.member("telco")
    made.member("auditor", auditor=True)
    made.member("shop")
    revoke_institution(made.folder, "shop", "left", made.now)
    return made


@pytest.fixture(scope="module")
def place(consortium: Consortium) -> Iterator[SuperLinkPlace]:
    with upstream(consortium) as found:
        yield found


@pytest.fixture(scope="module")
def port(consortium: Consortium, place: SuperLinkPlace) -> Iterator[int]:
    with serving(consortium, place, limits=FrontLimits(enrol_a_minute=10_000)) as found:
        yield found


def client(consortium: Consortium, port: int, name: str) -> httpx.Client:
    path = consortium.base / name / "keys/member.pem" if name else None
    return consortium.client(port, path)


def raw(consortium: Consortium, port: int, name: str, data: bytes, *, end: bool = False) -> bytes:
    """What is answered to bytes that no client would send."""
    path = consortium.base / name / "keys/member.pem" if name else None
    context = consortium.tls(path)
    with (
        socket.create_connection((HOST, port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as line,
    ):
        line.sendall(data)
        line.settimeout(0.3 if end else 20)  # what is not complete is not answered
        found = b""
        try:
            while piece := line.recv(65536):
                found += piece
        except (ssl.SSLError, ConnectionError, TimeoutError):
            pass
        return found


@pytest.mark.parametrize(
    ("path", "name", "status", "kind"),
    [
        (path, name, status, kind)
        for path, row in {
            FLEET: [(401, "no-certificate"), (200, ""), (403, "revoked"), (403, "key")],
            "/v1/studies": [(401, "no-certificate"), (200, ""), (403, "revoked"), (200, "")],
            "/v1/studies/s1/plan.json": [
                (401, "no-certificate"),
                (200, ""),
                (403, "revoked"),
                (200, ""),
            ],
            "/enrol/request": [(400, "malformed")] * 4,
            "/enrol/poll": [(400, "malformed")] * 4,
            "/enrol/renew": [
                (401, "no-certificate"),
                (400, "malformed"),
                (403, "revoked"),
                (400, "malformed"),
            ],
            "/enrol/certificate": [
                (401, "no-certificate"),
                (200, ""),
                (403, "revoked"),
                (200, ""),
            ],
        }.items()
        for name, (status, kind) in zip(("", "bank", "shop", "auditor"), row, strict=True)
    ],
)
def test_who_reaches_what(
    path: str, name: str, status: int, kind: str, consortium: Consortium, port: int
) -> None:
    """A stranger, a member, one that is revoked, and an auditor."""
    headers = consortium.node_header(name or "bank")
    with client(consortium, port, name) as line:
        answered = line.post(path, content=b"{}", headers=headers)
    assert answered.status_code == status, answered.text
    assert not kind or kind_of(answered) == kind


@pytest.mark.parametrize("name", ["", "bank", "shop"])
def test_what_is_nobodys_is_nobodys(name: str, consortium: Consortium, port: int) -> None:
    """Whoever asks, and in whatever spelling; nothing of it comes to Flower."""
    header = consortium.node_header("bank")["flwr-public-key"]
    for path in NOBODYS:
        for method in ("GET", "POST"):
            text = (
                f"{method} {path} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
            assert raw(consortium, port, name, text.encode()).startswith(b"HTTP/1.1 404"), path


def test_bytes_pass_unchanged_both_ways(consortium: Consortium, port: int) -> None:
    """Three megabytes, with the headers of the request but for those of its connection."""
    data = bytes(range(256)) * 12_000
    headers = {
        **consortium.node_header("bank"),
        "content-type": "application/protobuf",
        "flwr-signature": "c2lnbmVk",
        "x-mark": "a b",
        "te": "trailers",
        "connection": "keep-alive, x-secret-hop",
        "x-secret-hop": "1",
        "keep-alive": "timeout=5",
        "x-forwarded-for": "192.0.2.1",
        "forwarded": "for=192.0.2.1",
    }
    with client(consortium, port, "bank") as line:
        for _ in range(2):
            found = line.post(FLEET, content=data, headers=headers).json()
            assert found["sha256"] == hashlib.sha256(data).hexdigest()
            assert found["path"] == FLEET
            came = dict(found["headers"])
            for name in ("flwr-public-key", "flwr-signature", "content-type", "x-mark"):
                assert came[name] == headers[name]
            assert int(came["content-length"]) == len(data)
            dropped = {"te", "x-secret-hop", "keep-alive", "x-forwarded-for", "forwarded"}
            assert not dropped & set(came)
        pieces = (data[at : at + 1000] for at in range(0, len(data), 1000))
        found = line.post(FLEET, content=pieces, headers=headers).json()
        assert found["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4, 5",
        "Content-Length: -4",
        "Content-Length: +4",
        "Content-Length: 0x4",
        "Content-Length: 4 4",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 4\r\n Transfer-Encoding: chunked",
        "Content-Length: 4\r\nHost: other",
        "Content-Length: 4\nTransfer-Encoding: chunked",
    ],
)
def test_a_request_whose_end_is_ambiguous_is_refused(
    framing: str, consortium: Consortium, port: int
) -> None:
    """And what stands behind it is never read as a second request."""
    header = consortium.node_header("bank")["flwr-public-key"]
    smuggled = "POST /v1/fleet/get-run HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    text = (
        f"POST {FLEET} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n{framing}\r\n\r\n"
        f"0\r\n\r\n{smuggled}"
    )
    found = raw(consortium, port, "bank", text.encode())
    assert found[9:12] in (b"400", b"413", b"501"), found
    assert found.count(b"HTTP/1.1") == 1
    assert b"get-run" not in found


def test_a_sound_request_passes_where_an_ambiguous_one_does_not(
    consortium: Consortium, port: int
) -> None:
    """The same bytes, framed soundly: what refuses the others is their framing."""
    header = consortium.node_header("bank")["flwr-public-key"]
    for framing, body in (
        ("Content-Length: 4", "abcd"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
    ):
        text = (
            f"POST {FLEET} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n{framing}\r\n"
            f"Connection: close\r\n\r\n{body}"
        )
        assert raw(consortium, port, "bank", text.encode()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("name", ["telco", "auditor"])
def test_a_member_cannot_show_anothers_node_key(
    name: str, consortium: Consortium, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """And the operator can see who has tried."""
    caplog.set_level(logging.INFO, "fedcredit.front")
    with client(consortium, port, name) as line:
        answered = line.post(FLEET, content=b"", headers=consortium.node_header("bank"))
    assert (answered.status_code, kind_of(answered)) == (403, "key")
    assert f"'{name}' shows another's node key" in caplog.text


@pytest.mark.parametrize("value", [None, "", "AAAA", "%%", "A" * 5000])
def test_a_request_to_flower_without_a_node_key_is_refused(
    value: str | None, consortium: Consortium, port: int
) -> None:
    headers = {} if value is None else {"flwr-public-key": value}
    with client(consortium, port, "bank") as line:
        answered = line.post(FLEET, content=b"", headers=headers)
    assert (answered.status_code, kind_of(answered)) == (403, "key")


def test_an_app_is_told_who_asks_by_the_certificate_alone(
    consortium: Consortium, port: int
) -> None:
    """Whatever the headers say."""
    lies = {"fedcredit.institution": "telco", "x-client-cert": "telco", "fedcredit.role": "auditor"}
    with client(consortium, port, "bank") as line:
        found = line.post("/v1/studies", content=b"abc", headers=lies).json()
    assert found == {"name": "bank", "role": "institution", "bytes": 3}
    with client(consortium, port, "auditor") as line:
        assert line.get("/v1/studies/a").json()["role"] == "auditor"


def test_every_answer_says_what_time_it_is_here_once(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    """By the coordinator's own clock, which is an hour ahead; refusals too."""
    with (
        serving(consortium, place, ahead=timedelta(hours=1)) as port,
        consortium.client(port, consortium.kept("bank")) as bank,
    ):
        dates = [
            bank.get(path).headers.get_list("date") for path in ("/v1/studies", "/v1/control/a")
        ]
    for (date,) in dates:
        ahead = parsedate_to_datetime(date) - utc_moment()
        assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", [FLEET, "/v1/studies", "/enrol/request"])
def test_a_body_over_the_limit_is_cut_off(
    path: str, chunked: bool, consortium: Consortium, place: SuperLinkPlace
) -> None:
    """Declared or not; a body at the limit passes."""
    limits = FrontLimits(fleet_bytes=100_000, app_bytes=100_000)
    headers = consortium.node_header("bank")
    with (
        serving(consortium, place, limits=limits) as port,
        client(consortium, port, "bank") as line,
    ):
        for size, good in ((100_000, True), (100_001, False)):
            data = bytes(size)
            content = iter([data[:50_000], data[50_000:]]) if chunked else data
            try:
                answered = line.post(path, content=content, headers=headers)
            except httpx.HTTPError:  # it was cut off while it was sent
                assert not good or path.startswith("/enrol")
                continue
            assert answered.status_code == (200 if good and "enrol" not in path else 413)


def test_a_length_that_is_declared_and_not_sent_costs_nothing(
    consortium: Consortium, port: int
) -> None:
    """Three gibibytes are refused before a byte of them is read."""
    header = consortium.node_header("bank")["flwr-public-key"]
    text = (
        f"POST {FLEET} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n"
        f"Content-Length: {3 << 30}\r\n\r\n"
    )
    assert raw(consortium, port, "bank", text.encode()).startswith(b"HTTP/1.1 413")


def test_a_request_that_does_not_come_to_its_end_is_ended(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    """To Flower, to an app and to the desk."""
    limits = FrontLimits(exchange_s=0.5, enrol_s=0.5)
    header = consortium.node_header("bank")["flwr-public-key"]
    with serving(consortium, place, limits=limits) as port:
        for path in (FLEET, "/v1/studies", "/enrol/request"):
            text = (
                f"POST {path} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n"
                "Content-Length: 10\r\n\r\nabc"
            )
            assert raw(consortium, port, "bank", text.encode()).startswith(b"HTTP/1.1 408")


def test_a_superlink_that_is_away_is_said_to_be(consortium: Consortium) -> None:
    with socket.create_server((HOST, 0)) as free:
        nowhere = f"https://{HOST}:{free.getsockname()[1]}"
    place = SuperLinkPlace(url=nowhere, tls=consortium.tls())
    with serving(consortium, place) as port, client(consortium, port, "bank") as line:
        answered = line.post(FLEET, content=b"", headers=consortium.node_header("bank"))
    assert (answered.status_code, kind_of(answered)) == (502, "no-superlink")


def test_a_superlink_of_another_authority_is_not_spoken_to(
    consortium: Consortium, tmp_path: Path
) -> None:
    other = Consortium(tmp_path).found()
    with upstream(other) as there:
        place = SuperLinkPlace(url=there.url, tls=consortium.tls())
        with serving(consortium, place) as port, client(consortium, port, "bank") as line:
            answered = line.post(FLEET, content=b"", headers=consortium.node_header("bank"))
    assert (answered.status_code, kind_of(answered)) == (502, "no-superlink")


def test_revocation_counts_on_a_connection_that_is_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fedcredit.front")
    made = Consortium(tmp_path).found()
    made.member("bank")
    with (
        upstream(made) as there,
        serving(made, there) as port,
        made.client(port, made.base / "bank/keys/member.pem") as line,
    ):
        headers = made.node_header("bank")
        assert line.post(FLEET, content=b"", headers=headers).status_code == 200
        revoke_institution(made.folder, "bank", "left", made.now)
        answered = line.post(FLEET, content=b"", headers=headers)
        assert (answered.status_code, kind_of(answered)) == (403, "revoked")
    assert "'bank' is revoked" in caplog.text


def test_a_certificate_that_ends_while_a_connection_is_open_counts_no_more(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    """By the clock of the front, which is two years ahead."""
    with (
        serving(consortium, place, ahead=timedelta(days=730)) as port,
        client(consortium, port, "bank") as line,
    ):
        answered = line.post("/v1/studies", content=b"")
    assert (answered.status_code, kind_of(answered)) == (403, "ended")


@pytest.mark.parametrize("name", ["institutions.json", "pki/revoked.crl"])
def test_nobody_is_let_in_by_a_damaged_file(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Until it is whole again."""
    made = Consortium(tmp_path).found()
    member = made.member("bank")
    path = made.folder / name
    before = path.read_bytes()
    with (
        upstream(made) as there,
        serving(made, there) as port,
        made.client(port, member) as line,
    ):
        path.write_bytes(before[:-40])
        answered = line.post("/v1/studies")
        assert (answered.status_code, kind_of(answered)) == (503, "closed")
        path.write_bytes(before)
        assert line.post("/v1/studies").status_code == 200
    assert caplog.records


def test_the_desk_takes_so_many_requests_a_minute(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    """From one address; members' other requests are not counted."""
    limits = FrontLimits(enrol_a_minute=3)
    with serving(consortium, place, limits=limits) as port:
        with client(consortium, port, "") as line:
            found = [line.post("/enrol/poll", content=b"{}").status_code for _ in range(7)]
        with client(consortium, port, "bank") as line:
            assert line.post("/v1/studies").status_code == 200
    assert 429 in found
    assert found.count(400) in (3, 4, 5, 6)  # a minute may have ended between


def test_no_body_and_no_token_is_logged(
    consortium: Consortium, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary-5d1b"
    with client(consortium, port, "bank") as line:
        headers = consortium.node_header("bank")
        line.post(FLEET, content=canary.encode(), headers=headers)
        line.post("/v1/studies", content=canary.encode())
        for path in ("/enrol/request", "/enrol/poll"):
            line.post(path, content=json.dumps({"name": "bank", "token": canary}).encode())
    raw(consortium, port, "bank", f"POST / HTTP/1.1\r\n{canary}\r\n\r\n".encode())
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    assert canary not in "\n".join(logged)


def test_a_fault_of_an_app_shows_no_text_of_it(
    consortium: Consortium, place: SuperLinkPlace, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("canary-77")

    with (
        serving(consortium, place, apps={"/v1/studies": broken}) as port,
        client(consortium, port, "bank") as line,
    ):
        answered = line.post("/v1/studies")
    assert (answered.status_code, kind_of(answered)) == (500, "fault")
    assert "canary-77" not in answered.text + caplog.text


@pytest.mark.parametrize(
    ("fault", "name", "path", "word"),
    [
        ("path", "bank", "/v1/fleet/../control/start-run", "/v1/control/start-run"),
        ("gate", "shop", FLEET, FLEET),
        ("key", "telco", FLEET, FLEET),
        ("length", "bank", FLEET, FLEET),
    ],
)
def test_each_attack_would_win_without_its_defence(
    fault: str,
    name: str,
    path: str,
    word: str,
    consortium: Consortium,
    place: SuperLinkPlace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So what refuses it above is the defence, and not something else on the way."""
    header = consortium.node_header("bank")["flwr-public-key"]
    length = "Content-Length: 0\r\n"
    if fault == "length":
        length += "Transfer-Encoding: chunked\r\n"
    text = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n{length}"
        "Connection: close\r\n\r\n" + ("0\r\n\r\n" if fault == "length" else "")
    )
    with serving(consortium, place) as port:
        found = raw(consortium, port, name, text.encode())
    assert found[9:12] in (b"404", b"403", b"400")
    match fault:
        case "path":
            monkeypatch.setattr("fedcredit.adapters.front._PLAIN", lambda _: True)
        case "gate":
            bank = read_register(consortium.folder).named("bank")
            monkeypatch.setattr(Gate, "standing", lambda *_: Standing("member", (bank,)))
        case "key":
            monkeypatch.setattr("fedcredit.adapters.front.shows_key", lambda *_: True)
        case _:
            monkeypatch.setattr("fedcredit.adapters.front.is_ambiguous", lambda _: False)
    with serving(consortium, place) as port:
        found = raw(consortium, port, name, text.encode())
    assert found.startswith(b"HTTP/1.1 200")
    assert f'"path": "{word}"'.encode() in found


@pytest.mark.parametrize("seed", range(4))
def test_nonsense_is_refused_and_the_front_stands(
    seed: int, consortium: Consortium, port: int
) -> None:
    """Requests with bytes changed, cut out and doubled: never a 5xx, never a wait."""
    draw = np.random.default_rng(seed)

    def below(limit: int) -> int:
        return int(draw.integers(limit))

    header = consortium.node_header("bank")["flwr-public-key"]
    body = json.dumps({"name": "bank", "token": "ab" * 32, "card": {"request": "x"}})
    for _ in range(40):
        path = (FLEET, "/v1/studies", "/enrol/request", "/enrol/renew", "/docs")[below(5)]
        data = bytearray(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nflwr-public-key: {header}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )
        for _ in range(1 + below(6)):
            at = below(len(data))
            match below(3):
                case 0:
                    data[at] = below(256)
                case 1:
                    del data[at : at + 1 + below(20)]
                case _:
                    data[at:at] = data[at : at + 1 + below(20)]
        found = raw(consortium, port, ("", "bank")[below(2)], bytes(data), end=True)
        assert found[9:10] in (b"", b"2", b"4") or found[9:12] == b"501", found
    with client(consortium, port, "bank") as line:
        assert line.post("/v1/studies").status_code == 200


def test_a_large_upload_is_not_kept_in_memory(consortium: Consortium) -> None:
    """Sixty megabytes pass while the process that passes them grows by less than a few."""
    with upstream(consortium) as place, serving(consortium, place) as port:
        sizes: list[int] = []
        with client(consortium, port, "bank") as line:

            def pieces() -> Iterator[bytes]:
                for _ in range(60):
                    yield bytes(1 << 20)
                    sizes.append(resident_kib())

            headers = consortium.node_header("bank") | {"content-length": str(60 << 20)}
            found = line.post(FLEET, content=pieces(), headers=headers).json()
    assert found["bytes"] == 60 << 20
    assert max(sizes) - min(sizes) < 24 << 10  # of two servers and a client in one process


def resident_kib() -> int:
    """Memory of this process."""
    text = Path("/proc/self/status").read_text("ascii")
    return int(text.split("VmRSS:")[1].split()[0])
