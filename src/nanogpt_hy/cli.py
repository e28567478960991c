"""The command line: its commands and options, each command one call of a Hy function."""

from dataclasses import asdict, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from cyclopts import App, CoercionError, Group, Parameter, convert

from nanogpt_hy import __version__
from nanogpt_hy.config import GPTConfig, TrainConfig
from nanogpt_hy.errors import RequestError


def strictly(kind, tokens):
    """The value of an option. Where a whole number belongs, 2.7 is an error and not 3; where a file
    does, nothing is one, and not the folder where the command is given."""
    kinds, value = (kind, *get_args(kind)), tokens[0].value
    if (int in kinds and "." in value) or (Path in kinds and not value):
        raise CoercionError(token=tokens[0], target_type=kind)
    return convert(kind, tokens)


Flag = Annotated[bool, Parameter(negative="", show_default=False)]      # there or not

app = App(
    name="nanogpt-hy",
    version=__version__,
    help="A GPT, built step by step in Hy: train one on any text, let it write, see inside.",
    default_parameter=Parameter(converter=strictly),
    suppress_keyboard_interrupt=False,
)


def options_from(*configs):
    """A dataclass that has each hyperparameter as an option which may be left out."""
    options = []
    for number, config in enumerate(configs):
        group = Group(config.__doc__.split(":")[0], sort_key=number + 1)
        for f in fields(config):
            if f.name != "vocab_size":
                default = "" if f.default is None else f" (default: {f.default})"
                shown = Parameter(group=group, help=f.metadata["help"] + default)
                options.append((f.name, Annotated[f.type | None, shown], field(default=None)))
    made = make_dataclass(
        "Hyperparameters", options, kw_only=True, namespace={"__module__": __name__}
    )
    return Annotated[made, Parameter(name="*")]


Hyperparameters = options_from(GPTConfig, TrainConfig)


def given(hyperparameters):
    """The options that were given, as a dict."""
    every = {} if hyperparameters is None else asdict(hyperparameters)
    return {name: value for name, value in every.items() if value is not None}


@app.command
def train(
    text: Path,
    /,
    *,
    stage: str | None = None,
    preset: str | None = None,
    config: Path | None = None,
    tokenizer: str | None = None,
    out: Path | None = None,
    resume: Flag = False,
    init_from: Path | None = None,
    tensorboard: Flag = False,
    profile: Flag = False,
    hyperparameters: Hyperparameters = None,
):
    """Train a model on a text.

    Parameters
    ----------
    text
        The text: a UTF-8 file, or the token file that prepare made of one.
    stage
        The model: fast, or a stage of the ladder from bigram to gpt, which is the course's GPT
        (default: fast; with the preset lecture gpt).
    preset
        Hyperparameters that go together: ab, lecture, shakespeare-cpu or shakespeare-gpu. Left out,
        it is chosen by the text and the machine.
    config
        A TOML file of hyperparameters. It wins over the preset; options win over it.
    tokenizer
        What a token is: char, byte, bpe:N for N pieces learned from the text, or a folder that
        holds a tokenizer.json (default: char).
    out
        The run's folder (default: runs/NAME, named after the text).
    resume
        Go on with the run in that folder, or with the newest one.
    init_from
        Start from the weights of this checkpoint (fine-tuning).
    tensorboard
        Write the metrics for TensorBoard too, into the run's folder.
    profile
        Watch a few of the first steps and say where their time goes; the run is the same.
    """
    from nanogpt_hy.lab.commands import train

    return train(
        str(text),
        stage=stage,
        preset=preset,
        config=config,
        tokenizer=tokenizer,
        out=out,
        resume=resume,
        init_from=init_from,
        tensorboard=tensorboard,
        profile=profile,
        options=given(hyperparameters),
    )


@app.command
def sample(
    *,
    ckpt: Path | None = None,
    prompt: str | None = None,
    prompt_file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    max_new_tokens: int = 500,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    num_samples: int = 1,
    seed: int | None = None,
    stop: str | None = None,
    unknown: Literal["error", "skip"] = "error",
    window: Literal["exact", "half"] = "exact",
    explain: Flag = False,
    device: str = "auto",
):
    """Let a trained model write.

    Parameters
    ----------
    ckpt
        A checkpoint or a run's folder (default: the newest run).
    prompt
        The beginning of the text. Left out, the model starts a new line.
    prompt_file
        A file that holds the prompt; - is standard input.
    max_new_tokens
        How many tokens to write.
    temperature
        Below 1 it plays safe, above 1 it dares; 0 always takes the likeliest token.
    top_k
        Only the k likeliest tokens may be drawn; 0: all.
    top_p
        Only the likeliest tokens that together have this probability may be drawn.
    num_samples
        How many texts to write.
    seed
        The same seed writes the same text again (default: another one each time).
    stop
        Stop before this text would be written.
    unknown
        What to do with characters of the prompt that the model never saw.
    window
        What it sees of a text longer than block-size: exactly its last block-size tokens, which are
        computed anew for each token; or half to all of that, which is several times as fast.
    explain
        Show for each character what the model thought and what was drawn.
    device
        cpu, cuda, cuda:1, mps or auto.
    """
    from nanogpt_hy.lab.commands import sample

    return sample(
        ckpt=ckpt,
        prompt=prompt,
        prompt_file=prompt_file,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        num_samples=num_samples,
        seed=seed,
        stop=stop,
        unknown=unknown,
        window=window,
        explain=explain,
        device=device,
    )


@app.command(name="eval")
def evaluate(
    text: Path | None = None,
    /,
    *,
    ckpt: Path | None = None,
    device: str = "auto",
    windows: Flag = False,
    json: Flag = False,
):
    """Measure a trained model's loss over the whole validation part of a text.

    Parameters
    ----------
    text
        The text (default: the one that the model was trained on).
    ckpt
        A checkpoint or a run's folder (default: the newest run).
    device
        cpu, cuda, cuda:1, mps or auto.
    windows
        Measure too what sample's --window half costs: the loss past the context.
    json
        Print one JSON object instead of a table.
    """
    from nanogpt_hy.lab.judging import evaluate

    return evaluate(text=text, ckpt=ckpt, device=device, windows=windows, as_json=json)


@app.command
def ladder(
    text: Path | None = None,
    /,
    *,
    diff: Annotated[tuple[str, str] | None, Parameter(negative="")] = None,
    seeds: int = 3,
    steps: int | None = None,
    stages: str | None = None,
    preset: str | None = None,
    config: Path | None = None,
    tokenizer: str | None = None,
    out: Path | None = None,
    json: Flag = False,
    png: Path | None = None,
    svg: Path | None = None,
    hyperparameters: Hyperparameters = None,
):
    """Train every stage of the lecture under equal conditions, and compare them.

    All have the same hyperparameters, as many steps and, for each seed, the same batches; each is
    judged by the whole validation part. Only the stages dropout and gpt drop out, 0.1 if --dropout
    does not say otherwise. Interrupted, the same command goes on where it stopped.

    Parameters
    ----------
    text
        The text: a UTF-8 file, or the token file that prepare made of one.
    diff
        Train nothing; show what two stages differ in: --diff residual layer-norm.
    seeds
        How often to train each stage, each time from another seed; at most 1000.
    steps
        Training steps of each run (default: the preset's max-iters, but at most 1000).
    stages
        Only these, with commas between: bigram,head,gpt (default: all; fast can be named too).
    preset
        Hyperparameters that go together (default: ab for a text of few characters, else lecture,
        without the lecture's slip in the scale).
    config
        A TOML file of hyperparameters. It wins over the preset; options win over it.
    tokenizer
        What a token is: char, byte, bpe:N for N pieces learned from the text, or a folder that
        holds a tokenizer.json (default: char).
    out
        The folder of the results (default: runs/ladder-NAME, named after the text).
    json
        Print one JSON object instead of a table.
    png
        Draw the comparison into this file.
    svg
        Draw the comparison into this file.
    """
    if (text is None) == (diff is None):
        raise RequestError("ladder wants a text to train on, or else --diff and two stages")
    if diff:
        from nanogpt_hy.lab.lisp.differences import show_difference

        return show_difference(*diff)

    from nanogpt_hy.lab.training.climb import ladder

    return ladder(
        str(text),
        seeds=seeds,
        max_steps=steps,
        stages=stages,
        preset_name=preset,
        config=config,
        tokenizer=tokenizer,
        out=out,
        as_json=json,
        png=png,
        svg=svg,
        options=given(hyperparameters),
    )


@app.command
def export(
    ckpt: Path,
    out: Path,
    /,
    *,
    to: Literal["nanogpt", "huggingface"],
):
    """Write a checkpoint in another program's format, with its tokenizer beside it.

    Parameters
    ----------
    ckpt
        A checkpoint or a run's folder.
    out
        The folder to write into: a new or an empty one.
    to
        nanogpt: ckpt.pt and meta.pkl. huggingface: config.json, model.safetensors and tokenizer.json,
        as transformers' GPT2LMHeadModel reads them.
    """
    from nanogpt_hy.lab.exchange.exchange import export_checkpoint

    for line in export_checkpoint(ckpt, to, out):
        print(line)


@app.command(name="import")
def import_(
    source: Path,
    /,
    *,
    out: Path | None = None,
    tokenizer: str | None = None,
    text: Path | None = None,
):
    """Read another program's GPT as a run of ours, ready for sample, eval and inspect.

    Parameters
    ----------
    source
        nanoGPT's ckpt.pt, or a folder with a GPT-2 as transformers keeps it.
    out
        The run's folder (default: runs/NAME, named after the source).
    tokenizer
        Where its tokens are, if not beside it: a folder, a tokenizer.json, a meta.pkl, or byte.
    text
        The text that it was trained on, to take the characters from.
    """
    from nanogpt_hy.lab.exchange.exchange import import_checkpoint

    print(import_checkpoint(source, out, tokenizer=tokenizer, text=text))


@app.command
def show(
    name: str,
    /,
    *,
    python: Flag = False,
    macroexpand: Flag = False,
):
    """Show the source of a piece: a layer, a function, a step, a stage.

    Parameters
    ----------
    name
        For example Head, attend, GPT.forward, s08, stage.residual, trainer.steps.
    python
        Show the Python that it becomes, beside it.
    macroexpand
        Show what its macros expand to.
    """
    from nanogpt_hy.lab.lisp.showing import show_piece

    return show_piece(name, python=python, macroexpand=macroexpand)


@app.command
def lesson(
    number: str | None = None,
    /,
    *,
    no_input: Flag = False,
    exercise: Annotated[
        list[Path] | None, Parameter(consume_multiple=(0, 1), negative="")
    ] = None,
    check: Path | None = None,
    solution: Flag = False,
):
    """Learn how a GPT works: guess, see, look inside, change, make.

    Parameters
    ----------
    number
        A lesson's number or name. Left out, all lessons are listed, with your progress.
    no_input
        Run straight through: nothing is asked, all is told.
    exercise
        Write the lesson's exercise to a new file (default: lesson-08-head.hy and the like).
    check
        Check what you made of the exercise in this file.
    solution
        Show the exercise with its hole filled.
    """
    from nanogpt_hy.lessons.run import lesson

    file = None if exercise is None else str([*exercise, ""][0])
    return lesson(
        number, no_input=no_input, exercise=file, check_path=check, solution=solution
    )


@app.command
def repl():
    """Open a Hy REPL with the course, the macros and readable tensors at hand."""
    from nanogpt_hy.lab.lisp.workbench import repl

    return repl()


@app.command
def handmade(
    name: str,
    /,
    *,
    out: Path | None = None,
    stay: float | None = None,
    length: int | None = None,
):
    """Write a GPT whose weights were set by hand, to sample and inspect like a trained one.

    Parameters
    ----------
    name
        ab, the a/b chain with its exact probabilities; aab, which writes aabaabaab...; or copy,
        whose next character is the one before the last.
    out
        The run's folder (default: runs/handmade-NAME).
    stay
        With ab: the probability that an a is followed by an a (default: 0.5).
    length
        With ab: characters in a line, its newline not counted (default: 8).
    """
    from nanogpt_hy.lab.handmade import command

    return command(name, out=out, stay=stay, length=length)


@app.command
def inspect(
    what: Literal["attention", "next", "positions", "loss", "embeddings", "chain", "truth"]
    | None = None,
    /,
    *,
    ckpt: Path | None = None,
    prompt: str | None = None,
    text: str | None = None,
    layer: int | None = None,
    head: int | None = None,
    by_hand: Flag = False,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    tolerance: float | None = None,
    baby: Flag = False,
    chain: Path | None = None,
    png: Path | None = None,
    svg: Path | None = None,
    html: Path | None = None,
    dot: Path | None = None,
    json: Flag = False,
):
    """See inside a trained model.

    Parameters
    ----------
    what
        attention: who looks at whom. next: what may come next. positions: loss along the context.
        loss: the training's curves. embeddings: tokens and positions as points. chain: a small
        model as a finite-state machine. truth: beside the chain that the text comes from, or
        beside what was counted.
    ckpt
        A checkpoint or a run's folder (default: the newest run).
    prompt
        For attention and next: the text that the model reads (default: an eventful piece of the
        validation part).
    text
        For positions, loss and truth: the text (default: the one that the model was trained on).
    layer
        For attention: only this layer, counted from 1.
    head
        For attention: only this head of a layer, counted from 1.
    by_hand
        For attention: one head in tables that can be checked with a pencil.
    temperature
        For next: as in sample.
    top_k
        For next: as in sample.
    top_p
        For next: as in sample.
    tolerance
        For chain: states whose probabilities differ by no more are alike (default: 0.02).
    baby
        Train Karpathy's baby GPT first, which takes seconds, and look at that.
    chain
        For truth: the chain, a TOML file as `data` writes them.
    png
        Draw it as a PNG file.
    svg
        Draw it as an SVG file.
    html
        Write all that can be shown of the model on one page, to be opened in a browser.
    dot
        For chain: write the machine as a graph in the DOT language.
    json
        Print what was found out as one JSON object.
    """
    from nanogpt_hy.lab.inside.inspect import inspect

    return inspect(what, ckpt=ckpt, baby=baby, as_json=json, png=png, svg=svg, html=html,
                   prompt=prompt, text=text, layer=layer, head=head, by_hand=by_hand,
                   temperature=temperature, top_k=top_k, top_p=top_p, tolerance=tolerance,
                   chain=chain, dot=dot)


@app.command
def prepare(
    text: Path,
    out: Path,
    /,
    *,
    tokenizer: str = "char",
    force: Flag = False,
):
    """Write a text's tokens into a file that train takes instead of the text, however long it is.

    Parameters
    ----------
    text
        The text: a UTF-8 file.
    out
        The token file to write, for example TEXT.tokens.
    tokenizer
        What a token is: char, byte, bpe:N for N pieces learned from the text, or a folder that
        holds a tokenizer.json.
    force
        Replace a file that is there already.
    """
    from nanogpt_hy.lab.commands import prepare

    return prepare(text, out, tokenizer=tokenizer, overwrite=force)


data = App(name="data", help="Make texts whose every probability is known.")
app.command(data)


@data.command
def ab(
    *,
    out: Path,
    stay: float = 0.5,
    length: int = 8,
    lines: int = 10_000,
    seed: int = 1337,
    force: Flag = False,
):
    """Write lines of a and b in which b is never followed by a.

    Parameters
    ----------
    out
        The file to write; beside it FILE.toml will say how it was drawn.
    stay
        The probability that an a is followed by an a.
    length
        Characters in a line, its newline not counted.
    lines
        How many lines.
    seed
        The same seed writes the same lines.
    force
        Replace a file that is there already.
    """
    from nanogpt_hy.lab.data.chain_files import write_data
    from nanogpt_hy.lab.data.markov import ab_chain

    chain = ab_chain(stay=stay, length=length)
    for path in write_data(out, chain, lines, seed=seed, overwrite=force):
        print(path)
