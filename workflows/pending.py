"""The messages that have reached a case and that it has not taken: each number is taken once, in order. Pure."""

from collections.abc import Iterable, Iterator

from events.ports.loss_cases import DecisionOrder, Evidence, Joined, Message
from events.sizes import MESSAGE_TOKENS


class Pending:
    """What is left to take after message number `taken`. A copy of what was taken, or is here, changes nothing."""

    def __init__(self, taken: int, messages: Iterable[Message] = ()) -> None:
        self.taken = taken
        self._messages: dict[int, list[Message]] = {}
        for message in messages:
            self.add(message)

    def add(self, message: Message) -> None:
        """A message arrived, perhaps for the second time, perhaps before the one that comes first. Of several of one
        number, of which a door can have accepted only one, each is kept until the number is taken."""
        if message.number > self.taken:
            arrived = self._messages.setdefault(message.number, [])
            if message not in arrived:
                arrived.append(message)

    def first(self) -> Message | None:
        """The message that is to be taken next, if it is here."""
        arrived = self._messages.get(self.taken + 1)
        return arrived[0] if arrived else None

    def in_order(self) -> Iterator[Message]:
        """The messages that can be taken one after the other."""
        number = self.taken
        while arrived := self._messages.get(number := number + 1):
            yield arrived[0]

    def take(self, count: int = 1) -> None:
        """Count the first messages as taken."""
        for number in range(self.taken + 1, self.taken + count + 1):
            del self._messages[number]
        self.taken += count

    def discard(self) -> None:
        """Forget the first message, which nobody has accepted: the true one of its number is here, or still comes."""
        arrived = self._messages[self.taken + 1]
        del arrived[0]
        if not arrived:
            del self._messages[self.taken + 1]

    @property
    def travels(self) -> bool:
        """Whether all that is here goes into one payload, together with the state of its case."""
        return sum(map(tokens, self.all())) <= MESSAGE_TOKENS

    def all(self) -> tuple[Message, ...]:
        """Every message that is here, by number."""
        return tuple(message for number in sorted(self._messages) for message in self._messages[number])


def tokens(message: Message) -> int:
    """How long a message may be at most, in names of the longest. It is counted, for a size in bytes is not the same in
    every version, and a case decides by it whether it goes on in a new history."""
    match message.content:
        case Joined(report=report):
            return 15 + len(report.licences) + len(report.evidence)
        case Evidence(evidence=evidence, files=files):
            return 8 + len(evidence) + 2 * len(files)
        case DecisionOrder():
            return 150
        case _:
            return 5
