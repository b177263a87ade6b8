"""Runs ebpftop's screen in a terminal of 120x40 until hooks show numbers; no library is needed.

python3 screen.py COMMAND...    says after how many seconds, and fails with what was last seen.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

SECONDS = 90
NUMBERS = re.compile(r"[1-9]\d*(\.\d+)?\s?(/s|[kMG]?B/s|ms|µs)")


def main(command: list[str]) -> int:
    begin = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    seen, first = "", 0.0
    while time.monotonic() - begin < SECONDS:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # it ended
            break
        seen += re.sub(r"\x1b\[[\d;?<>=]*[A-Za-z]", " ", part.decode(errors="replace"))
        if NUMBERS.search(seen) and not first:
            first = time.monotonic() - begin
            os.write(terminal, b"q")
    status = os.waitpid(pid, 0)[1]
    if not first or status:
        print(seen[-3000:])
        print(f"screen: status {status}, {'ended' if first else 'no numbers'}")
        return 1
    print(f"screen: first numbers after {first:.1f} s; q ended it with status 0")
    return 0


sys.exit(main(sys.argv[1:]))
