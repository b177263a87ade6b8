"""Help, quitting, and back."""

from __future__ import annotations

from tui.screen.context import Actions
from tui.screen.key import Key
from tui.widgets.prompt import Question


class GeneralActions(Actions):
    """Keys that are the same everywhere."""

    order = 0
    keys = (
        Key(
            "help", "question_mark,f1,h", "? F1 h", "help", "Help",
            "show the keys, and the meaning of the words in this row", "General", 7,
        ),
        Key(
            "quit", "q,f10", "q F10", "quit", "Quit", "quit; everything is detached",
            "General", 6, modes=None,
        ),
        Key(
            "quit.anywhere", "ctrl+c,ctrl+q", "^C ^Q", "quit_now", "Quit",
            "quit, also while typing", "General", anywhere=True, modes=None,
        ),
        Key(
            "back", "escape", "Esc", "back", "Back", "close, unzoom, clear the filter", "General"
        ),
    )  # fmt: skip

    def help(self) -> None:
        """Show the keys that work here, or close the help."""
        if self.screen.place.mode == "help":
            self.back()
        else:
            self.screen.help.open()

    def back(self) -> None:
        """Close what is open, else unzoom, else clear the filter."""
        screen, place, navigation = self.screen, self.screen.place, self.screen.navigation
        if place.mode == "menu":
            screen.menu.leave()
        elif place.mode == "help" and screen.help.search:
            screen.help.show("")
        elif place.mode != "pane":
            navigation.close()
        elif place.zoomed:
            place.zoom(False)
            screen.lay_out()
        elif place.filter:
            navigation.set_filter("")
        elif place.pane.inner:
            navigation.leave_inner()
        elif place.came is not None:
            screen.go_to(place.came)
        elif screen.session.frozen:
            screen.time.back_to_live()
        else:
            screen.hint("nothing to close, unzoom or clear")

    def quit_now(self) -> None:
        self.screen.leave(0)

    def quit(self) -> None:
        """Quit. Rules in force would end: ask once; the same key again quits at once."""
        stand = self._standing_rules()
        if not stand:
            self.screen.leave(0)
            return
        keys = next((k.keys.split(",") for k in self.screen.keymap.table if k.id == "quit"), [])
        again = dict.fromkeys(keys, "yes")
        choices = {"y": "yes", "Y": "yes", "n": "no", "N": "no", "enter": "no", **again}
        what = "A drop rule ends" if stand == 1 else f"{stand} drop rules end"
        self.screen.prompt.ask(
            Question(
                f"{what} when you quit. Quit?  (y, or the same key: yes, N: no)",
                lambda answer: self.screen.leave(0) if answer == "yes" else None,
                choices=choices,
                at_once=keys,
            )
        )

    def _standing_rules(self) -> int:
        session = self.screen.session
        if session.player is not None:
            return 0  # those of a recording
        return sum(e.rung is not None for s in session.sources for e in s.rules())
