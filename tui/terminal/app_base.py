"""The app without its screen: its tasks, and leaving for any reason."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from collections.abc import Callable, Container, Coroutine, Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from rich.color import ColorSystem
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.binding import BindingsMap, BindingType
from textual.driver import Driver as AnyDriver
from textual.filter import Monochrome, NoColor

from probes.source import Source
from tui.terminal import crash, leaving
from tui.terminal.drawing import Drawing
from tui.terminal.driver import WHERE, Driver, Mark, smallest, whole
from tui.terminal.shown import Shown


class _Drawn(CompositorUpdate):
    """An update that a brush writes: changed cells only, each at its place.

    there: rows that are on the terminal already.
    """

    def __init__(self, update: ChopsUpdate | LayoutUpdate, there: Container[int]) -> None:
        self._update, self._there = update, there

    def render_segments(self, console: Any) -> str:
        if isinstance(self._update, LayoutUpdate):
            return whole(self._update, console, self._there)
        return smallest(self._update, console, self._there)


class TerminalApp(App[None]):
    """An app that ends in order, and writes changed cells only. crashed: the fatal error.

    drawn: what goes past Textual's compositor. mouse: whether the terminal reports the mouse.
    on_background: called with whether the terminal's background is light, if it tells; None: it is
    not asked.
    """

    def __init__(self, *, mouse: bool = True) -> None:
        super().__init__(driver_class=Driver)
        # NO_COLOR chooses a theme (theme.default_name); Textual takes it too when it is empty.
        self._filters = [f for f in self._filters if not isinstance(f, NoColor | Monochrome)]
        self.mouse = mouse
        self.crashed: BaseException | None = None
        self.on_background: Callable[[bool], None] | None = None
        self.drawn = Drawing(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self.answers = False
        self._to_show: list[Shown] = []
        self._asked: deque[Shown] = deque()
        self._before_exit: list[Callable[[], object]] = []
        self._colours = self.console._color_system

    # Tasks: one that fails ends the app

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._handle_exception(error)

    def _handle_exception(self, error: Exception) -> None:
        """Leave; `run` writes the report (Textual would print locals)."""
        leaving.begin(leaving.FAILED)
        self.died_of(getattr(error, "error", error))
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    def died_of(self, error: BaseException) -> None:
        """Keep the first error, for the report."""
        self.crashed = self.crashed or error

    # Leaving

    def leave(self, status: int) -> None:
        """Leave with this exit status, however slow the terminal is; the first call counts."""
        if not self._exit:
            leaving.begin(status)
            self.hurry()
            self.exit(return_code=status)

    def hurry(self) -> None:
        """Stop waiting for a stuck terminal. From any thread."""
        if (driver := self._own_driver) is not None:
            driver.output.leaving.set()

    def give_back(self) -> None:
        """Restore the terminal, at once. From any thread."""
        if (driver := self._own_driver) is not None:
            driver.give_back()

    def stop(self, watch: leaving.Watch) -> None:
        """Restore the terminal and stop, as ^Z does."""
        if (driver := self._own_driver) is not None and not leaving.begun():
            driver.suspend_application_mode()
            watch.stop_now()

    def go_on(self) -> None:
        """Take the terminal again after a stop."""
        if (driver := self._own_driver) is not None and not leaving.begun():
            driver.resume_application_mode()

    @property
    def _own_driver(self) -> Driver | None:
        driver: AnyDriver | None = self._driver
        return driver if isinstance(driver, Driver) else None

    def terminal_gone(self) -> None:
        self.leave(128 + signal.SIGHUP)

    def before_exit(self, call: Callable[[], object]) -> None:
        """Register a call for when the app ends, for any reason."""
        self._before_exit.append(call)

    async def _on_exit_app(self) -> None:
        for call in self._before_exit:
            call()
        for task in self._tasks:
            task.cancel()
        await super()._on_exit_app()

    # Keys

    def bind_keys(self, bindings: Iterable[BindingType]) -> None:
        """Use these bindings and no others."""
        self._bindings = BindingsMap(bindings)

    async def run_binding(self, key: str, *, anywhere: bool = False) -> bool:
        """Run what the key is bound to; return whether that did anything.

        anywhere: only bindings that also work while something is typed.
        """
        return await self._check_bindings(key, anywhere)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide a key that does nothing here. All are bound to `do`."""
        return action != "do" or self.does(str(*parameters))

    def action_do(self, id: str) -> None:
        with self.drawing():
            self.do(id)

    def does(self, id: str, /) -> bool:
        """Return whether the key with this id does something here."""
        raise NotImplementedError

    def do(self, id: str, /) -> None:
        """Do what the key with this id does."""
        raise NotImplementedError

    # The terminal

    def write(self, sequence: str) -> None:
        """Send a control sequence to the terminal, if there is one."""
        if self._driver is not None:
            self._driver.write(sequence)

    def use_fewer_colours(self, fewer: bool) -> None:
        """Limit a terminal that could show more to 256 colours, which take fewer bytes."""
        few = fewer and self._colours is ColorSystem.TRUECOLOR
        self.console._color_system = ColorSystem.EIGHT_BIT if few else self._colours

    @property
    def has_few_colours(self) -> bool:
        """Return whether there is a terminal, and it shows no more than sixteen colours."""
        return self._own_driver is not None and self._colours is ColorSystem.STANDARD

    def on_driver_signal_resume(self) -> None:
        """Redraw on return from the shell, which has drawn over us."""
        self.redraw()

    def _display(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, ChopsUpdate | LayoutUpdate):
            renderable = _Drawn(renderable, self.drawn.took_note(screen, renderable))
        super()._display(screen, renderable)
        self._mark()

    # What is asked, and whether it was to be seen when the answer was typed

    def show_mark(self, shown: Shown) -> None:
        """Register a mark to be told when what is being drawn now is shown."""
        if self._own_driver is None:
            shown.was_drawn()  # there is no terminal to wait for
        else:
            self._to_show.append(shown)

    def _mark(self) -> None:
        """Ask the terminal to report once it has drawn all before this."""
        driver, shown = self._own_driver, self._to_show
        if driver is not None and shown:
            self._to_show = []
            for one in shown:
                driver.write(Mark.of(WHERE if self.answers else "", one.given))
                if self.answers:
                    self._asked.append(one)

    def terminal_answered(self) -> None:
        """Take note that all before the query is drawn, and that the terminal does answer."""
        self.answers = True
        if self._asked:
            self._asked.popleft().was_drawn()

    async def was_shown(self, shown: Shown, typed: float) -> bool:
        """Return whether that was on the terminal when a key was typed.

        The writer may be about to say so; a terminal that takes nothing is not waited for.
        """
        for _ in range(20):
            if shown.known or shown in self._to_show:
                break
            await asyncio.sleep(0.005)
        return shown.before(typed, answers=self.answers)

    def ask_background(self, told: Callable[[bool], None]) -> None:
        """Ask the terminal, when it is taken, whether its background is light."""
        self.on_background = told

    def want_mouse(self, wanted: bool) -> None:
        self.mouse = wanted
        if isinstance(self._driver, Driver):
            self._driver.want_mouse(wanted)

    def to_shell(self) -> None:
        """Suspend to the shell; `fg` comes back."""
        self.action_suspend_process()

    def picture(self) -> str:
        """Return the screen as SVG."""
        return self.export_screenshot(title=self.TITLE)

    def redraw(self) -> None:
        """Draw everything, whatever is on the terminal."""
        if self._driver is not None:
            self._driver.write("\x1b[0m\x1b[2J")
        self.drawn.forget()
        self.screen.refresh(layout=True)

    @property
    def behind(self) -> bool:
        """Whether the terminal has yet to take what it was given."""
        driver: AnyDriver | None = self._driver
        return isinstance(driver, Driver) and driver.busy

    def drawing(self) -> AbstractContextManager[None]:
        """Send what is repainted meanwhile to the terminal at the end of the block.

        Textual would show it within 50 ms.
        """
        return self.drawn.block()

    def send(self, cells: str) -> None:
        """Write cells to the terminal, as one frame."""
        if cells and self._driver is not None:
            # In one piece: each wakes the thread that writes.
            framed = f"{SYNC_START}{cells}{SYNC_END}" if self._sync_available else cells
            self._driver.write(framed)
            self._mark()


async def until_left(app: TerminalApp, sources: Iterable[Source]) -> int:
    """Run the app, then close its sources; return the exit status.

    0: left by a key. 1: a crash; its report is in a file. 128 + n: signal n.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(crash.unhandled)
    soon = loop.call_soon_threadsafe

    def leave(status: int) -> None:
        app.hurry()  # at once: the loop itself may be waiting for the terminal
        soon(app.leave, status)

    with ExitStack() as stack:
        watch = stack.enter_context(leaving.leaving_by(leave))
        for calls, call in (
            (watch.give_back, app.give_back),
            (watch.stops, lambda: soon(app.stop, watch)),
            (watch.continues, lambda: soon(app.go_on)),
            (watch.wakes, lambda: soon(int)),
        ):
            stack.enter_context(leaving.calling(calls, call))
        try:
            await app.run_async(mouse=app.mouse)
        except Exception as error:  # whatever it was, the report has it
            app.died_of(error)
        finally:
            leaving.begin(leaving.FAILED if app.crashed else app.return_code or 0)
            await asyncio.gather(*(source.close() for source in sources))
    if app.crashed is None:
        return app.return_code or 0
    _say(app.crashed)
    return 1


def _say(error: BaseException) -> None:
    print(f"ebpftop: {crash.sentence(error)}", file=sys.stderr)
