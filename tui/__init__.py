"""What a person meets: commands, the screen, and everything that is printed.

The rooms, ground first; each imports only what stands before it (tests/test_imports.py):

    config time_expr prometheus     settings and themes; "12:03"; metrics
    table output                    lines, fields, filters; text, JSON, CSV
    session terminal                what a screen looks at; Textual's peculiarities
    widgets  toolkit  panes         one widget per file; for pane files; ONE FILE OR FOLDER PER PANE
    screen                          the app, its keys, its actions
    commands  cli  launcher         one per subcommand; argv -> a command -> exit status

Of `probes` they see `errors units drop_rule model source analysis recording`; `commands` see all.
"""
