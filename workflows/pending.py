"""The messages that have reached a case and that it has not taken: each number is taken once, in order. Pure."""

from collections.abc import Iterable, Iterator

from events.cases import Message


class Pending:
    """What is left to take after message number `taken`. A copy of what was taken, or is here, changes nothing."""

    def __init__(self, taken: int, messages: Iterable[Message] = ()) -> None:
        self.taken = taken
        self._messages: dict[int, Message] = {}
        for message in messages:
            self.add(message)

    def add(self, message: Message) -> None:
        """A message arrived, perhaps for the second time, perhaps before the one that comes first."""
        if message.number > self.taken:
            self._messages.setdefault(message.number, message)

    def first(self) -> Message | None:
        """The message that is to be taken next, if it is here."""
        return self._messages.get(self.taken + 1)

    def in_order(self) -> Iterator[Message]:
        """The messages that can be taken one after the other."""
        number = self.taken
        while message := self._messages.get(number := number + 1):
            yield message

    def take(self, count: int = 1) -> None:
        """Count the first messages as taken."""
        for number in range(self.taken + 1, self.taken + count + 1):
            del self._messages[number]
        self.taken += count

    def discard(self) -> None:
        """Forget the first message, which nobody has accepted: the true one of its number may still come."""
        del self._messages[self.taken + 1]

    def all(self) -> tuple[Message, ...]:
        """Every message that is here, by number."""
        return tuple(message for _, message in sorted(self._messages.items()))
