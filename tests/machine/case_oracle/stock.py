"""What the oracle was told, and what it reads from that."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.machine.case_oracle.records import STANDING, Case, Claim, Container, Licence


class Known:
    """One vendor, by the rules. `policy` is the policy's file as data; `now` is set by who drives it.

    `choice` answers what the product chose where the domain leaves a choice: a question and the case's name.
    """

    def __init__(self, policy: dict[str, Any], choice: Callable[[str, str], Any]) -> None:
        self.policy = policy
        self.choice = choice
        self.now: datetime
        self.containers: dict[str, Container] = {}
        self.licences: dict[str, Licence] = {}
        self.cases: dict[str, Case] = {}
        self.reports: dict[tuple[tuple[str, str], str], tuple[tuple[Any, ...], str]] = {}
        self.reserved: dict[str, tuple[set[tuple[str, str]], datetime]] = {}
        """By case: what it counts for, each with its pot, and when its report was received."""
        self.blamed: set[str] = set()
        """The holders whom a verdict spoke against."""
        self.contacts: set[str] = set()
        self.said: set[tuple[str, str]] = set()
        self.broken: set[str] = set()
        self.access: dict[tuple[str, int], bool] = {}
        self.pending: dict[str, dict[str, str]] = {}
        self.superseded: dict[Claim, str] = {}
        self.delegations: dict[str, tuple[str, tuple[str, ...], datetime]] = {}
        """By number: who acts for which holders, and until when; for nobody where it was revoked first."""
        self.revoked: set[str] = set()

    def delegate(self, number: str, person: str, holders: tuple[str, ...], until: datetime) -> None:
        """A person acts for these holders."""
        self.delegations.setdefault(number, (person, () if number in self.revoked else holders, until))

    def revoke(self, number: str) -> None:
        """A delegation is over."""
        self.revoked.add(number)

    def entrusted(self, person: str, holder: str) -> bool:
        """Whether a person acts for a holder now."""
        return any(
            who == person and holder in holders and self.now < until
            for number, (who, holders, until) in self.delegations.items()
            if number not in self.revoked
        )

    def may_speak(self, by: tuple[str, str], holder: str) -> bool:
        """Whether somebody in a role may speak of what is a holder's."""
        role, name = by
        return {"holder": name == holder, "delegate": self.entrusted(name, holder)}.get(role, True)

    def register(self, serial: str, kind: str, holder: str, fingerprint: dict[str, str] | None) -> None:
        """A container, known from now on, and offered to the cases of its holder that wait for one."""
        if serial in self.containers:
            return
        self.containers[serial] = Container(serial, kind, holder, fingerprint)
        if fingerprint:
            self.containers[serial].machines[1] = fingerprint

    def licence(self, name: str, serial: str, product: str, value: int) -> None:
        """A licence of the vendor's own issue."""
        self.licences.setdefault(name, Licence(name, serial, product, value))

    def change(self, name: str, product: str, value: int) -> None:
        """A licence is of another product, or worth something else."""
        self.licences[name].product, self.licences[name].value = product, value

    def to_replace(self, case: Case) -> dict[str, int]:
        """The licences that a case is to replace still, at the generations that it lost: of the others the contract is
        over."""
        return {name: number for name, number in case.licences.items() if not self.licences[name].ended}

    def named(self, licence: str) -> str:
        """A licence's current generation, as measures aim at it."""
        return f"licence/{licence}/{self.licences[licence].generation}"

    def is_blocked(self, subject: str, at: datetime | None, but: str | None = None) -> set[str]:
        """The cases whose measures stand against a subject, and are in effect at this time if one is given."""
        return {
            case.name
            for case in self.cases.values()
            for (_, aim), order in case.measures.items()
            if aim == subject and order.state in STANDING and (at is None or order.effective <= at)
            if case.name != but
        }

    def all_issued(self, case: Case) -> set[Claim]:
        """What was issued for a case: a stop-gap, and what followed it."""
        return {
            (name, number) for name, last in case.issued.items() for number in range(case.licences[name] + 1, last + 1)
        }
