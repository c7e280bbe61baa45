"""The announcement in the local network, asked for by another machine's mDNS: over loopback, so that no network is needed."""

from __future__ import annotations

import argparse
import asyncio
import socket
from functools import partial

import ifaddr
import pytest
from zeroconf import NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from wordspot.commands import serve
from wordspot.errors import ConfigError
from wordspot.server import announce
from wordspot.server.announce import SERVICE, reachable_addresses

LOOPBACK = partial(AsyncZeroconf, interfaces=["127.0.0.1"])


async def ask(name: str) -> AsyncServiceInfo | None:
    """What another machine gets to know of a service of this name."""
    asking = LOOPBACK()
    try:
        return await asking.async_get_service_info(SERVICE, name, timeout=3000)
    finally:
        await asking.async_close()


@pytest.mark.slow
def test_others_find_the_server_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "AsyncZeroconf", LOOPBACK)
    monkeypatch.setattr(socket, "gethostname", lambda: "attic.example")
    name = f"wordspot on attic.{SERVICE}"

    async def scenario() -> None:
        held = await announce.announce(["192.0.2.7", "2001:db8::7"], 10_400)
        found = await ask(name)
        assert found is not None
        assert (found.port, found.server) == (10_400, "attic.local.")
        assert found.parsed_addresses() == ["192.0.2.7", "2001:db8::7"]
        await held.withdraw()
        assert await ask(name) is None

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_long_name_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "AsyncZeroconf", LOOPBACK)
    monkeypatch.setattr(socket, "gethostname", lambda: 70 * "a")

    async def scenario() -> None:
        held = await announce.announce(["192.0.2.7"], 10_400)
        found = await ask(f"wordspot on {51 * 'a'}.{SERVICE}")
        await held.withdraw()
        assert found is not None
        assert found.server == f"{63 * 'a'}.local."

    asyncio.run(scenario())


def test_a_network_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and nothing is left open."""
    closed = []

    class Broken:
        async def async_register_service(self, info: AsyncServiceInfo, allow_name_change: bool) -> None:
            raise NonUniqueNameException

        async def async_close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(announce, "AsyncZeroconf", Broken)
    with pytest.raises(ConfigError, match=r"cannot announce .* NonUniqueNameException; leave out `zeroconf`"):
        asyncio.run(announce.announce(["192.0.2.7"], 10_400))
    assert len(closed) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_of_this_machine_alone_is_not_announced(host: str) -> None:
    with pytest.raises(ConfigError, match=r"other machines, which cannot reach .*; use another `wyoming_host`"):
        reachable_addresses(host)


def test_where_a_server_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.0.0.0 stands for IPv4 alone, as `web_server.bind` does, and :: for IPv6."""
    ips = [
        ifaddr.IP("127.0.0.1", 8, "lo"),
        ifaddr.IP("192.0.2.2", 24, "net"),
        ifaddr.IP(("::1", 0, 0), 128, "lo"),
        ifaddr.IP(("fe80::2", 0, 3), 64, "net"),
        ifaddr.IP(("fd00::2", 0, 0), 64, "net"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [ifaddr.Adapter("net", "net", ips)])
    assert reachable_addresses("0.0.0.0") == ["192.0.2.2"]
    assert reachable_addresses("::") == ["fd00::2"]
    assert reachable_addresses("192.0.2.7") == ["192.0.2.7"]


def test_there_must_be_something_to_announce(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    with pytest.raises(ConfigError, match="set `wyoming_port` too"):
        serve.run(parser.parse_args(["--zeroconf"]))
    with pytest.raises(ConfigError, match=r"cannot reach 127\.0\.0\.1"):
        serve.run(parser.parse_args(["--zeroconf", "--port", "0", "--wyoming-port", "0"]))
    assert capsys.readouterr().out == ""
