"""What a person can put right: a stable code for scripts, one sentence that names the remedy, and an exit code."""

FAILED = 1
WRONGLY_TYPED = 2
NOT_RUNNING = 3
NOT_READY = 4
DEGRADED = 8

EXIT_CODES = {
    "bad-setting": WRONGLY_TYPED,
    "bad-argument": WRONGLY_TYPED,
    "data-folder": WRONGLY_TYPED,
    "not-running": NOT_RUNNING,
    "not-ready": NOT_READY,
    "already-running": 5,
    "port-taken": 6,
    "registry-unreachable": 7,
    "download-broken": 7,
    "cache-not-writable": 7,
}


class Problem(Exception):  # noqa: N818 - it is told to a person, who reads "Problem", not "Error"
    """Something that stops us and that the person at the terminal can change."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this problem."""
        return EXIT_CODES.get(self.code, FAILED)
