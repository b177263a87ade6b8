"""The user interface: commands, the screen, and everything that is printed.

The packages, lowest first; each imports only those before it (tests/test_imports.py):

    config time_expr prometheus     settings and themes; "12:03"; metrics
    table output                    lines, fields, filters; text, JSON, CSV
    session terminal                what a screen shows; everything specific to Textual
    widgets  toolkit  panes         one widget per file; API of panes; ONE FILE OR FOLDER PER PANE
    screen                          the app, its keys, its actions
    commands  cli  launcher         one per subcommand; argv -> a command -> exit status

Of `probes` they see `errors units drop_rule model source analysis recording`; `commands` see all.
"""
