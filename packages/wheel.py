"""The wheel and the sdist: `python -m packages.wheel`, in dist/."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from packages import carried
from packages.carried import NotBuilt
from packages.versions import ROOT, current


def main() -> int:
    (ROOT / "dist").mkdir(exist_ok=True)
    for kind in ("wheel", "sdist"):
        with tempfile.TemporaryDirectory() as place:
            try:
                built = carried.wheel(Path(place), current(), kind)
            except NotBuilt as why:
                print(f"wheel: {why}", file=sys.stderr)
                return 1
            file = Path(shutil.copy(built, ROOT / "dist"))
        size = file.stat().st_size / 1e6
        print(f"wheel: {file.relative_to(ROOT)}, {size:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
