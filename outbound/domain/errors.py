"""Errors: what went unexpectedly wrong, with a stable code and the next thing to do.

Expected outcomes (a skip, a bounce, a held message) are values, never exceptions.
"""


class OutboundError(Exception):
    """An operation could not be done.

    ``code`` is stable and documented in docs/errors.md; ``remedy`` says what to do next. Neither may
    carry a secret, an address or a message body: errors are logged as they are.
    """

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]" + (f" -> {self.remedy}" if self.remedy else "")


class ConfigurationError(Exception):
    """The installation is set up wrongly. A root of its own, so that no handler of the service swallows it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message + (f" -> {self.remedy}" if self.remedy else "")
