"""How many wrong passwords a cloud container takes, and from whom: pure functions of what is known and of the time.

Strangers together have a few guesses, and then one a minute. An origin (whatever a door says of where a sign-in comes
from, such as an address or a client's id) that signed in before has as many of its own, so that nobody who guesses
keeps the holder out. Time gives guesses back, and new access data all of them; what is refused meanwhile costs none.
"""

from datetime import datetime, timedelta

from events.terms import Instant, Value

TRIES = 5
INTERVAL = timedelta(minutes=1)
"""How long it takes until one more guess is there."""
ORIGINS_LIMIT = 20
"""So many origins of a container are known, those that signed in last."""


class Origin(Value):
    """Somewhere that somebody signed in from. `clear` is when all of its wrong guesses are forgotten."""

    name: str
    clear: Instant | None = None


class Guesses(Value):
    """What is known of those who sign in to a container: until when the guesses of strangers count, and the origins,
    the one that signed in last at the end."""

    clear: Instant | None = None
    origins: tuple[Origin, ...] = ()

    def bounded(self, at: datetime) -> "Guesses":
        """What is known at this instant: no guess counts for longer than one can that is made now. A longer one was
        counted by a clock that was ahead; it counts as the last of all guesses, and is to be kept so, or it would lock
        for ever. It gives no guess back, or whoever turns a clock to and fro could guess for ever."""
        longest = at + TRIES * INTERVAL

        def bound(clear: datetime | None) -> datetime | None:
            return clear and min(clear, longest)

        origins = tuple(Origin(name=one.name, clear=bound(one.clear)) for one in self.origins)
        return Guesses(clear=bound(self.clear), origins=origins)

    def may_guess(self, origin: str | None, at: datetime) -> bool:
        """Whether a password from there may be compared now."""
        return (self._clear_of(origin) or at) - at <= (TRIES - 1) * INTERVAL

    def after_wrong(self, origin: str | None, at: datetime) -> "Guesses":
        """What is known after a wrong guess that might be made."""
        clear = max(self._clear_of(origin) or at, at) + INTERVAL
        if not self._knows(origin):
            return self.model_copy(update={"clear": clear})
        origins = (Origin(name=one.name, clear=clear) if one.name == origin else one for one in self.origins)
        return self.model_copy(update={"origins": tuple(origins)})

    def after_right(self, origin: str | None) -> "Guesses":
        """What is known after somebody signed in. What strangers guessed counts on."""
        if origin is None:
            return self
        others = tuple(one for one in self.origins if one.name != origin)
        return self.model_copy(update={"origins": (*others, Origin(name=origin))[-ORIGINS_LIMIT:]})

    def after_new_access(self) -> "Guesses":
        """What is known once there are new access data: nothing was guessed of them."""
        return Guesses(origins=tuple(Origin(name=one.name) for one in self.origins))

    def _knows(self, origin: str | None) -> bool:
        return any(one.name == origin for one in self.origins)

    def _clear_of(self, origin: str | None) -> datetime | None:
        return next((one.clear for one in self.origins if one.name == origin), self.clear)
