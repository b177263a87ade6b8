#!/bin/bash
# Runs the kernel tests inside a guest, as root there.
#
#   in_guest.sh FOLDER PYTHON [PYTEST ARGUMENT...]
#
# FOLDER is the one that the guest may write to: it holds environment.tar and gets log, junit.xml.
folder=$1 python=$2
shift 2

# Left out: what is about the program rather than the kernel, and starts a dozen of them.
run() {
    # A 9p root is slow for many small files: the environment comes as one, into memory.
    mkdir -p /run/environment && cd /run/environment && tar xf "$folder/environment.tar" || return
    modprobe -a veth sch_ingress cls_bpf inet_diag tcp_diag
    export PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 HOME=/run/home
    mkdir -p "$HOME"
    unshare -n bash -c 'ip link set lo up && exec "$@"' - \
        "$python" -m pytest -v -p no:cacheprovider -o junit_family=xunit1 \
        --junitxml="$folder/junit.xml" "$@" tests/kernel \
        --ignore=tests/kernel/test_command.py --ignore=tests/kernel/test_live.py
}

run "$@" >"$folder/log" 2>&1 </dev/null
status=$?

# Without udev vng does not learn the exit status by itself: it listens on this port.
for port in /sys/class/virtio-ports/*; do
    if [[ $(<"$port/name") == virtme.ret ]]; then
        echo $status >"/dev/${port##*/}"
    fi
done
exit $status
