"""The errors a user can meet: what happened, with the value in it, and what to do next."""

from __future__ import annotations

from labelloop.errors.masking import masked


class LabelLoopError(Exception):
    """Base of every error labelloop raises on purpose. Credentials in addresses are masked, whoever put them there.

    Args:
        message: What happened, with the offending value in it.
        hint: What to do next, as a command where one exists.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = masked(message)
        self.hint = masked(hint)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.hint), self.__dict__


class ConfigError(LabelLoopError):
    """Something the user wrote or chose cannot work: her move."""

    exit_code = 2


class NotFoundError(ConfigError):
    """A name that does not exist where it was looked up."""


class OtherLabelsError(ConfigError):
    """The labels are not those that this process began with, or a change of them was interrupted.

    Args:
        message: What happened.
        hint: What to do next.
        begin_again: Whether a loop made anew can go on.
    """

    def __init__(self, message: str, hint: str = "", begin_again: bool = False) -> None:
        super().__init__(message, hint)
        self.begin_again = begin_again


class NoSecretError(NotFoundError):
    """A component needs a secret that the secrets manager does not have."""


class OtherOwnerError(ConfigError):
    """A dataset is another ledger's, or is not where this ledger left it.

    Args:
        message: What happened.
        hint: What to do next.
        turn: How many times its owner has asked.
        is_behind: Whether the dataset is older than the ledger.
    """

    def __init__(self, message: str, hint: str = "", turn: int = 0, *, is_behind: bool = False) -> None:
        super().__init__(message, hint)
        self.turn = turn
        self.is_behind = is_behind


class VanishedError(ConfigError):
    """So many questions or answers are gone at once that it does not look like people's work."""


class OptionError(ConfigError):
    """An option of a component is unknown, missing, or cannot be what was written.

    Args:
        message: What happened.
        hint: What to do next.
        option: The option.
    """

    def __init__(self, message: str, hint: str = "", option: str = "") -> None:
        super().__init__(message, hint)
        self.option = option


class BadItemError(LabelLoopError):
    """One item cannot be read; reported, counted and skipped, never fatal to a command."""

    exit_code = 2


class BackendError(LabelLoopError):
    """A service or the machine failed: not the user's fault.

    Args:
        message: What happened.
        hint: What to do next.
        retryable: Whether the same call may succeed later.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(message, hint)
        self.retryable = retryable


class UnreadableError(BackendError):
    """Most items cannot be read now, or all: what has them is away. Nothing was given up."""


class DamagedLedgerError(BackendError):
    """The ledger's file is cut, overwritten, emptied, or is no ledger; the hint has the repair."""


class StepError(LabelLoopError):
    """A step raised; the message names the step, `__cause__` keeps the error."""

    exit_code = 4


class BusyError(LabelLoopError):
    """Another process holds what this one wants; the message says who and since when."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


class LabelLoopWarning(UserWarning):
    """Something a user should know that does not stop the work."""
