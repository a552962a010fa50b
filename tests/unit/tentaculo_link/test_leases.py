"""A lease is used, renewed once in its second half, and asked for anew after its end."""

from __future__ import annotations

from tentaculo_link.leases import Knowledge, Leases


def test_the_life_of_a_lease() -> None:
    leases = Leases()
    assert leases.knowledge("switch", 0) is Knowledge.UNKNOWN
    leases.granted("switch", 10, now=0)
    assert leases.knowledge("switch", 4.9) is Knowledge.AWAKE
    assert leases.knowledge("switch", 5) is Knowledge.RENEW
    assert leases.knowledge("switch", 5.1) is Knowledge.AWAKE, "one request renews, the others go through"
    assert leases.knowledge("switch", 10) is Knowledge.UNKNOWN
    assert leases.knowledge("hermes", 1) is Knowledge.UNKNOWN


def test_a_renewed_lease_starts_over() -> None:
    leases = Leases()
    leases.granted("switch", 10, now=0)
    leases.granted("switch", 10, now=6)
    assert leases.knowledge("switch", 10.9) is Knowledge.AWAKE


def test_a_service_that_did_not_answer_has_no_lease() -> None:
    leases = Leases()
    leases.granted("switch", 10, now=0)
    leases.ended("switch")
    assert leases.knowledge("switch", 1) is Knowledge.UNKNOWN
