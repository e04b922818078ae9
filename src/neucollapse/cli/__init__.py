"""The command line, one file a subcommand. Nothing heavy is imported until a subcommand runs, so ``--help`` is quick.

Numbers go to standard output, progress and warnings to standard error. Exit codes: 0 fine, 1 a finding
(``--fail-if``), 2 wrong usage or a file that cannot be written, 3 an input file that cannot be used, 4 an error that
nobody foresaw, 130 interrupted.
"""

import sys
import warnings
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

from ..theory.settings import SETTINGS
from ._failures import FINE, explain, trace
from ._streams import lenient_output
from ._usage import parsed, require_subcommand
from .cite import Cite
from .code import Code
from .code_required_dim import CodeRequiredDim
from .code_table import CodeTable
from .code_verify import CodeVerify
from .demo import Demo
from .inspect import Inspect
from .measure import Measure, one_condition_each
from .report import Report
from .simulate import ListModels
from .simulate import subcommand as simulation
from .train import Train, take_config

_DESCRIPTION = "Generalized neural collapse: measure it, know its optimum, train towards it."
_COMMANDS: dict[str, type] = {
    "demo": Demo,
    "train": Train,
    "measure": Measure,
    "inspect": Inspect,
    "report": Report,
    "code": Code,
    "code table": CodeTable,
    "code verify": CodeVerify,
    "code required-dim": CodeRequiredDim,
    "simulate": ListModels,
    "cite": Cite,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (of ``--help`` and options that cannot be read, as ``SystemExit``).

    Whatever ends a command early is one sentence on standard error, and the code that ``_failures`` gives it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _show_warning
    with lenient_output():
        try:
            code = _run(given)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            sentence, code = explain(error)
            sys.stderr.write(f"{trace(error)}neucollapse: {sentence}\n")
        return code


def _run(given: list[str]) -> int:
    if not given:
        return _list_commands()
    if given == ["--version"]:
        from .. import __version__

        sys.stdout.write(f"neucollapse {__version__}\n")
        return FINE
    require_subcommand(given, _COMMANDS)
    given, config = take_config(one_condition_each(given))
    return parsed(lambda words: _parse(words, Train(config=config)), _joined(given)).run()


def _parse(given: list[str], train: Train) -> Any:
    import tyro

    def named(name: str, **options: Any) -> Any:
        return Annotated[_COMMANDS[name], tyro.conf.subcommand(name, prefix_name=False, **options)]

    options = {"train": {"default": train}}
    commands = [named(name, **options.get(name, {})) for name in _COMMANDS if name != "simulate"]
    return tyro.cli(
        reduce(or_, commands, simulation([*given[0].split(), *given[1:]])),
        prog="neucollapse",
        description=f"{_DESCRIPTION} --version prints the version.",
        args=given,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def _list_commands() -> int:
    """What a bare ``neucollapse`` prints: a line a subcommand."""
    width = max(map(len, _COMMANDS))
    lines = (f"  {name:{width}}  {(kind.__doc__ or '').strip().splitlines()[0]}" for name, kind in _COMMANDS.items())
    end = "`neucollapse COMMAND --help` explains one; `neucollapse demo` shows the main job in about a minute."
    sys.stdout.write("\n".join((_DESCRIPTION, "", *lines, "", end, "")))
    return FINE


def _joined(given: list[str]) -> list[str]:
    """Two words that name one subcommand, such as ``code table`` or ``simulate ufm``, as one."""
    two = " ".join(given[:2])
    names = {*_COMMANDS, *(f"simulate {model}" for model in SETTINGS)}
    return [two, *given[2:]] if two in names and len(given) > 1 else given


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    from .._errors import NeucollapseWarning

    if issubclass(category, NeucollapseWarning):
        sys.stderr.write(f"warning: {message}\n")
