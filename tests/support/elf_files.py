"""ELF files that tests make: built by a compiler that is here, or written by hand."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

THROWER = """
#include <stdexcept>
#include <cstdio>
__attribute__((noinline)) int inner(int n) { if (n % 2) throw std::runtime_error("odd"); return n; }
extern "C" __attribute__((noinline, visibility("default"))) int probed(int n) {
    int r = inner(n); asm volatile("" : "+r"(r)); return r + 1;
}
int main() {
    int caught = 0;
    for (int n; scanf("%d", &n) == 1;) {
        for (int i = 0; i < n; i++) try { probed(i); } catch (const std::exception &) { caught++; }
        printf("%d\\n", caught); fflush(stdout);
    }
}
"""
GO = """
package main

import "fmt"

//go:noinline
func deep(n int) int {
	var pad [256]byte
	pad[n%256] = byte(n)
	if n == 0 {
		return int(pad[0])
	}
	return deep(n-1) + int(pad[n%256])
}

//go:noinline
func work(n int) int { return deep(n) }

func main() {
	var n int
	for {
		if _, failed := fmt.Scan(&n); failed != nil {
			return
		}
		for i := 0; i < n; i++ {
			c := make(chan int)
			go func() { c <- work(200) }()
			<-c
		}
		fmt.Println(n)
	}
}
"""
GO_ALONE = "package main\n\nfunc main() { println(1) }\n"
"""Nothing but what is in every Go program: fmt takes as long again to compile, in each mode."""
GO_LIBRARY = """
package main

import "C"

//export Doubled
func Doubled(n C.int) C.int { return n * 2 }

func main() {}
"""
RUST_LIBRARY = '#[no_mangle] pub extern "C-unwind" fn probed(n: i32) -> i32 { n / (n - 7) }'
STACKS = """
#include <ucontext.h>
ucontext_t one, other;
int probed(int n) { swapcontext(&one, &other); return n; }
"""
CLEANING = """
int puts(const char *);
static void end(int *p) { puts("x"); }
int probed(int n) { __attribute__((cleanup(end))) int x = n; return puts("y") + x; }
"""


def built(folder: Path, source: str, suffix: str, compiler: str, *options: str) -> Path:
    """Skips the test where there is no such compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler} here")
    file, made = folder / f"source.{suffix}", folder / f"made.{len(list(folder.iterdir()))}"
    file.write_text(source)
    before, out = {"go": (["build"], ["-o"])}.get(compiler, ([], ["-o"]))
    command = [compiler, *before, *options, *out, str(made), str(file)]
    # Each library anew for each test takes half a minute.
    cache = Path(tempfile.gettempdir(), f"ebpftop-go-{os.getuid()}")
    caches = {"GOCACHE": str(cache), "GOPATH": str(folder / "path"), "GOFLAGS": ""}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/root/.cargo/bin", "HOME": "/root", **caches},
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"{compiler} cannot build it here: {done.stderr[-200:]}")
    return made


def crafted(
    names: bytes,
    symbols: Sequence[tuple[int, int]] = (),
    sections: Mapping[str, bytes] | None = None,
) -> bytes:
    """A 64-bit file. names: its table of names. symbols: place of the name, address."""
    table = b"".join(struct.pack("<IBBHQQ", at, 0x12, 0, 1, to, 16) for at, to in symbols)
    parts = [("", 0, b""), (".dynsym", 11, table), (".dynstr", 3, names)]
    parts += [(name, 1, data) for name, data in (sections or {}).items()]
    titles = b"\0".join(n.encode() for n, _, _ in parts) + b"\0.shstrtab\0"
    parts.append((".shstrtab", 3, titles))
    body, headers = b"", b""
    for title, kind, data in parts:
        at = 0x1000 + len(body)
        name = (b"\0" + titles).index(b"\0" + title.encode() + b"\0")
        headers += struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, at, len(data), 2, 0, 1, 24)
        body += data
    head = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0x1000 + len(body), 0, 64, 56, 1, 64,
        len(parts), len(parts) - 1,
    )  # fmt: skip
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0x4000, 0x4000, 0x1000)
    return (head + load).ljust(0x1000, b"\0") + body + headers
