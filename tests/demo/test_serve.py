"""The loopback server: keep-alive, many clients at once, and nothing left behind when it closes."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from loopback import RawClient

from trailkeep.demo.faults import ALWAYS, Faults
from trailkeep.demo.serve import serve

if TYPE_CHECKING:
    from trailkeep.demo.emulator import Emulator


def test_only_loopback_addresses_are_served(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        serve(emulator, host="0.0.0.0")


def test_one_connection_carries_many_requests_and_their_bodies(client: RawClient, emulator: Emulator) -> None:
    client.connection.connect()
    local = client.connection.sock.getsockname()
    for _ in range(3):
        client.connection.request("GET", "/nowhere", body=b"{}")
        answer = client.connection.getresponse()
        assert answer.status == 401
        answer.read()
        assert client.connection.sock.getsockname() == local
    assert len(emulator.requests) == 3


def test_other_methods_than_get_are_unknown(client: RawClient) -> None:
    client.connection.request("DELETE", "/iam/v1alpha1/users")
    answer = client.connection.getresponse()
    assert answer.status == 501
    answer.read()


def test_requests_run_side_by_side(emulator: Emulator) -> None:
    emulator.faults = Faults(latency=ALWAYS, latency_seconds=0.2)
    with serve(emulator) as served:
        clients = [RawClient(served, emulator) for _ in range(8)]
        threads = [threading.Thread(target=client.events) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            client.connection.close()
    assert max(request.in_flight for request in emulator.requests) > 1


def test_closing_ends_idle_connections_and_all_threads(emulator: Emulator) -> None:
    before = threading.active_count()
    served = serve(emulator)
    clients = [RawClient(served, emulator) for _ in range(3)]
    for client in clients:
        assert client.events().status == 200
    began = time.monotonic()
    served.close()
    assert time.monotonic() - began < 5
    assert threading.active_count() == before
    for client in clients:
        with pytest.raises((OSError, http.client.HTTPException)):
            client.events()
    served.close()


def test_closing_does_not_wait_for_a_slow_body(emulator: Emulator) -> None:
    emulator.faults = Faults(slow_body=ALWAYS, slow_body_seconds=30)
    with serve(emulator) as served, socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 401 Un"
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_port_can_be_named_and_the_url_says_it(emulator: Emulator) -> None:
    with serve(emulator) as first:
        assert first.url == f"http://127.0.0.1:{first.port}"
        with pytest.raises(OSError, match="in use"):
            serve(emulator, port=first.port)
    with serve(emulator, port=first.port) as again:
        assert again.port == first.port
