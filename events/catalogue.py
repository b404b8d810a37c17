"""Every fact that `lostfound.log` can hold.

A fact is frozen and its name is in the past tense. Its CloudEvents type is `lostfound.<name>.v<version>`. A fact of the
backend stands in the stream of its container (`container/SERIAL`) or vendor, a fact of a case in the stream of the case
(`case/CASE`).
"""

from events import backend_facts, case_facts
from events.fact import Fact

_STATED = (backend_facts, case_facts)  # with them, every fact is known


def _leaves(fact: type[Fact]) -> list[type[Fact]]:
    return [leaf for child in fact.__subclasses__() for leaf in ([child] if "name" in vars(child) else _leaves(child))]


CATALOGUE: dict[str, type[Fact]] = {fact.type(): fact for fact in _leaves(Fact)}
