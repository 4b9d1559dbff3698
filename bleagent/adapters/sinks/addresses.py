"""Which addresses a webhook may be sent to (reference: safety H4). Pure.

A name that somebody else controls can resolve to a place inside: this machine, the home network,
a cloud's metadata service. Each address is looked at in its plain form, however it is dressed.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_PUBLIC_6 = IPv6Network("2000::/3")
"""All that is assigned; outside lie places inside, and dresses of IPv4 with no fixed cut."""
_REFUSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network": reaches this machine
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by a provider's customers
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, and metadata services
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_REFUSED_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo and others of that kind
            "2001:db8::/32",
            "3fff::/20",
        ),
    )
)
_PRIVATE_4 = tuple(
    map(IPv4Network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
)
_PRIVATE_6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))


def plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4), else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        return low
    if int(address) >> 32 == 0 and int(address) > 1:
        return low  # "IPv4-compatible", long out of use
    return address


def refusal(text: str, *, own: frozenset[str], allow_private: bool) -> str | None:
    """Why nothing may be sent to this address; None where it may.

    ``own`` are this machine's addresses, in their text form. ``allow_private`` lets the home
    network and this machine in, where the operator asked for it; nothing else.
    """
    try:
        address = plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return f"{text} is no address"
    private: tuple[IPv4Network | IPv6Network, ...]
    refused: tuple[IPv4Network | IPv6Network, ...]
    if isinstance(address, IPv4Address):
        private, refused = _PRIVATE_4, _REFUSED_4
    else:
        private, refused = _PRIVATE_6, _REFUSED_6
    if allow_private and any(address in network for network in private):
        return None
    outside = isinstance(address, IPv6Address) and address not in _PUBLIC_6
    if outside or any(address in network for network in refused):
        return f"{address} is not on the public network"
    if str(address) in own and not allow_private:
        return f"{address} is this machine"
    return None
