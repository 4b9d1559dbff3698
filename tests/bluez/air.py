"""A radio medium without radio, and controllers on it that behave as chips do.

bumble's ``LocalLink`` and ``Controller`` carry real HCI, L2CAP and ATT, but were made for two
bumble hosts beside each other. What a Linux kernel or a test of failures needs beyond them is
added here by subclasses; each piece says which gap of bumble 0.0.236 it closes:

1. data of a connection came from the sender's random address, whatever address it connected with;
2. scan responses were never sent (the advertising data were sent twice);
3. a pending connection could not be cancelled, so one absent lock blocked the adapter for good;
4. there was no supervision timeout: a lock that lost power stayed connected;
5. the signal strength was fixed;
6. features were announced (extended advertising, LL privacy) whose events are never sent, which
   a Linux kernel waits for;
7. a reset left connections, scans and advertising as they were;
8. the second of two centrals that connect at once believed that it was connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bumble import hci, ll
from bumble.controller import Connection, Controller
from bumble.core import InvalidArgumentError, PhysicalTransport
from bumble.link import LocalLink
from bumble.transport.common import Transport, TransportSink, TransportSource

SUPERVISION_TIMEOUT = 0.5
"""Seconds of silence after which a connection has ended. Real ones take 0.5 to 6."""
ESTABLISHMENT = 0.06
"""Seconds in which the first packet of a connection must have come (six intervals of 10 ms)."""


class Air(LocalLink):
    """The medium.

    ``delay`` (seconds, one way) and ``drop`` (told each packet of data, with sender and receiver;
    True: it vanishes) may be set at any time.
    """

    def __init__(self, *, supervision_timeout: float = SUPERVISION_TIMEOUT) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.supervision_timeout = supervision_timeout
        self.delay = 0.0
        self.drop: Callable[[Radio, Radio, bytes], bool] | None = None
        self._silent: set[Controller] = set()
        self._held: list[tuple[Radio, Radio, Callable[[], None]]] = []

    # -- what a test does to it

    def silence(self, radio: Radio) -> None:
        """Nobody hears the radio any more nor does it hear anybody: out of range, or no power.

        Both sides of each of its connections notice after the supervision timeout, unless they
        have met again by then.
        """
        self._silent.add(radio)
        for connection in radio.le_connections.values():
            self.supervise(radio, connection)

    def restore(self, radio: Radio) -> None:
        """It is heard again."""
        self._silent.discard(radio)
        held, self._held = self._held, []
        for sender, target, arrive in held:
            if self.hears(sender, target):
                asyncio.get_running_loop().call_soon(arrive)
            else:
                self._held.append((sender, target, arrive))

    def plug_out(self, radio: Radio) -> None:
        """The chip is gone for good; whoever it was connected to notices."""
        self.silence(radio)
        radio.forget_everything()
        self.controllers.discard(radio)

    # -- what the radios do

    def hears(self, one: Controller, other: Controller) -> bool:
        """Whether packets get through between them."""
        return one not in self._silent and other not in self._silent

    def supervise(self, radio: Radio, connection: Connection) -> None:
        """End a connection on both sides unless its packets get through by then."""
        peer = self.peer(connection)
        ends = [(radio, connection)]
        if peer is not None and (theirs := peer.le_connections.get(connection.self_address)):
            ends.append((peer, theirs))

        def expire() -> None:
            if peer is not None and len(ends) == 2 and self._is_alive(ends):
                return
            for side, of in ends:
                side.lose(of, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

        asyncio.get_running_loop().call_later(self.supervision_timeout, expire)

    def _is_alive(self, ends: list[tuple[Radio, Connection]]) -> bool:
        (one, _), (other, _) = ends
        there = all(of in side.le_connections.values() for side, of in ends)
        return there and self.hears(one, other)

    def peer(self, connection: Connection) -> Radio | None:
        """Who is at the other end."""
        for radio in self.controllers:
            for other in radio.le_connections.values():
                if (other.self_address, other.peer_address) == (
                    connection.peer_address,
                    connection.self_address,
                ):
                    return radio if isinstance(radio, Radio) else None
        return None

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Data of a connection (gap 1)."""
        connection = sender_controller.le_connections.get(destination_address)
        target = None if connection is None else self.peer(connection)
        if connection is None or target is None or not isinstance(sender_controller, Radio):
            return
        if self.drop is not None and self.drop(sender_controller, target, data):
            return

        def arrive() -> None:
            target.on_link_acl_data(connection.self_address, transport, data)

        if not self.hears(sender_controller, target):
            # The link layer sends again until it is heard or the connection ends.
            self._held.append((sender_controller, target, arrive))
        elif self.delay:
            asyncio.get_running_loop().call_later(self.delay, arrive)
        else:
            asyncio.get_running_loop().call_soon(arrive)

    def send_advertising_pdu(
        self, sender_controller: Controller, packet: ll.AdvertisingPdu
    ) -> None:
        """An advertisement, or the request to connect that answers one."""
        loop = asyncio.get_running_loop()
        for radio in self.controllers:
            if radio is not sender_controller and self.hears(sender_controller, radio):
                loop.call_soon(radio.on_ll_advertising_pdu, packet)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Control packets of a connection; into the void where its other end is gone."""
        ends = self.find_le_controller(sender_address), self.find_le_controller(receiver_address)
        if ends[0] is None or ends[1] is None or not self.hears(ends[0], ends[1]):
            return
        try:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)
        except InvalidArgumentError:
            return


class Radio(Controller):
    """A chip as on a small gateway or in a lock: Bluetooth LE 4.2, public address.

    Args:
        air: where it sends.
        address: public, such as ``DC:23:51:00:00:01``.
        name: in bumble's log.
        host: what drives it from elsewhere, if it is not driven in this process.
    """

    link: Air

    def __init__(
        self, air: Air, address: str, name: str = "radio", *, host: Transport | None = None
    ) -> None:
        source: TransportSource | None = None if host is None else host.source
        sink: TransportSink | None = None if host is None else host.sink
        super().__init__(
            name, host_source=source, host_sink=sink, link=air,
            public_address=hci.Address(address, hci.Address.PUBLIC_DEVICE_ADDRESS),
        )  # fmt: skip
        self.rssi = -50
        """dBm at which everybody hears it."""
        self.cancel_crosses = False
        """The next connection is made just as the host's cancelling of it arrives."""
        self.le_features &= ~(  # gap 6
            hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        )

    @property
    def transport(self) -> Transport:
        """For a host in this process."""
        return Transport(self, self)

    def forget_everything(self) -> None:
        """As after a reset: connections end without a word (their peers time out)."""
        for connection in list(self.le_connections.values()):
            self.link.supervise(self, connection)
        self.le_connections.clear()
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        self.pending_le_connection = None

    def lose(self, connection: Connection, reason: int) -> None:
        """Tell the host that a connection has ended, once."""
        if self.le_connections.get(connection.peer_address) is connection:
            self.on_le_disconnected(connection, reason)

    def on_advertising_pdu(self, pdu: ll.AdvInd | ll.AdvExtInd) -> None:
        """Report it if scanning (gaps 2, 5), connect if that was waited for."""
        sender = self.link.find_le_controller(pdu.advertiser_address)
        if not isinstance(sender, Radio):
            return
        if self.le_scan_enable:
            self._report(pdu, sender)
        pending = None if self.cancel_crosses else self.pending_le_connection
        if pending is not None and pending.peer_address == pdu.advertiser_address:
            self.create_le_connection(pdu.advertiser_address)
            if (made := self.le_connections.get(pdu.advertiser_address)) is not None:
                asyncio.get_running_loop().call_soon(self._check_established, made)

    def _report(self, pdu: ll.AdvInd | ll.AdvExtInd, sender: Radio) -> None:
        event = hci.HCI_LE_Advertising_Report_Event
        halves = [(event.EventType.ADV_IND, pdu.data)]
        active = self.le_scan_type == hci.HCI_LE_Set_Scan_Parameters_Command.ACTIVE_SCANNING
        if active and (answer := bytes(sender.le_legacy_advertiser.scan_response_data)):
            halves.append((event.EventType.SCAN_RSP, answer))
        for event_type, data in halves:
            report = event.Report(
                event_type=event_type, address_type=pdu.advertiser_address.address_type,
                address=pdu.advertiser_address, data=data, rssi=sender.rssi,
            )  # fmt: skip
            self.send_hci_packet(event([report]))

    def _check_established(self, connection: Connection) -> None:
        """Somebody else was faster, or the lock is gone (gap 8)."""
        if self.link.peer(connection) is None:
            reason = hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR
            asyncio.get_running_loop().call_later(ESTABLISHMENT, self.lose, connection, reason)

    def on_hci_reset_command(
        self, command: hci.HCI_Reset_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Gap 7."""
        self.forget_everything()
        return super().on_hci_reset_command(command)

    def on_hci_le_create_connection_cancel_command(
        self, command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Gap 3."""
        del command
        if self.cancel_crosses and self.pending_le_connection is not None:
            self.cancel_crosses = False
            self.create_le_connection(self.pending_le_connection.peer_address)
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        complete = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0, role=hci.Role.CENTRAL,
            peer_address_type=pending.peer_address.address_type,
            peer_address=pending.peer_address, connection_interval=0, peripheral_latency=0,
            supervision_timeout=0, central_clock_accuracy=0,
        )  # fmt: skip
        asyncio.get_running_loop().call_soon(self.send_hci_packet, complete)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)
