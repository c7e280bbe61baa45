"""The announcement in the local network, asked for by another machine's mDNS: over loopback, so that no network is needed."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import socket
from functools import partial

import pytest
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


def test_others_find_the_server_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "AsyncZeroconf", LOOPBACK)
    monkeypatch.setattr(socket, "gethostname", lambda: "attic.example")
    name = f"wordspot on attic.{SERVICE}"

    async def scenario() -> None:
        held = await announce.announce("192.0.2.7", 10_400)
        found = await ask(name)
        assert found is not None
        assert (found.port, found.server) == (10_400, "attic.local.")
        assert found.parsed_addresses() == ["192.0.2.7"]
        held.close()
        await held.wait_closed()
        assert await ask(name) is None

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "expected"), [("192.0.2.7", ["192.0.2.7"]), ("127.0.0.1", []), ("::1", []), ("localhost", [])]
)
def test_where_a_server_is_reached(host: str, expected: list[str]) -> None:
    assert reachable_addresses(host) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_on_all_addresses_is_reached_at_none_of_loopback(host: str) -> None:
    found = [ipaddress.ip_address(text) for text in reachable_addresses(host)]
    assert not any(address.is_loopback or address.is_link_local or address.is_unspecified for address in found)
    assert len(set(found)) == len(found)


def test_a_server_of_this_machine_alone_is_not_announced() -> None:
    with pytest.raises(
        ConfigError, match=r"other machines, which cannot reach 127\.0\.0\.1; name another --wyoming-host"
    ):
        asyncio.run(announce.announce("127.0.0.1", 10_400))


def test_there_must_be_something_to_announce() -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    with pytest.raises(ConfigError, match="--wyoming-port; name that, too"):
        serve.run(parser.parse_args(["--zeroconf"]))
