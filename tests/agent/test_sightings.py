"""Who is in the air: recognised, kept in order, and never more of it than fits."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bleagent.model import LockFacts, Sighting
from bleagent.radio.sightings import (
    DECIPHER_BURST,
    DECIPHER_RATE,
    FORGIVEN_AFTER,
    GONE_AFTER,
    MAX_CANDIDATES,
    MAX_DECIPHERED,
    MAX_STRANGERS,
    Claim,
    Sightings,
)
from protocol import LockKeys, Secret
from protocol.advertised_fields import AdvertisementFormat
from protocol.advertisement import Advertisement

KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="bf0123456789abcdefghij",
    local_key=Secret("abcdef0123456789"),
    sec_key=Secret("secsecsecsecsec1"),
)
OTHER = replace(KEYS, uuid="tuya9876543210zz", local_key=Secret("zzzzzz9876543210"))
ADDRESS, ROGUE = "DC:23:4D:00:00:01", "66:66:66:00:00:01"
FRONT = LockFacts(name="front", device_id="d1", keys=KEYS)
FRONT_AT = replace(FRONT, address=ADDRESS)
BACK = LockFacts(name="back", device_id="d2", keys=OTHER)
FORMS = [
    (AdvertisementFormat.V2, False),
    (AdvertisementFormat.V3, False),
    (AdvertisementFormat.V4, False),
    (AdvertisementFormat.V4, True),
]


def built(
    keys: LockKeys = KEYS,
    form: AdvertisementFormat = AdvertisementFormat.V4,
    *,
    bound: bool = True,
    security_v2: bool = False,
    wants: bool = False,
) -> Advertisement:
    return Advertisement.build(
        form, keys, product_id="abcdefgh", bound=bound, security_v2=security_v2,
        connect_request=wants,
    )  # fmt: skip


def seen(
    at: float = 0.0,
    address: str = ADDRESS,
    advertisement: Advertisement | None = None,
    rssi: int = -60,
    adapter: str = "hci0",
) -> Sighting:
    return Sighting(
        adapter=adapter, address=address, rssi=rssi, at=at,
        advertisement=built() if advertisement is None else advertisement,
    )  # fmt: skip


def names(sightings: Sightings, sighting: Sighting) -> list[str]:
    return [one.lock for one in sightings.hear(sighting)]


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize(("form", "security_v2"), FORMS)
def test_a_lock_is_recognised_by_its_uuid_in_every_form(
    form: AdvertisementFormat, security_v2: bool, bound: bool
) -> None:
    sightings = Sightings([FRONT, BACK])
    for keys, name in ((KEYS, "front"), (OTHER, "back")):
        advertisement = built(keys, form, bound=bound, security_v2=security_v2)
        assert names(sightings, seen(address=name, advertisement=advertisement)) == [name]
        (candidate,) = sightings.candidates(name, 0.0, within=1.0)
        # An unbound lock, or one bound with another key, says only its uuid.
        assert candidate.claim is (Claim.BOUND_ID if bound else Claim.UUID)
        advertiser = sightings.best(name, 0.0)
        assert advertiser is not None
        assert (advertiser.uuid, advertiser.bound) == (keys.uuid, bound)
        assert advertiser.protocol == int(form[1])
        assert advertiser.security_v2 is security_v2


def test_a_lock_bound_with_another_key_is_recognised_by_its_uuid_alone() -> None:
    sightings = Sightings([FRONT])
    paired_anew = replace(KEYS, local_key=Secret("0000000000000000"))
    assert names(sightings, seen(advertisement=built(paired_anew))) == ["front"]
    assert sightings.candidates("front", 0.0, within=1.0)[0].claim is Claim.UUID


def test_a_lock_is_recognised_by_its_configured_address_whatever_it_sends() -> None:
    sightings = Sightings([FRONT_AT])
    assert names(sightings, seen(advertisement=built(OTHER))) == ["front"]
    assert names(sightings, seen(address=ROGUE, advertisement=built(OTHER))) == []


def test_the_advertising_half_alone_is_enough_for_a_bound_lock_of_version_4() -> None:
    sightings = Sightings([FRONT])
    adv, scan_rsp = built().to_bytes()
    assert names(sightings, seen(advertisement=Advertisement.parse(adv))) == ["front"]
    assert sightings.deciphered == 0
    half = Advertisement.parse(b"", scan_rsp)
    assert names(sightings, seen(1.0, address=ROGUE, advertisement=half)) == []


def test_what_the_halves_say_is_kept_together_and_the_newest_word_counts() -> None:
    sightings = Sightings([FRONT])
    sightings.hear(seen(0.0, advertisement=built(wants=True)))
    advertiser = sightings.best("front", 0.0)
    assert advertiser is not None
    assert advertiser.wants_connection
    _, scan_rsp = built().to_bytes()
    half = Advertisement.parse(b"", scan_rsp)
    assert names(sightings, seen(1.0, advertisement=half)) == ["front"]
    assert advertiser.wants_connection  # that half does not say
    sightings.hear(seen(2.0))
    assert not advertiser.wants_connection


def test_each_adapter_hears_for_itself_and_the_signal_is_smoothed() -> None:
    sightings = Sightings([FRONT])
    sightings.hear(seen(0.0, rssi=-60))
    sightings.hear(seen(1.0, rssi=-80))
    sightings.hear(seen(1.0, rssi=-50, adapter="hci1"))
    (candidate,) = sightings.candidates("front", 1.0, within=5.0)
    assert [(one.adapter, one.rssi) for one in candidate.heard] == [("hci1", -50), ("hci0", -66)]
    sightings.hear(seen(100.0, rssi=-80))
    (candidate,) = sightings.candidates("front", 100.0, within=5.0)
    assert [(one.adapter, one.rssi) for one in candidate.heard] == [("hci0", -80)]
    assert sightings.candidates("front", 106.0, within=5.0) == ()


# -- several who claim to be one lock


def order(sightings: Sightings, now: float = 1.0) -> list[str]:
    return [one.address for one in sightings.candidates("front", now, within=1000.0)]


def test_the_strongest_of_equal_claims_is_tried_first_and_a_failed_one_goes_last() -> None:
    sightings = Sightings([FRONT])
    sightings.hear(seen(0.0, ADDRESS, rssi=-80))
    sightings.hear(seen(0.0, ROGUE, rssi=-40))  # a recording, sent again nearby
    assert order(sightings) == [ROGUE, ADDRESS]
    sightings.failed("front", ROGUE, 1.0)
    assert order(sightings) == [ADDRESS, ROGUE]
    sightings.proved("front", ADDRESS)
    assert sightings.proved_address("front") == ADDRESS
    assert order(sightings, 1.0 + FORGIVEN_AFTER + 1) == [ADDRESS, ROGUE]


def test_the_genuine_one_is_put_off_by_a_failure_and_not_for_ever() -> None:
    sightings = Sightings([FRONT])
    sightings.hear(seen(0.0, ADDRESS, rssi=-80))
    sightings.hear(seen(0.0, ROGUE, rssi=-40))
    sightings.proved("front", ADDRESS)
    sightings.failed("front", ADDRESS, 1.0)  # a bad moment
    assert order(sightings) == [ROGUE, ADDRESS]
    sightings.failed("front", ROGUE, 2.0)
    assert order(sightings) == [ADDRESS, ROGUE]
    sightings.failed("front", ADDRESS, 3.0)
    assert order(sightings, 3.0 + FORGIVEN_AFTER + 1) == [ADDRESS, ROGUE]


def test_a_configured_address_goes_before_a_sent_id_and_a_sent_id_before_a_uuid() -> None:
    sightings = Sightings([FRONT_AT])
    sightings.hear(seen(0.0, "A", built(bound=False), rssi=-30))
    sightings.hear(seen(0.0, "B", rssi=-40))
    first = sightings.hear(seen(0.0, ADDRESS, rssi=-90))
    assert order(sightings) == [ADDRESS, "B", "A"]
    assert [one.first_choice for one in first] == [True]
    assert [one.first_choice for one in sightings.hear(seen(0.0, "B"))] == [False]


def test_who_is_proved_later_takes_the_place_of_who_was_before() -> None:
    sightings = Sightings([FRONT])
    sightings.hear(seen(0.0, "A", rssi=-80))
    sightings.hear(seen(0.0, "B", rssi=-40))
    sightings.proved("front", "A")
    sightings.proved("front", "B")
    claims = {one.address: one.claim for one in sightings.candidates("front", 0.0, within=1.0)}
    assert claims == {"B": Claim.PROVED, "A": Claim.UUID}
    sightings.proved("front", "never heard")
    sightings.failed("front", "never heard", 0.0)
    assert sightings.proved_address("front") == "B"


# -- bounds


def random_addresses(count: int) -> list[str]:
    chance = random.Random(7)
    return [":".join(f"{chance.randrange(256):02X}" for _ in range(6)) for _ in range(count)]


def test_new_addresses_at_a_high_rate_grow_nothing_and_cost_little() -> None:
    sightings = Sightings([FRONT])
    sightings.hear(seen(0.0))
    seconds = 5.0
    addresses = random_addresses(5_000)
    for number, address in enumerate(addresses):
        strange = replace(OTHER, uuid=f"rogue{number:011}")
        at = seconds * number / len(addresses)
        sightings.hear(seen(at, address, built(strange, bound=False)))
    assert len(sightings.everybody()) <= MAX_STRANGERS + MAX_CANDIDATES
    assert len(sightings._deciphered) <= MAX_DECIPHERED
    assert sightings.deciphered <= 1 + DECIPHER_BURST + DECIPHER_RATE * seconds
    assert sightings.deciphered + sightings.not_deciphered == len(addresses) + 1
    # The lock that was there all the time is still known, and heard at once.
    assert names(sightings, seen(seconds)) == ["front"]


def test_our_advertisement_from_thousands_of_addresses_does_not_displace_the_lock() -> None:
    sightings = Sightings([FRONT])
    for number in range(3):
        sightings.hear(seen(number * 0.15))
    for number, address in enumerate(random_addresses(3_000)):
        at = 0.5 + number * 0.01
        sightings.hear(seen(at, address, rssi=-30))
        if number % 15 == 0:
            assert names(sightings, seen(at)) == ["front"]
            assert len(order(sightings, at)) <= MAX_CANDIDATES
    # Each impostor that is tried loses its place; the lock gets its turn.
    now, tried = 31.0, 0
    while (first := order(sightings, now)[0]) != ADDRESS:
        sightings.failed("front", first, now)
        tried += 1
    assert tried < MAX_CANDIDATES


def test_a_configured_address_always_finds_a_place() -> None:
    sightings = Sightings([FRONT_AT])
    for number in range(50):
        sightings.hear(seen(0.0, f"rogue {number}", rssi=-30))
    assert names(sightings, seen(0.0)) == ["front"]
    assert order(sightings)[0] == ADDRESS
    assert len(order(sightings)) == MAX_CANDIDATES


def test_who_has_gone_makes_room() -> None:
    sightings = Sightings([FRONT])
    for number in range(MAX_CANDIDATES):
        sightings.hear(seen(number * 0.001, f"rogue {number}"))
    sightings.hear(seen(0.1, "newcomer"))
    assert "newcomer" not in order(sightings)
    sightings.hear(seen(GONE_AFTER + 1, "newcomer"))
    assert "newcomer" in order(sightings, GONE_AFTER + 1)


def test_an_advertisement_is_deciphered_once() -> None:
    sightings = Sightings([FRONT])
    for number in range(100):
        sightings.hear(seen(number * 0.001))
    assert sightings.deciphered == 1


def test_a_candidate_that_changes_too_often_stays_what_it_was() -> None:
    sightings = Sightings([FRONT])
    for number in range(200):
        advertisement = replace(built(wants=True), identity=number.to_bytes(16, "big"))
        heard = sightings.hear(seen(0.0, advertisement=built() if not number else advertisement))
        assert [one.lock for one in heard] == ["front"]
    assert sightings.deciphered <= DECIPHER_BURST + 1


def test_an_unknown_one_is_kept_for_whoever_looks_for_locks() -> None:
    sightings = Sightings()
    sightings.hear(seen(1.0, "A", built(bound=False)))
    sightings.hear(seen(2.0, "B"))
    assert [one.address for one in sightings.everybody()] == ["B", "A"]
    assert sightings.everybody()[1].uuid == KEYS.uuid
    assert sightings.best("front", 2.0) is None
    assert sightings.candidates("front", 2.0, within=5.0) == ()
