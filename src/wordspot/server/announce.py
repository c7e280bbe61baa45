"""Tells the local network where the Wyoming port is, by mDNS, so that Home Assistant finds it: only when asked to."""

from __future__ import annotations

import ipaddress
import socket

import ifaddr
from zeroconf import NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from wordspot.errors import ConfigError

SERVICE = "_wyoming._tcp.local."


class Announcement:
    """A service in the network's list. `close` does nothing; `wait_closed` takes it out again."""

    def __init__(self, network: AsyncZeroconf, info: AsyncServiceInfo) -> None:
        self._network, self._info = network, info

    def close(self) -> None:
        """For `run.serve_all`."""

    async def wait_closed(self) -> None:
        await (await self._network.async_unregister_service(self._info))
        await self._network.async_close()


async def announce(host: str, port: int) -> Announcement:
    """Announce a Wyoming server, as ``wordspot on MACHINE``.

    Args:
        host: the address that it listens on; 0.0.0.0 and ::: all of this machine's.
        port: that it listens on.

    Raises:
        ConfigError: no other machine can reach that address, or the network takes no announcement.
    """
    addresses = reachable_addresses(host)
    if not addresses:
        raise ConfigError(
            f"--zeroconf announces the server to other machines, which cannot reach {host}; name another --wyoming-host"
        )
    machine = socket.gethostname().partition(".")[0] or "wordspot"
    info = AsyncServiceInfo(
        SERVICE, f"wordspot on {machine}.{SERVICE}", port=port, server=f"{machine}.local.",
        addresses=[ipaddress.ip_address(address).packed for address in addresses],
    )  # fmt: skip
    try:
        network = AsyncZeroconf()
        await (await network.async_register_service(info, allow_name_change=True))
    except (OSError, NonUniqueNameException) as error:
        raise ConfigError(f"cannot announce the server in the network: {error}; leave out --zeroconf") from error
    return Announcement(network, info)


def reachable_addresses(host: str) -> list[str]:
    """The addresses at which other machines find a server that listens on `host`; none where it stays on this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = ipaddress.ip_address(socket.gethostbyname(host))
    if not address.is_unspecified:
        return [] if address.is_loopback else [str(address)]
    found = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for each in ifaddr.get_adapters() for ip in each.ips]
    usable = [ipaddress.ip_address(text) for text in found]
    wanted = [one for one in usable if one.version == address.version or address.version == 6]
    return [str(one) for one in wanted if not one.is_loopback and not one.is_link_local]
