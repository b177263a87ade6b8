# bash completion of ebpftop, made by `ebpftop completion bash`

declare -gA _ebpftop_options _ebpftop_values
# TABLE

_ebpftop() {
    local cur=${COMP_WORDS[COMP_CWORD]} option= command=monitor word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $command == monitor && " $_ebpftop_commands " == *" $word "* ]]; then
            command=$word
        elif [[ $word == -* ]]; then
            option=
            [[ -v "_ebpftop_values[$command,$word]" ]] && option=$word
        elif [[ $word != = && $word != [@:] ]]; then
            option=
        fi
    done
    [[ $cur == = ]] && cur=
    _ebpftop_complete "$command" "$option"
}

_ebpftop_complete() {
    local values=${_ebpftop_values[$1,$2]}
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${_ebpftop_options[$1]}" -- "$cur")
    elif [[ $values == *"<files>"* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $values == *"<interfaces>"* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(command ls /sys/class/net)" -- "$cur")
    elif [[ $values == *"<pids>"* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur")
    elif [[ -n $values ]]; then
        [[ $values == *@* ]] && compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    elif [[ $1 == monitor && -z $2 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$_ebpftop_commands" -- "$cur")
    fi
}

complete -F _ebpftop ebpftop
