"""Announces the Wyoming port in the local network by mDNS, so that Home Assistant finds it. Only on request."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import ifaddr
from zeroconf import Error
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from wordspot.errors import ConfigError

SERVICE = "_wyoming._tcp.local."
_LONGEST = 63  # bytes of a name in DNS


class Announcement:
    """A service that is announced under its `name`, until it is withdrawn."""

    def __init__(self, network: AsyncZeroconf, info: AsyncServiceInfo) -> None:
        self._network, self._info = network, info
        self.name: Final = info.name.removesuffix(f".{SERVICE}")

    async def withdraw(self) -> None:
        await (await self._network.async_unregister_service(self._info))
        await self._network.async_close()


async def announce(addresses: Sequence[str], port: int) -> Announcement:
    """Announce a Wyoming server on this port of these addresses, as ``wordspot on MACHINE``.

    Raises:
        ConfigError: the service cannot be announced.
    """
    machine = socket.gethostname().partition(".")[0].encode()[:_LONGEST].decode(errors="ignore") or "wordspot"
    name = f"wordspot on {machine}".encode()[:_LONGEST].decode(errors="ignore")
    info = AsyncServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port=port,
        server=f"{machine}.local.",
        addresses=[ipaddress.ip_address(address).packed for address in addresses],
    )
    async with contextlib.AsyncExitStack() as failed:
        try:
            network = AsyncZeroconf()
            failed.push_async_callback(network.async_close)
            await (await network.async_register_service(info, allow_name_change=True))
        except (OSError, Error) as error:
            raise ConfigError(
                f"cannot announce the server in the network: {str(error) or type(error).__name__}; leave out `zeroconf`"
            ) from error
        failed.pop_all()
    return Announcement(network, info)


def reachable_addresses(host: str) -> list[str]:
    """The addresses at which other machines reach a server that listens on `host`; for 0.0.0.0 and ``::``, all of them.

    Raises:
        ConfigError: there are none, because the server is reachable from this machine only.
    """
    address = ipaddress.ip_address(socket.getaddrinfo(host, None)[0][4][0])
    found = [str(address)]
    if address.is_unspecified:
        ips = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for each in ifaddr.get_adapters() for ip in each.ips]
        found = [ip for ip in ips if ipaddress.ip_address(ip).version == address.version]
    reachable = [ip for ip in found if not _is_of_this_machine(ipaddress.ip_address(ip))]
    if not reachable:
        raise ConfigError(
            f"`zeroconf` announces the server to other machines, which cannot reach {host}; use another `wyoming_host`"
        )
    return reachable


def _is_of_this_machine(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Link-local addresses are useless without the name of a network interface, which differs by machine."""
    return ip.is_loopback or ip.is_link_local
