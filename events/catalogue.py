"""Every fact that `lostfound.log` can hold.

A fact is frozen and its name is in the past tense. Its CloudEvents type is `lostfound.<name>.v<version>`. A fact of the
backend stands in the stream of its container (`container/SERIAL`) or vendor, a fact of a case in the stream of the case
(`case/CASE`).
"""

from typing import get_args

from events.backend_facts import BackendFact
from events.case_facts import CaseFact

AnyFact = BackendFact | CaseFact
"""Every fact, in its newest version. The union is closed: a fold that leaves one out does not pass the type checker."""

FACTS: tuple[type[AnyFact], ...] = get_args(AnyFact)
CATALOGUE: dict[str, type[AnyFact]] = {fact.type(): fact for fact in FACTS}
