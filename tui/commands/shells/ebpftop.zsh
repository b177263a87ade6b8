#compdef ebpftop
# zsh completion of ebpftop, made by `ebpftop completion zsh`: a file _ebpftop in $fpath

# TABLE

_ebpftop() {
  local context state line curcontext=$curcontext
  typeset -A opt_args
  _arguments -C $_ebpftop_monitor '1:command:->command' '*::argument:->arguments'
  case $state in
    command) _describe command _ebpftop_commands ;;
    arguments)
      local specs=_ebpftop_${line[1]}
      (( ${(P)+specs} )) && _arguments ${(P)specs}
      ;;
  esac
}

if [[ $funcstack[1] == _ebpftop ]]; then
  _ebpftop "$@"
else
  compdef _ebpftop ebpftop
fi
