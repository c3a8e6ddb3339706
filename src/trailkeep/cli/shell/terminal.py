"""The prompt: line editing, completion, colours and history, around a session."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth, create_output

from trailkeep.cli import diagnostics, output
from trailkeep.cli.shell.banner import banner
from trailkeep.cli.shell.completion import complete
from trailkeep.cli.shell.dots import BARE_WORDS
from trailkeep.cli.shell.history import HistoryFile, history_file, worth_keeping
from trailkeep.cli.shell.splitting import Piece, split
from trailkeep.cli.shell.vocabulary import engine_functions, of_schema
from trailkeep.cli.shell.wording import in_the_shell
from trailkeep.errors import Interrupted, TrailkeepError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from trailkeep.cli.shell.saved import SavedQueries
    from trailkeep.cli.shell.session import Session
    from trailkeep.store import Archive

PROMPT = "trailkeep> "
CONTINUATION = "        -> "
MENU_LINES = 6
"""Lines kept free below the prompt for the menu of completions."""

_STYLE = {
    "pygments.keyword": "bold ansiblue",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.number": "ansicyan",
    "pygments.comment": "italic ansibrightblack",
    "prompt": "bold",
    "continuation": "ansibrightblack",
}
"""The terminal's own colours, so that they suit its background."""


def converse(session: Session, archive: Archive, *, keys: Input | None = None, screen: Output | None = None) -> None:
    """Read, run and show, until the user leaves. An error is told, and the shell goes on.

    `keys` and `screen` are the terminal's where not given; the prompt is written to stderr, as all talk is.
    """
    for line in banner(archive, session.now()):
        diagnostics.say(line)
    names = SessionCompleter(session.queries)
    warming = threading.Thread(target=names.learn, name="vocabulary", daemon=True)
    warming.start()
    prompt = _prompt(names, keys, screen or _screen())
    with _no_sudden_end() as asked_to_stop:
        while not session.over:
            session.queries.look_again()
            try:
                text = prompt.prompt()
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            if _thought_better(prompt.app.input):
                asked_to_stop.set()
            _execute(session, text, asked_to_stop)
            asked_to_stop.clear()
        warming.join()  # the engine must not be at work when the process ends


@contextlib.contextmanager
def _no_sudden_end() -> Iterator[threading.Event]:
    """An event that SIGINT sets where neither a prompt nor a query hears it: it must not end the shell."""
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _thought_better(keys: Input) -> bool:
    """Whether Ctrl-C came so soon after Enter that the prompt has read it, and no query can hear it any more."""
    ahead = [press for press in get_typeahead(keys) if press.key != Keys.CPRResponse]
    stopped = ahead[:1] != [] and ahead[0].key == Keys.ControlC
    store_typeahead(keys, ahead[1:] if stopped else ahead)
    return stopped


def _execute(session: Session, text: str, asked_to_stop: threading.Event) -> None:
    """Do all that was typed, up to the first error."""
    try:
        for piece in _pieces(text):
            if asked_to_stop.is_set():
                raise Interrupted("stopped before the next statement began")
            session.execute(piece)
            if session.over:
                break
    except TrailkeepError as error:
        if isinstance(error, Interrupted):
            diagnostics.problems([""])  # the terminal has written ^C where the cursor was
        diagnostics.report(in_the_shell(error))
    output.flush()


def _pieces(text: str) -> Iterator[Piece]:
    if word := BARE_WORDS.get(text.strip().rstrip(";").lower()):
        yield Piece(text=word, is_dot=True, line=1)
        return
    found = split(text)
    yield from found.pieces
    if found.rest:
        yield Piece(text=found.rest, is_dot=False, line=found.rest_line)


def is_complete(text: str) -> bool:
    """Whether Enter runs what is written; else it begins another line."""
    return split(text).complete or text.strip().lower() in BARE_WORDS


class SessionCompleter(Completer):
    """Completion in prompt_toolkit's terms; the engine's functions are learnt beside the first prompt."""

    def __init__(self, queries: SavedQueries) -> None:
        self._queries = queries
        self._vocabulary = of_schema()

    def learn(self) -> None:
        """Ask the engine for its functions; without them, completion goes on with the rest."""
        try:
            self._vocabulary = of_schema(engine_functions())
        except Exception as error:  # noqa: BLE001 - a menu that lacks some words is no reason to fail
            diagnostics.detail(f"functions cannot be completed: {error}")

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What can stand at the cursor."""
        cursor = document.cursor_position
        asked = complete_event.completion_requested
        for each in complete(document.text, cursor, self._vocabulary, self._queries, asked=asked):
            yield Completion(each.text, start_position=each.start - cursor, display=each.shown, display_meta=each.note)


class _KeptHistory(History):
    """prompt_toolkit's history over our file."""

    def __init__(self, file: HistoryFile) -> None:
        super().__init__()
        self._file = file

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        return reversed(self._file.load())

    def append_string(self, string: str) -> None:
        """Keep what is worth it, and not the same line twice in a row."""
        if worth_keeping(string) and self.get_strings()[-1:] != [string]:
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Write it to the file."""
        self._file.append(string)


def _prompt(names: SessionCompleter, keys: Input | None, screen: Output) -> PromptSession[str]:
    plain = bool(os.environ.get("NO_COLOR"))
    return PromptSession(
        message=[("class:prompt", PROMPT)],
        multiline=True,
        prompt_continuation=[("class:continuation", CONTINUATION)],
        completer=names,
        complete_while_typing=True,
        history=_KeptHistory(HistoryFile(history_file(os.environ))),
        key_bindings=_bindings(),
        reserve_space_for_menu=MENU_LINES,
        enable_suspend=True,
        color_depth=ColorDepth.DEPTH_1_BIT if plain else None,
        input=keys,
        output=screen,
        **_colours(plain=plain),
    )


def _colours(*, plain: bool) -> dict[str, Any]:
    if plain:
        return {}
    from prompt_toolkit.lexers import PygmentsLexer
    from prompt_toolkit.styles import Style
    from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped]

    return {"lexer": PygmentsLexer(SqlLexer), "style": Style.from_dict(_STYLE)}


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @Condition
    def runs() -> bool:
        from prompt_toolkit.application import get_app

        buffer = get_app().current_buffer
        chosen = buffer.complete_state is not None and buffer.complete_state.current_completion is not None
        return not chosen and is_complete(buffer.text)

    @Condition
    def chosen() -> bool:
        from prompt_toolkit.application import get_app

        state = get_app().current_buffer.complete_state
        return state is not None and state.current_completion is not None

    @bindings.add("enter", filter=chosen)
    def take(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @bindings.add("enter", filter=runs)
    def run(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def run_as_it_is(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return bindings


def _screen() -> Output:
    """The terminal that the prompt is drawn on: stderr's, since stdout is data, or else stdout's."""
    return create_output(stdout=sys.stderr if sys.stderr.isatty() else sys.stdout)
