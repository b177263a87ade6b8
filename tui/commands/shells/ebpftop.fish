# fish completion of ebpftop, made by `ebpftop completion fish`

function __ebpftop_alone
    not __fish_seen_subcommand_from COMMANDS
end

# TABLE
