"""A ticket stands for its caller once, for a minute."""

from __future__ import annotations

from config.auth import Caller, Role
from tentaculo_link.tickets import TICKET_LIFE_SEC, Tickets

ANA = Caller("ana", Role.OPERATOR, "tok-1")


def test_a_ticket_is_taken_once() -> None:
    tickets = Tickets()
    ticket = tickets.issue(ANA, now=0)
    assert tickets.redeem(ticket, now=1) == ANA
    assert tickets.redeem(ticket, now=1) is None


def test_a_ticket_expires() -> None:
    tickets = Tickets()
    assert tickets.redeem(tickets.issue(ANA, now=0), now=TICKET_LIFE_SEC) is None


def test_an_invented_ticket_is_nobody() -> None:
    assert Tickets().redeem("made-up", now=0) is None


def test_tickets_are_bounded_and_the_oldest_goes_first() -> None:
    tickets = Tickets()
    first, *_, last = [tickets.issue(ANA, now=0) for _ in range(1500)]
    assert tickets.redeem(first, now=1) is None
    assert tickets.redeem(last, now=1) == ANA
