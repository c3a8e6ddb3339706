"""Findings reach each kind of receiver once, again where that may help, and nothing secret is ever told."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trailkeep.config import Receiver, ReceiverType
from trailkeep.config.receivers import read_receivers
from trailkeep.config.values import Place
from trailkeep.errors import ConfigError
from trailkeep.notifying import Delivery, bodies, deliver
from trailkeep.notifying.syslog import message

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "T0PSECRETPATH"


def finding(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "finding_id": f"{number:016x}",
        "detection": "persistence/keys-for-another",
        "title": "A key for somebody else",
        "severity": "high",
        "summary": "mallory made a key for bob",
        "first_seen": "2026-03-01T10:00:00Z",
        "last_seen": "2026-03-01T10:00:00Z",
        "count": 1,
        "event_ids": ["e1"],
    } | more


class Hook:
    """A receiver on loopback that answers as it is told, then 200."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[tuple[dict[str, str], Any]] = []
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[Hook]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = hook.answers.pop(0) if hook.answers else (200, {})
                hook.got.append((dict(self.headers), json.loads(body)))
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook().running() as running:
        yield running


class Sent:
    """One delivery, with what it waited for and what it recorded."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.taken: list[list[str]] = []

    def deliver(self, receiver: Receiver, findings: list[dict[str, Any]], **environ: str) -> Delivery:
        return deliver(
            receiver,
            findings,
            archive_id="archive",
            environ=environ,
            clock=lambda: NOW,
            taken=self.taken.append,
            sleep=self.pauses.append,
        )


@pytest.fixture
def sent() -> Sent:
    return Sent()


def web(kind: ReceiverType = ReceiverType.WEBHOOK, **more: Any) -> Receiver:
    return Receiver(name="siem", type=kind, **({"url_env": "HOOK"} | more))


class TestWebhook:
    def test_findings_arrive_whole_with_a_key_that_tells_a_repetition(self, hook: Hook, sent: Sent) -> None:
        done = sent.deliver(web(token_env="TOKEN"), [finding(1), finding(2)], HOOK=hook.url, TOKEN="abc")
        assert (done.delivered, done.waiting, done.problem) == ((f"{1:016x}", f"{2:016x}"), (), None)
        ((headers, body),) = hook.got
        assert body == {"source": "trailkeep", "archive_id": "archive", "findings": [finding(1), finding(2)]}
        assert headers["Authorization"] == "Bearer abc"
        sent.deliver(web(), [finding(1), finding(2)], HOOK=hook.url)
        assert hook.got[1][0]["Idempotency-Key"] == headers["Idempotency-Key"]
        assert "Authorization" not in hook.got[1][0]

    def test_batches_are_recorded_one_by_one(self, hook: Hook, sent: Sent) -> None:
        findings = [finding(number) for number in range(250)]
        hook.answers = [(200, {}), (400, {})]
        done = sent.deliver(web(), findings, HOOK=hook.url)
        assert [len(each) for each in sent.taken] == [100]
        assert (len(done.delivered), len(done.waiting)) == (100, 150)
        assert done.problem == "the receiver at 127.0.0.1 answered 400 and will not take it"

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_what_may_pass_is_tried_again(self, hook: Hook, sent: Sent, status: int) -> None:
        hook.answers = [(status, {"Retry-After": "7"}), (status, {})]
        assert sent.deliver(web(), [finding()], HOOK=hook.url).problem is None
        assert sent.pauses == [7.0, 1.0]

    def test_a_date_to_come_back_at_is_heeded_and_cut(self, hook: Hook, sent: Sent) -> None:
        later = [NOW + timedelta(seconds=9), NOW + timedelta(days=9)]
        hook.answers = [(503, {"Retry-After": f"{at:%a, %d %b %Y %H:%M:%S} GMT"}) for at in later]
        hook.answers += [(503, {"Retry-After": "nonsense"}), (429, {"Retry-After": "9" * 400})]
        assert sent.deliver(web(), [finding()], HOOK=hook.url).problem is None
        assert sent.pauses == [9.0, 60.0, 2.0, 60.0]

    def test_it_gives_up_for_now_and_keeps_what_was_not_taken(self, hook: Hook, sent: Sent) -> None:
        hook.answers = [(500, {})] * 9
        done = sent.deliver(web(), [finding()], HOOK=hook.url)
        assert (done.delivered, done.waiting, sent.taken) == ((), (finding()["finding_id"],), [])
        assert len(hook.got) == 5

    def test_no_redirect_is_followed(self, hook: Hook, sent: Sent) -> None:
        hook.answers = [(302, {"Location": "http://127.0.0.1:1/elsewhere"})]
        assert sent.deliver(web(), [finding()], HOOK=hook.url).problem is not None
        assert len(hook.got) == 1

    def test_nobody_there_is_said_without_the_url(self, sent: Sent) -> None:
        done = sent.deliver(web(), [finding()], HOOK=f"http://127.0.0.1:1/{SECRET}")
        assert done.problem == "the receiver at 127.0.0.1 could not be reached (ConnectError)"
        assert len(sent.pauses) == 4

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("", "is not set"),
            (f"http://example.com/{SECRET}", "plain http"),
            (f"ftp://127.0.0.1/{SECRET}", "no http or https URL"),
            (f"https://{SECRET}@example.com/", "use token_env"),
            (f"https://[::{SECRET}/", "is no URL"),
            (f"http://127.0.0.1/\n{SECRET}", "characters"),
        ],
    )
    def test_a_url_that_cannot_be_used_is_not_repeated(self, sent: Sent, value: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said) as caught:
            sent.deliver(web(), [finding()], HOOK=value)
        assert SECRET not in f"{caught.value.message} {caught.value.hint} {caught.value.__context__}"


class TestSlack:
    def test_each_finding_is_an_attachment_in_plain_text(self, hook: Hook, sent: Sent) -> None:
        findings = [finding(number) for number in range(12)]
        sent.deliver(web(ReceiverType.SLACK), findings, HOOK=hook.url)
        assert [len(body["attachments"]) for _headers, body in hook.got] == [10, 2]
        body = hook.got[1][1]
        assert body["text"] == "Trailkeep: 2 new findings"
        assert body["attachments"][0]["title"] == "HIGH: A key for somebody else"
        assert body["attachments"][0]["text"] == "mallory made a key for bob"
        assert body["attachments"][0]["mrkdwn_in"] == []

    def test_text_of_events_mentions_nobody_and_hides_no_link(self) -> None:
        hostile = "<!channel> @here <https://evil.example|click> \x1b[31m\n" + "x" * 5000
        (attachment,) = json.loads(bodies.slack([finding(summary=hostile, title=hostile)]))["attachments"]
        for text in (attachment["text"], attachment["title"], attachment["fallback"]):
            assert not set("<>\n\x1b") & set(text)
            assert "@here" not in text
            assert len(text) < 1000


class TestFile:
    def receiver(self, path: Path) -> Receiver:
        return Receiver(name="log", type=ReceiverType.FILE, path=path)

    def test_lines_are_added_once(self, tmp_path: Path, sent: Sent) -> None:
        path = tmp_path / "findings.ndjson"
        sent.deliver(self.receiver(path), [finding(1)])
        sent.deliver(self.receiver(path), [finding(1), finding(2, summary="a\nb\u2028")])
        assert [json.loads(line) for line in path.read_text().split("\n")[:-1]] == [
            finding(1),
            finding(2, summary="a\nb\u2028"),
        ]
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_line_that_was_cut_is_ended_and_its_finding_written_again(self, tmp_path: Path, sent: Sent) -> None:
        path = tmp_path / "findings.ndjson"
        path.write_bytes(bodies.line(finding(1))[:-20])
        sent.deliver(self.receiver(path), [finding(1)])
        assert path.read_bytes() == bodies.line(finding(1))[:-20] + b"\n" + bodies.line(finding(1))

    def test_a_full_disk_keeps_them_waiting(self, sent: Sent) -> None:
        done = sent.deliver(self.receiver(Path("/dev/full")), [finding()])
        assert done.waiting == (finding()["finding_id"],)
        assert done.problem == os.strerror(28)


class TestSyslog:
    def receiver(self, address: str) -> Receiver:
        return Receiver(name="sys", type=ReceiverType.SYSLOG, address=address)

    def test_a_message_is_rfc_5424_in_ascii_of_a_bounded_length(self) -> None:
        text = message(finding(summary="é\n\x1b" + "x" * 9000, severity="critical"), NOW)
        head, _, body = text.partition(b" finding - ")
        assert head.startswith(b"<82>1 2026-03-01T12:00:00.000000Z ")
        assert head.split()[3] == b"trailkeep"
        assert text.isascii()
        assert b"\n" not in text
        assert len(text) < 8192
        assert json.loads(body)["finding_id"] == finding()["finding_id"]

    @pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
    def test_over_a_socket_of_the_machine(self, tmp_path: Path, sent: Sent, kind: int) -> None:
        path = str(tmp_path / "log")
        with socket.socket(socket.AF_UNIX, kind) as listening:
            listening.bind(path)
            if kind == socket.SOCK_STREAM:
                listening.listen()
            assert sent.deliver(self.receiver(path), [finding()]).problem is None
            if kind == socket.SOCK_STREAM:
                accepted, _address = listening.accept()
                with accepted:
                    assert accepted.recv(65536).endswith(b"}\n")
            else:
                assert b'"severity": "high"' in listening.recv(65536)

    def test_over_udp(self, sent: Sent) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind(("127.0.0.1", 0))
            address = f"udp://127.0.0.1:{listening.getsockname()[1]}"
            assert sent.deliver(self.receiver(address), [finding(1), finding(2)]).problem is None
            assert [b"<83>1" in listening.recv(65536) for _ in range(2)] == [True, True]

    def test_over_tcp_each_behind_its_length(self, sent: Sent) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
            assert sent.deliver(self.receiver(address), [finding()]).problem is None
            accepted, _address = listening.accept()
            with accepted, accepted.makefile("rb") as stream:
                length, _, rest = stream.read().partition(b" ")
                assert int(length) == len(rest)

    def test_nobody_there_keeps_them_waiting(self, tmp_path: Path, sent: Sent) -> None:
        for address in (str(tmp_path / "nowhere"), "tcp://127.0.0.1:1"):
            assert sent.deliver(self.receiver(address), [finding()]).waiting == (finding()["finding_id"],)


class TestSettings:
    def read(self, table: Any, *, asked_for: bool = True) -> Receiver:
        receivers = read_receivers(
            {"siem": table}, lambda _name: "trailkeep.toml:3", Place(base=Path("/etc")), asked_for=asked_for
        )
        return receivers["siem"]

    def test_what_can_be_said(self) -> None:
        assert self.read({"type": "webhook", "url_env": "HOOK", "severity": "low"}).severity == "low"
        assert self.read({"type": "file", "path": "found.ndjson"}).path == Path("/etc/found.ndjson")
        assert self.read({"type": "syslog"}).address == "/dev/log"
        assert self.read({"type": "webhook", "url": "https://siem.example/x", "token_env": "T"}).token_env == "T"

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            ("text", "must be a table"),
            ({}, "one of webhook, slack, file, syslog"),
            ({"type": ["slack"]}, "one of webhook, slack, file, syslog"),
            ({"type": "webhook"}, "needs url_env"),
            ({"type": "webhook", "url_env": "A", "url": "https://x.example"}, "needs url_env"),
            ({"type": "webhook", "url_env": f"$({SECRET})"}, "name of an environment variable"),
            ({"type": "webhook", "url": f"http://x.example/{SECRET}"}, "plain http"),
            ({"type": "slack", "url": f"https://hooks.example/{SECRET}"}, "is a secret"),
            ({"type": "webhook", "url_env": "A", "severity": "bad"}, "severity"),
            ({"type": "webhook", "url_env": 3}, "text in quotes"),
            ({"type": "file", "path": ""}, "not empty"),
            ({"type": "file", "url": SECRET}, "has no 'url'"),
            ({"type": "syslog", "address": "http://x"}, "must be the path of a socket"),
        ],
    )
    def test_what_is_refused_and_never_repeated(self, table: Any, said: str) -> None:
        with pytest.raises(ConfigError, match=said) as caught:
            self.read(table)
        assert "trailkeep.toml:3" in caught.value.message
        assert SECRET not in f"{caught.value.message} {caught.value.hint}"

    @pytest.mark.parametrize(
        "table",
        [{"type": "webhook", "url": "https://x.example"}, {"type": "syslog", "address": "udp://192.0.2.1:514"}],
    )
    def test_a_file_that_nobody_asked_for_sends_nothing_away(self, table: Any) -> None:
        assert self.read(table)
        with pytest.raises(ConfigError, match="was not asked for"):
            self.read(table, asked_for=False)
        assert self.read({"type": "webhook", "url": "http://127.0.0.1:9/"}, asked_for=False)
