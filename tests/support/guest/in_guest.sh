#!/bin/bash
# Runs a module, as a rule pytest with the kernel tests, inside a guest, as root there.
#
#   in_guest.sh FOLDER PYTHON MODULE ARGUMENT...
#
# FOLDER is the one that the guest may write to: it holds environment.tar and gets the log.
# Where they are there, headers.tar are the kernel's headers, in compile/ somebody compiles, and
# /run/kernel has the kernel's modules.
folder=$1 python=$2
shift 2
readonly environment=/run/environment

run() {
    mkdir -p $environment && tar xf "$folder/environment.tar" -C $environment || return
    if [[ -d $environment/library ]]; then
        mount --bind $environment/library "$("$python" -c 'import os; print(os.path.dirname(os.__file__))')"
    fi
    # Into memory, too: a compile that opens a thousand of them over 9p takes minutes.
    if [[ -f $folder/headers.tar ]]; then
        mount -t tmpfs none /usr/src && tar xf "$folder/headers.tar" -C /usr/src || return
    fi
    echo 1 >/sys/kernel/rcu_expedited  # emulation is slow enough
    mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
    if [[ -d $folder/compile ]]; then
        export EBPFTOP_COMPILE=$folder/compile
    fi
    local modules=()
    if [[ -d /run/kernel/lib/modules ]]; then
        modules=(--dirname /run/kernel)
    fi
    modprobe "${modules[@]}" -a veth sch_ingress cls_bpf inet_diag tcp_diag tun virtio_net fou
    for card in /sys/class/net/*/device/driver; do
        if [[ $(readlink "$card") == */virtio_net ]]; then
            EBPFTOP_SPARE_NIC=$(basename "${card%/device/driver}") && export EBPFTOP_SPARE_NIC
            break
        fi
    done
    export PYTHONPATH=$environment/project:$environment/site HOME=/run/home
    mkdir -p "$HOME"
    cd $environment/project || return
    unshare -n bash -c 'ip link set lo up && exec "$@"' - \
        "$python" -m "$@"
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
