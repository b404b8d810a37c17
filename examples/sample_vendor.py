"""Makes the sample vendor, `globex`: what its systems state, what its supervisors decide, what must come of it.

    python examples/sample_vendor.py FOLDER

needs PyYAML and writes into FOLDER
  policy.yaml       the vendor's policy, a copy of globex.yaml
  statements.jsonl  {"wave": N, "key": serial, "event": CloudEvent}, to be put into its inbox; "by_code": true where the
                    data lack the activation code, which is to be fetched first
  decisions.jsonl   {"wave": N, "decision", "report", "action", "by", "why", "verdict"}, for the report's case
  expected.json     what must become of each report and case, by the rules in rules.py

The same every time. Waves are sent one after the other, each once the one before has settled: within a wave, statements
on different containers may arrive in any order. Everything may be sent again; nothing new comes of it.
"""

import json
import random
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import yaml
from rules import expected

SEED = 20
CONTAINERS, LICENCES, REPORTS = 1_000, 1_600, 120
VENDOR = "globex"
CHEAP, DEAR, HYBRID = "sketch", "plant", "route"
"""A drawing program, replaced at once; plant control, for a supervisor; route planning, twice a year by itself."""
VALUES = {CHEAP: 9_900, HYBRID: 89_000, DEAR: 1_250_000}
LEASES = {
    CHEAP: {"check_in": {"unit": "month", "count": 1}, "grace_days": 14},
    HYBRID: {"check_in": {"unit": "week", "count": 1}, "grace_days": 3},
    DEAR: {"check_in": {"unit": "day", "count": 1}, "grace_days": 1},
}
POLICY = (Path(__file__).parent / "globex.yaml").read_text()
"""What its administrators wrote."""
FIRST, MAIN, DECIDE, SIGHT, RULE = range(5)
"""The waves: a few automatic cases, all else that is owned and reported, decisions, sightings, verdicts."""

Story = dict[str, str]
"""A container of a story: its serial and its holder."""


class SampleVendor:
    """Collects what is stated and decided, in order."""

    def __init__(self) -> None:
        self.random = random.Random(SEED)
        self.statements: list[dict[str, object]] = []
        self.decisions: list[dict[str, object]] = []
        self.counts: Counter[str] = Counter()
        self.wave = FIRST

    def state(self, name: str, **data: object) -> None:
        """One statement to the inbox. Its event's number tells it from every other, also if that says the same."""
        self.counts[name] += 1
        event = {
            "specversion": "1.0",
            "id": f"{name}-{self.counts[name]:04}",
            "source": "/globex/back-office",
            "type": f"lostfound.inbox.{name}.v1",
            "datacontenttype": "application/json",
            "data": data,
        }
        self.statements.append({"wave": self.wave, "key": data["serial"], "event": event})

    def instant(self, year: int) -> str:
        """Some instant of a year."""
        start = datetime(year, 1, 1, 8, tzinfo=timezone.utc)  # noqa: UP017 - for any Python 3
        return (start + timedelta(minutes=self.random.randrange(500_000))).isoformat().replace("+00:00", "Z")

    def holder(self) -> str:
        """A new customer."""
        self.counts["holder"] += 1
        return f"C-{self.counts['holder']:04}"

    def container(self, holder: str, *products: str, kind: str = "dongle") -> Story:
        """A container with a licence of each product; empty without any."""
        self.counts["container"] += 1
        serial = f"{'EMPTY' if not products else kind.upper()}-{self.counts['container']:05}"
        machine = {"fingerprint": {"board": f"board-{serial}", "disk": f"disk-{serial}"}} if kind == "act" else {}
        self.state("container.registered", serial=serial, kind=kind, holder=holder, **machine)
        for product in products:
            self.licence(serial, product)
        return {"serial": serial, "holder": holder}

    def licence(self, serial: str, product: str) -> None:
        """A licence in a container."""
        number = self.counts["licence.issued"] + 1
        self.state(
            "licence.issued",
            licence=f"LIC-{number:05}",
            serial=serial,
            product=product,
            ticket=f"ORDER-{number:05}",
            value_cents=VALUES[product],
            lease=LEASES[product],
            issued=self.instant(2024),
        )

    def stock(self, *products: str, holder: str | None = None) -> Story:
        """A container with licences, and an empty one of the same holder to replace it."""
        owner = holder or self.holder()
        owned = self.container(owner, *products)
        self.container(owner)
        return owned

    def report(self, lost: Story, **change: object) -> dict[str, object]:
        """A loss report by the holder or by the customer desk; what is different in it is in `change`."""
        self.counts["number"] += 1
        by_holder = self.random.random() < 0.6
        data: dict[str, object] = {
            "report": f"RMA-{self.counts['number']:04}",
            "serial": lost["serial"],
            "kind": "dongle",
            "reason": self.random.choice(["lost", "lost", "lost", "stolen"]),
            "reporter": _reporter("holder", lost["holder"]) if by_holder else _reporter("back_office", "desk"),
            "occurred": self.instant(2025),
        } | change
        self.state("loss.reported", **data)
        return data

    def contact(self, container: Story, **more: object) -> None:
        """A container reports in."""
        self.counts["contact"] += 1
        number = f"CALL-{self.counts['contact']:04}"
        fields = {"contact": number, "serial": container["serial"], "occurred": self.instant(2026)}
        self.state("container.contacted", **fields, **more)

    def returned(self, container: Story) -> None:
        """The vendor has a container back."""
        self.counts["number"] += 1
        number, desk = f"RMA-{self.counts['number']:04}", _reporter("back_office", "desk")
        fields = {"report": number, "serial": container["serial"], "reporter": desk}
        self.state("container.returned", **fields, occurred=self.instant(2026))

    def found(self, container: Story) -> None:
        """Its holder has it in hand again."""
        self.counts["number"] += 1
        number, reporter = f"RMA-{self.counts['number']:04}", _reporter("holder", container["holder"])
        where = {"serial": container["serial"], "reporter": reporter}
        self.state("container.found", report=number, **where, occurred=self.instant(2026))

    def decide(self, report: dict[str, object], action: str, by: str, why: str, verdict: str | None = None) -> None:
        """What a supervisor decides, or somebody who is none tries to."""
        data = {"decision": f"DEC-{len(self.decisions) + 1:04}", "report": report["report"], "action": action, "by": by}
        self.decisions.append({"wave": self.wave, **data, "why": why, "verdict": verdict})


def _reporter(role: str, name: str) -> dict[str, str]:
    return {"role": role, "name": name}


def make() -> SampleVendor:
    """Everything that the vendor's systems and supervisors say."""
    vendor = SampleVendor()
    lost = [(owned := vendor.stock(CHEAP), vendor.report(owned)) for _ in range(5)]
    _not_to_be_handled(vendor)

    vendor.wave = MAIN
    lost += [(owned := vendor.stock(CHEAP, CHEAP), vendor.report(owned)) for _ in range(21)]
    for _ in range(6):  # the same report again
        vendor.report(owned := vendor.stock(CHEAP), **(said := vendor.report(owned)))
        vendor.counts["number"] -= 1
        lost.append((owned, said))
    for _ in range(5):  # another report of the same container
        lost.append((owned := vendor.stock(CHEAP), vendor.report(owned)))
        vendor.report(owned, reporter=_reporter("back_office", "crm"))
    for _ in range(2):  # a report's number, used for another statement
        said = vendor.report(owned := vendor.stock(CHEAP), reason="lost")
        vendor.report(owned, report=said["report"], reporter=said["reporter"], reason="stolen")
    dear = [(owned := vendor.stock(DEAR), vendor.report(owned)) for _ in range(15)]
    dear += [(owned := vendor.stock(CHEAP, DEAR), vendor.report(owned)) for _ in range(3)]
    own = vendor.report(vendor.stock(DEAR), reporter=_reporter("back_office", "tom"))
    for recoveries in (2, 2, 2, 2, 4, 4, 4):  # two a year are automatic, whichever arrive first
        holder = vendor.holder()
        for owned in [vendor.stock(HYBRID, holder=holder) for _ in range(recoveries)]:
            vendor.report(owned)
    for _ in range(2):  # it reported in after it was said to be lost
        vendor.contact(owned := vendor.stock(HYBRID))
        vendor.report(owned)
    kinds = _every_kind(vendor)
    _others(vendor)

    vendor.wave = DECIDE
    _decisions(vendor, [said for _, said in dear], own)
    vendor.wave = SIGHT
    seen = [*lost[:4], *lost[28:31], dear[0], dear[1]]
    for number, (owned, _) in enumerate(seen):
        vendor.found(owned) if number % 3 == 2 else vendor.contact(owned)
    vendor.contact(lost[0][0])  # once more: a case resurfaces once
    vendor.contact(dear[14][0])  # not blocked, for nobody has decided yet
    vendor.found(dear[13][0])
    _later(vendor, kinds)
    vendor.wave = RULE
    _verdicts(vendor, [said for _, said in seen], lost[10][1])
    return vendor


def _not_to_be_handled(vendor: SampleVendor) -> None:
    """Reports that claim nothing. Those of unknown and of empty containers are held for a while: they come early."""
    for number in range(5):
        holder = vendor.holder()
        vendor.report({"serial": f"DONGLE-9{number:04}", "holder": holder})
    for _ in range(2):  # nothing in it could be replaced
        vendor.report(vendor.container(vendor.holder()))
    for product in (CHEAP, CHEAP, DEAR, HYBRID, HYBRID):  # by another than its holder
        owned, other = vendor.container(vendor.holder(), product), vendor.holder()
        vendor.report(owned, reporter=_reporter("holder", other))
    for _ in range(2):
        vendor.report(vendor.container(vendor.holder(), CHEAP, kind="act"))
    vendor.report(vendor.container(vendor.holder(), CHEAP, kind="act"), kind="act", reason="lost")
    vendor.found(vendor.container(vendor.holder(), CHEAP))  # nobody has reported it lost


def _every_kind(vendor: SampleVendor) -> dict[str, list[Story]]:
    """One or two losses of each other kind, of the product that is replaced at once."""

    def lost(kind: str, reason: str, **change: object) -> Story:
        owned = vendor.container(vendor.holder(), CHEAP, kind=kind)
        vendor.report(owned, kind=kind, reason=reason, **change)
        return owned

    stories: dict[str, list[Story]] = {"damaged": [], "licence": []}
    for _ in range(2):
        stories["damaged"].append(owned := vendor.stock(CHEAP))
        vendor.report(owned, reason="damaged")
        stories["licence"].append(owned := vendor.stock(CHEAP, CHEAP))
        last = f"LIC-{vendor.counts['licence.issued']:05}"
        vendor.report(owned, reason="lost", scope="licences", licences=[last])
    for kind, reason, count in (
        *(("act", "hardware_replaced", 2), ("act", "same_hardware", 1), ("act", "computer_stolen", 1)),
        *(("cloud", "forgotten", 2), ("cloud", "stolen", 2)),
    ):
        stories[f"{kind} {reason}"] = [lost(kind, reason) for _ in range(count)]
    return stories


def _later(vendor: SampleVendor, kinds: dict[str, list[Story]]) -> None:
    """Machines ask for their activation, a broken dongle comes back, and somebody uses stolen access data."""
    moved, same = kinds["act hardware_replaced"][0], kinds["act same_hardware"][0]
    new, old = ({"board": f"board-{where}", "disk": f"disk-{where}"} for where in ("new", same["serial"]))
    vendor.contact(moved, how="activation", fingerprint=new)
    vendor.statements[-1]["by_code"] = True  # who feeds this fetches the code first: `lostfound activation code SERIAL`
    vendor.contact(same, how="activation", fingerprint=old)
    vendor.contact(kinds["cloud stolen"][0], how="sign_in", generation=1)
    vendor.returned(kinds["damaged"][0])


def _others(vendor: SampleVendor) -> None:
    """Containers and licences of which nothing is heard any more."""
    holders = [vendor.holder() for _ in range(250)]
    filled: list[str] = []
    while vendor.counts["container"] < CONTAINERS:
        kind = vendor.random.choices(["dongle", "act", "cloud"], [7, 2, 1])[0]
        product = vendor.random.choices([CHEAP, HYBRID, DEAR], [6, 3, 1])[0]
        products = [] if vendor.random.random() < 0.05 else [product]
        container = vendor.container(vendor.random.choice(holders), *products, kind=kind)
        filled += [container["serial"]] * len(products)
    while vendor.counts["licence.issued"] < LICENCES:
        vendor.licence(vendor.random.choice(filled), vendor.random.choice([CHEAP, HYBRID]))


def _decisions(vendor: SampleVendor, dear: list[dict[str, object]], own: dict[str, object]) -> None:
    for said in (*dear[:6], dear[15]):
        vendor.decide(said, "approve", vendor.random.choice(["ann", "tom", "mia"]), "the customer is known to us")
    for said in dear[6:10]:
        vendor.decide(said, "reject", vendor.random.choice(["ann", "mia"]), "no proof of purchase")
    for said in dear[10:12]:
        vendor.decide(said, "approve", "eve", "I am sure it is fine")  # the policy does not list her
    vendor.decide(own, "approve", "tom", "I saw it fall into the river")  # he reported it himself
    vendor.decide(own, "approve", "ann", "tom saw it fall into the river")
    vendor.decide(dear[6], "approve", "tom", "too late: it is rejected")


def _verdicts(vendor: SampleVendor, seen: list[dict[str, object]], unseen: dict[str, object]) -> None:
    vendor.decide(seen[0], "rule", "eve", "mine", "found")
    verdicts = ["clone", "used_after_loss", "found", "fraud", "damaged"]
    for said, verdict in zip(seen, verdicts, strict=False):
        vendor.decide(said, "rule", vendor.random.choice(["ann", "tom", "mia"]), "looked into", verdict)
    vendor.decide(unseen, "rule", "ann", "of what nobody has seen", "clone")


def main(folder: Path) -> None:
    """Write the files."""
    vendor = make()
    folder.mkdir(parents=True, exist_ok=True)
    documents = {"statements": vendor.statements, "decisions": vendor.decisions}
    for name, rows in documents.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    must = expected(yaml.safe_load(POLICY), vendor.statements, vendor.decisions, waves=RULE + 1)
    (folder / "expected.json").write_text(json.dumps({"vendor": VENDOR, **must}, indent=1) + "\n")
    (folder / "policy.yaml").write_text(POLICY)
    assert (vendor.counts["container"], vendor.counts["licence.issued"]) == (CONTAINERS, LICENCES)
    assert vendor.counts["loss.reported"] == REPORTS, vendor.counts


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/sample_vendor.py FOLDER")
    main(Path(sys.argv[1]))
