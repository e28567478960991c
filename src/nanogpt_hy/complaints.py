"""What the command line says of words that it cannot take, in one line. Loads no torch."""

from inspect import signature

from cyclopts import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from nanogpt_hy.config import kind_name, nearest, shown


def misplaced(error):
    """What to say of a word that neither an option nor the command takes."""
    word, before = error.unused_tokens[0], ["", *error.root_input_tokens]
    flag = before[before.index(word) - 1]
    if len(flag) > 2 and flag.startswith("--"):
        return f"{flag} takes no value, so there is no place for {word}: leave {word} out"
    if "ckpt" in signature(error.target).parameters:
        return f"there is no place for {word}: leave it out, or write --ckpt {word} if it is a checkpoint"
    return f"there is no place for {word}: leave it out"


def without_value(error):
    """What to say of an option, or of an argument, that has no value."""
    command, name = " ".join(error.command_chain), error.argument.name
    misspelt = [t for t in error.unused_tokens or [] if nearest(t, [name]).startswith("did")]
    following = [*error.root_input_tokens, ""]
    if name in following:
        value = following[following.index(name) + 1]
        if value.startswith("-"):
            return f"{name} needs a value: if it is to be {value}, write {name}={value}"
        wanted, _ = error.argument.token_count()
        return f"{name} needs {f'{wanted} values' if wanted > 1 else 'a value'}: see nanogpt-hy {command} --help"
    if name.startswith("--") and misspelt:
        return f"there is no option {misspelt[0]}: did you mean {name}?"
    return f"{command} needs {name}: see nanogpt-hy {command} --help"


def complaint(error):
    """What cyclopts has to say, in one line: the fact, the limit and the way out."""
    match error:
        case MissingArgumentError():
            return without_value(error)
        case UnknownOptionError():
            given = (error.token.keyword or error.token.value).split("=")[0]
            names = [name for a in error.argument_collection for name in a.names]
            near, plain = nearest(given, names), given.lstrip("-").upper()
            if plain in names:
                near = f"{plain} is given without it, by its place"
            elif not near.startswith("did"):
                near = f"see nanogpt-hy {' '.join(error.command_chain or [])} --help"
            return f"there is no option {given}: {near}"
        case UnknownCommandError():
            given = error.unused_tokens[0]
            if given.startswith("-"):
                return f"there is no option {given}: see nanogpt-hy --help"
            commands = [name for name in error.app if not name.startswith("-")]
            return f"there is no command {given}: {nearest(given, commands)}"
        case RepeatArgumentError():
            return f"{error.token.keyword} is given twice: give it once"
        case CoercionError(token=token, argument=argument) if token and argument:
            name, kind = token.keyword or argument.name, kind_name(argument.hint)
            near = nearest(token.value, kind.split(" or "))
            near = f", {near}" if near.startswith("did") else ""
            return f"{name} is {shown(token.value) or 'empty'}: it has to be {kind}{near}"
        case UnusedCliTokensError():
            return misplaced(error)
    return " ".join(str(error).split())
