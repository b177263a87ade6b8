"""What installs ebpftop elsewhere: `make deb`, `make rpm`, `make onefile`, `make wheel`.

Packages are made of this tree and of the libraries in the environment that `make setup` made, so
what is shipped is what was tested, and nothing is fetched. Files that are copied as they are, or
nearly so, are in `files/`; `check/` installs and removes what was built, in fresh systems.
"""
