"""A file that may not be opened by the service that needs it."""

import os
import tempfile
from pathlib import Path

from tests.support.incidents import traffic
from tests.support.incidents.stage import Stage
from tests.support.incidents.story import Expected, Story

_NOBODY = 65534


def play(stage: Stage) -> None:
    folder = tempfile.TemporaryDirectory()
    stage.undo(folder.cleanup)
    Path(folder.name).chmod(0o755)
    secret = Path(folder.name, "tls.key")
    secret.touch(mode=0o600)

    def read() -> None:
        try:
            os.close(os.open(secret, os.O_RDONLY))
        except PermissionError:
            stage.add()

    stage.actor("reportd", traffic.again(100, read), uid=_NOBODY)


STORY = Story(
    title="reportd may not open its key",
    play=play,
    tool="the process's own count",
    happened=Stage.tally,
    expected=Expected(
        what=r"EACCES|permission", who="reportd", where=r"openat|tls\.key",
        belongs="openat|reportd",
    ),
    least=50,
)  # fmt: skip
