"""`aurora-cli completion SHELL`: a script that completes commands, options and the names of nodes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from exporter.client.errors import ClientError
from exporter.programs.cli.arguments import COMMANDS, build
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure

BASH = """\
# bash completion of aurora-cli; source it, or put it where bash-completion looks.
_aurora_cli() {
    local current=${COMP_WORDS[COMP_CWORD]} previous= command= options= words= names= word
    ((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case " @COMMANDS@ " in *" $word "*) command=$word; break ;; esac
    done
    case $previous in
@VALUES@
    esac
    case $command in
@CASES@
        *) words='@COMMANDS@' options='@COMMON@' ;;
    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
        return
    fi
    if [[ -n $names ]]; then
        words+=" $(aurora-cli complete-names 2>/dev/null)"
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _aurora_cli aurora-cli
"""
ZSH = """\
#compdef aurora-cli
# zsh completion of aurora-cli, by way of the one for bash.
autoload -U +X bashcompinit && bashcompinit
@BASH@
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _bash_complete -o default -F _aurora_cli
fi
"""


@dataclass(frozen=True, slots=True)
class _Syntax:
    """What may follow a command."""

    name: str
    text: str
    options: list[argparse.Action]
    words: list[str]
    takes_names: bool


def script(context: Context) -> None:
    """Print the script for the shell."""
    context.show([_SCRIPTS[context.arguments.shell]().rstrip("\n")])


def names(context: Context) -> None:
    """The nodes' names, one a line; nothing, and no complaint, where the registry cannot be asked."""
    context.arguments.timeout_ns = min(context.arguments.timeout_ns, 2_000_000_000)
    try:
        context.show(context.client.nodes())
    except (ClientError, Failure):
        return


def _syntaxes() -> list[_Syntax]:
    [choices] = [action.choices for action in build()._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    found = []
    for command in COMMANDS:
        if command.hidden:
            continue
        actions = choices[command.name]._actions  # noqa: SLF001 - argparse has no other way to look at a parser
        places = [action for action in actions if not action.option_strings]
        words = [*command.words, *(str(choice) for action in places for choice in action.choices or ())]
        takes_names = any(action.dest in {"name", "names"} for action in places)
        options = [action for action in actions if action.option_strings]
        found.append(_Syntax(command.name, command.text, options, words, takes_names))
    return found


def _long(action: argparse.Action) -> list[str]:
    return [option for option in action.option_strings if option.startswith("--")]


def _common_options() -> list[str]:
    return sorted({option for action in build()._actions for option in _long(action)})  # noqa: SLF001


def _bash() -> str:
    syntaxes = _syntaxes()
    cases, values = [], {}
    for syntax in syntaxes:
        options = " ".join(option for action in syntax.options for option in _long(action))
        given = f"options='{options}' words='{' '.join(syntax.words)}'" + (" names=1" if syntax.takes_names else "")
        cases.append(f"        {syntax.name}) {given} ;;")
        for action in syntax.options:
            if action.choices:
                values["|".join(_long(action))] = " ".join(map(str, action.choices))
            elif action.metavar in {"FILE", "DIR"}:
                values["|".join(_long(action))] = ""
    looked_at = [
        f"""        {option}) COMPREPLY=($(compgen {f"-W '{words}'" if words else "-f"} -- "$current")); return ;;"""
        for option, words in values.items()
    ]
    text = BASH.replace("@COMMANDS@", " ".join(syntax.name for syntax in syntaxes))
    text = text.replace("@COMMON@", " ".join(_common_options()))
    return text.replace("@CASES@", "\n".join(cases)).replace("@VALUES@", "\n".join(looked_at))


def _zsh() -> str:
    return ZSH.replace("@BASH@", _bash())


def _fish() -> str:
    syntaxes = _syntaxes()
    lines = [
        "# fish completion of aurora-cli; put it into ~/.config/fish/completions/aurora-cli.fish",
        "complete -c aurora-cli -f",
    ]
    for syntax in syntaxes:
        here = f"-n '__fish_seen_subcommand_from {syntax.name}'"
        lines.append(f"complete -c aurora-cli -n __fish_use_subcommand -a {syntax.name} -d {_quoted(syntax.text)}")
        if syntax.takes_names:
            lines.append(f"complete -c aurora-cli {here} -a '(aurora-cli complete-names 2>/dev/null)'")
        if syntax.words:
            lines.append(f"complete -c aurora-cli {here} -a {_quoted(' '.join(syntax.words))}")
        for action in syntax.options:
            for option in _long(action):
                value = "" if action.nargs == 0 else " -r"
                if action.choices:
                    value += f" -a {_quoted(' '.join(map(str, action.choices)))}"
                elif action.metavar in {"FILE", "DIR"}:
                    value += " -F"
                help_text = _quoted((action.help or "").replace("%%", "%"))
                lines.append(f"complete -c aurora-cli {here} -l {option[2:]}{value} -d {help_text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
