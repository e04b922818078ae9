"""Exceptions and warnings. Each message says what was expected, what was got, where, and what to do."""

from pathlib import Path

_LONGEST = 1200  # characters of a reason


class NeucollapseError(Exception):
    """Base of every exception this package raises on purpose."""


class InputError(NeucollapseError, ValueError):
    """An argument has the wrong shape, type or value."""


class OptionError(InputError, TypeError):
    """A function has no such option, or cannot use it on what it was given. Also a `TypeError`, as Python raises."""


class ForwardError(InputError, RuntimeError):
    """The code of a model raised an error in a forward pass. `__cause__` is that error."""


class UnknownNameError(InputError, KeyError):
    """A name that is looked up (a key, a preset, a model, a member of a file) does not exist. Also a `KeyError`."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class NonFiniteError(InputError):
    """Data hold NaN or infinity where finite numbers are needed."""


class FileFormatError(NeucollapseError, ValueError):
    """A file cannot be used: truncated, of the wrong kind, or with contents that do not fit together."""

    def __init__(self, path: str | Path, reason: str) -> None:
        if len(reason) > _LONGEST:  # it quotes the file, which can hold anything
            reason = f"{reason[: _LONGEST - 3]}..."
        super().__init__(f"cannot use {path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class FileWriteError(NeucollapseError, OSError):
    """A file cannot be written: no room, no permission, or a place where no regular file can be."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class MissingExtraError(NeucollapseError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'neucollapse[{extra}]'")
        self.arguments = package, extra, purpose

    def __reduce__(self):
        return type(self), self.arguments


class SolverError(NeucollapseError):
    """A solver did not reach what was asked; `solution` holds the best it found."""

    def __init__(self, message: str, solution: object = None) -> None:
        super().__init__(message)
        self.solution = solution


class NeucollapseWarning(UserWarning):
    """Base of every warning this package gives on purpose."""


class TrainModeWarning(NeucollapseWarning):
    """A model was measured in train mode, where dropout and batch statistics change its features."""


class ClassifierWarning(NeucollapseWarning):
    """A layer was named as the classifier whose output is not the model's."""


class NonDeterministicWarning(NeucollapseWarning):
    """Two forward passes, or two passes over a loader, did not give the same numbers."""


class ResumeWarning(NeucollapseWarning):
    """A run does not go on where it stopped: from an older checkpoint than the newest, or from the beginning."""
