"""A 32-bit program, which enters the kernel as its libc would: by int 0x80, or by the vDSO."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.support import elf_files

WAYS = {"int 0x80": "i", "vDSO": "v"}
ASKED, FOUND, MISSING, REFUSED = 300, 50, 20, 30
"""Calls of getpgid, opens that succeed and that fail, connects to a closed port."""

_SOURCE = """
static unsigned vdso;
static int by_vdso;
static int call(int number, int a, int b, int c)
{
    int result;
    if (by_vdso)
        asm volatile("call *%1" : "=a"(result) : "m"(vdso), "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory");
    else
        asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}
static void open_and_close(const char *path)
{
    int fd = call(5, (int)path, 0, 0);
    if (fd >= 0)
        call(6, fd, 0, 0);
}
void begin(unsigned *stack)
{
    char **argv = (char **)(stack + 1);
    unsigned *aux = stack + stack[0] + 2, port = 0;
    while (*aux++)
        ;
    for (; aux[0]; aux += 2)
        if (aux[0] == 32) /* AT_SYSINFO */
            vdso = aux[1];
    by_vdso = argv[1][0] == 'v';
    if (by_vdso && !vdso)
        by_vdso = 0, call(1, 77, 0, 0);
    for (char *digit = argv[2]; *digit; digit++)
        port = port * 10 + *digit - '0';
    for (int i = 0; i < 300; i++)
        call(132, 0, 0, 0);
    for (int i = 0; i < 50; i++)
        open_and_close("/proc/self/status");
    for (int i = 0; i < 20; i++)
        open_and_close("/nonexistent/file");
    for (int i = 0; i < 30; i++) {
        unsigned name[4] = {2 | (port & 255) << 24 | (port >> 8) << 16, 0x0100007f, 0, 0};
        int fd = call(359, 2, 1, 0);
        call(362, fd, (int)name, sizeof(name));
        call(6, fd, 0, 0);
    }
    call(1, 0, 0, 0);
}
asm(".globl _start\\n_start: mov %esp, %eax\\n push %eax\\n call begin\\n");
"""
_OPTIONS = ("-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie", "-O1")
_NO_VDSO = 77


def ran(way: str, port: int) -> int | None:
    """Run it, with a TCP port of 127.0.0.1 that is closed; its pid, None without such a vDSO.

    Skips where no compiler makes such programs. Raises OSError where the kernel runs none.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = (*_OPTIONS, "-fno-stack-protector", "-fno-builtin")
        program = elf_files.built(Path(folder), _SOURCE, "c", "clang", *options)
        child = subprocess.Popen([program, WAYS[way], str(port)])
        code = child.wait(10)
    if code == _NO_VDSO:
        return None
    assert code == 0
    return child.pid
