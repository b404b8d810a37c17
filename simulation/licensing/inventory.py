"""The vendor itself, and its stock of containers and licences, in memory."""

from datetime import datetime

from pydantic import JsonValue

from activities.licensing import delegation_rules
from activities.licensing.containers import Container, Licence, must_have_room
from activities.licensing.delegation_rules import Delegation
from activities.licensing.inventory_rules import (
    changed,
    ended,
    fields_of,
    is_news,
    must_agree,
    must_be_pseudonym,
    unknown_licence,
    unknown_vendor,
    waits_in_vain,
)
from activities.licensing.judgement import Activation
from activities.licensing.lease_rules import first_notice
from activities.licensing.vendor_rules import adopted, issuer_of, must_fit, says_the_same
from events.backend_facts import ContainerRegistered, VendorAdded
from events.errors import Code, RefusalError
from events.ports.loss_cases import Offer
from events.principal import Principal
from events.statements import (
    ContainerStatement,
    DelegationStatement,
    InventoryChange,
    LicenceChangeStatement,
    LicenceEndStatement,
    LicenceStatement,
    RevocationStatement,
)
from events.terms import LicenceId, Serial
from simulation.licensing.targets import Targets


class Inventory(Targets):
    """Takes in the vendor, its policies, containers and licences."""

    def add(self, policy: dict[str, JsonValue], at: datetime) -> bool:
        """Take the vendor in with its first policy; False when it was there already."""
        must_fit(policy)
        if self.policies:
            return False
        self._state(None, at, [VendorAdded(issuer=issuer_of(self.vendor))])
        self._adopt(policy, at)
        return True

    def adopt(self, policy: dict[str, JsonValue], at: datetime) -> int:
        """Put a policy in force and answer with its version; one that is in force stays so."""
        must_fit(policy)
        if not self.policies:
            raise RefusalError(Code.UNKNOWN_VENDOR, f"vendor {self.vendor} is unknown here", vendor=self.vendor)
        if not says_the_same(self.policies[-1], policy):
            self._adopt(policy, at)
        return len(self.policies)

    def _adopt(self, policy: dict[str, JsonValue], at: datetime) -> None:
        version = len(self.policies) + 1
        self.policies.append({**policy, "policy_version": version})
        self._state(None, at, [adopted(version, self.policies[-1])])

    def in_force(self) -> tuple[int, JsonValue]:
        """The version of the policy that decides now, and the policy."""
        return len(self.policies), self.policies[-1]

    def take_delegation(
        self, principal: Principal, statement: DelegationStatement | RevocationStatement, received: datetime
    ) -> None:
        """Give or revoke a delegation, once."""
        if not self.policies:
            raise unknown_vendor(self.vendor)
        known = self.delegations.get(statement.delegation, Delegation(statement.delegation))
        if isinstance(statement, DelegationStatement):
            self.delegations[statement.delegation], facts = delegation_rules.give(known, statement, principal, received)
            self._state(None, received, facts)
        else:
            self.delegations[statement.delegation], ends = delegation_rules.revoke(
                known, statement, principal, received
            )
            self._state(None, received, ends)

    def register(self, statement: ContainerStatement, at: datetime) -> None:
        """Take a container in, and offer it to the cases that wait for one. A second statement must agree with the
        first."""
        if not self.policies:
            raise unknown_vendor(self.vendor)
        if statement.serial not in self.containers:
            must_be_pseudonym(statement)
        must_agree(fields_of(self.first_statements.setdefault(statement.serial, statement)), statement)
        if statement.serial not in self.containers:
            fingerprint = statement.fingerprint
            self.containers[statement.serial] = Container(
                statement.serial, statement.kind, statement.holder, 0, None, 1, fingerprint, 0
            )
            if fingerprint:
                self.activations[statement.serial, 1] = Activation(fingerprint, None)
            fields = statement.model_dump(include={"serial", "kind", "holder", "fingerprint"})
            self._state(statement.serial, at, [ContainerRegistered.model_validate(fields)])
            self._offer(statement.serial)

    def issue_own(self, statement: LicenceStatement, at: datetime) -> None:
        """Take in a licence of the vendor's own issue. A second statement must agree with the first."""
        container = self._container(statement.serial)
        if statement.licence in self.licences:
            must_agree(fields_of(self.first_statements[f"licence {statement.licence}"]), statement)
            return
        must_have_room(container, 1)
        self.first_statements[f"licence {statement.licence}"] = statement
        expires = statement.lease.expiry(statement.issued)
        self.licences[statement.licence] = Licence(
            licence=statement.licence,
            generation=statement.generation,
            serial=statement.serial,
            product=statement.product,
            ticket=statement.ticket,
            value_cents=statement.value_cents,
            lease=statement.lease.model_dump(mode="json"),
            issued=statement.issued,
            expires=expires,
            borrowed_until=statement.borrowed_until,
            ends=None,
            status_index=None,
            lease_stage=None,
            first_issued=statement.issued,
        )
        self.lease_next[statement.licence] = first_notice(statement.lease, statement.issued, expires)
        self._count(statement.serial)
        self._state(statement.serial, at, [self.licences[statement.licence].issued_fact(container.holder)])

    def change(self, statement: InventoryChange, at: datetime, now: datetime) -> Serial:
        """Take in what became of a container or a licence; the container in whose stream that stands."""
        match statement:
            case LicenceChangeStatement():
                return self._change_licence(statement, at)
            case LicenceEndStatement():
                return self._end_licence(statement, at, now)
            case _:
                raise AssertionError(f"nothing becomes of {statement.thing} by {statement.name}")

    def _change_licence(self, statement: LicenceChangeStatement, at: datetime) -> Serial:
        licence = self._licence(statement.licence)
        if self._is_news(statement):
            self.latest[statement.thing, statement.name] = statement
            self.licences[licence.licence], fact = changed(licence, statement)
            self._state(licence.serial, at, [fact])
        return licence.serial

    def _end_licence(self, statement: LicenceEndStatement, at: datetime, now: datetime) -> Serial:
        licence = self._licence(statement.licence)
        if not self._is_news(statement):
            return licence.serial
        over, fact = ended(licence, statement, now)
        self.latest[statement.thing, statement.name] = statement
        self.licences[licence.licence], self.lease_next[licence.licence] = over, None
        self._state(licence.serial, at, [fact])
        for name, case in sorted(self.cases.items()):
            lost = self._lost(case.key)
            named = any((one.licence, one.generation) == (licence.licence, licence.generation) for one in lost)
            if case.awaits and named and not case.closed and waits_in_vain(lost):
                self._post(self.cases[name].key, Offer(serial=licence.serial))
        return licence.serial

    def _licence(self, name: LicenceId) -> Licence:
        if name not in self.licences:
            raise unknown_licence(name)
        return self.licences[name]

    def _is_news(self, statement: InventoryChange) -> bool:
        return is_news(self.latest.get((statement.thing, statement.name)), statement)
