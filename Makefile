# The only doors: `make help` lists them. Each sets up what it needs, once.

SHELL := /bin/bash
MAKEFLAGS += --silent --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Distribution packages; A|B means whichever the distribution has.
RUN_PACKAGES := python3-bpfcc 'libbpf1|libbpf0'
TEST_PACKAGES := busybox-static clang containerd iproute2 iputils-ping fish kmod linux-libc-dev mandoc 'bpftool|linux-tools-generic' nftables openssh-server podman prometheus rpm runc zsh
BENCH_PACKAGES := iproute2 nftables 'bpftool|linux-tools-generic' btop htop bpftrace bpfcc-tools
MATRIX_PACKAGES := qemu-system-x86 busybox-static debootstrap kmod zstd iproute2 iputils-ping 'bpftool|linux-tools-generic'
PACKAGE_PACKAGES := debootstrap
RPM_PACKAGES := rpm

# Stamps. Packages: per user, since what a user may not install, root may.
UID := $(shell id -u)
RUN_READY := .venv/.ready
DEV_READY := .venv/.ready-dev
MATRIX_READY := .venv/.ready-matrix
RUN_INSTALLED := .venv/.packages-$(UID)

# An environment of another Python (the distribution was upgraded) or place (the clone was moved)
# is made again.
PYTHON_NOW := $(notdir $(realpath .venv/bin/python))
ifneq ($(wildcard .venv/.made-for),)
ifneq ($(file <.venv/.made-for),$(CURDIR) $(PYTHON_NOW))
$(RUN_READY) $(DEV_READY): FORCE
endif
endif

.PHONY: help setup run test quick check docs deb onefile wheel rpm image package-check release-check matrix bench FORCE

help: ## this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## install what ebpftop needs and is missing: .venv/bin/ebpftop
	rm -f $(RUN_INSTALLED)
	$(MAKE) $(RUN_INSTALLED) $(RUN_READY)
	echo 'setup: .venv/bin/ebpftop is ready' >&2

# make's own exit status is 0 or 2; "Error N" on stderr names the program's. Scripts that need it
# call .venv/bin/ebpftop. From another directory: make -s -C DIR run, so that make itself is silent.
run: $(RUN_INSTALLED) $(RUN_READY) ## the monitor; other commands: make run ARGS="once --json"
	exec .venv/bin/ebpftop $(ARGS)

# What needs no kernel runs side by side; the kernel's tests share one machine, so one by one, and
# so do those that fill a CPU or much memory.
# Exit status 5 is "no test of that name": an error only where neither part has one.
# Compiled tests are kept, whatever the environment says: each worker takes two seconds to make them.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := .venv/bin/python -m pytest
# Twice as many workers as there are cores: many tests wait. Each begins with whole files, of which
# much is made once.
QUICK := $(PYTEST) -m 'not kernel and not slow' --ignore tests/kernel --dist worksteal \
  -n $(shell echo $$(($$(nproc) * 2)))

test: $(RUN_INSTALLED) $(DEV_READY) ## all tests, those of the kernel as root; ARGS="-k word"
	.ci/packages $(TEST_PACKAGES) || [[ $$? -eq 3 ]]
	$(QUICK) $(ARGS); quick=$$?; [[ $$quick -eq 0 || $$quick -eq 5 ]] || exit $$quick; \
	  $(PYTEST) -m 'kernel or slow' $(ARGS); kernel=$$?; \
	  [[ $$kernel -eq 0 || ( $$kernel -eq 5 && $$quick -eq 0 ) ]] || exit $$kernel

quick: $(RUN_INSTALLED) $(DEV_READY) ## the tests that need no kernel, side by side; ARGS="-k word"
	exec $(QUICK) $(ARGS)

check: $(DEV_READY) ## ruff, clang-format and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	find probes tests -path probes/compile -prune -o -name '*.[ch]' -print | xargs .venv/bin/clang-format --dry-run --Werror
	.venv/bin/mypy

matrix: $(RUN_INSTALLED) $(DEV_READY) ## the kernel tests on other kernels; KERNEL=6.1 TEST=word MINUTES=40
	.ci/packages $(MATRIX_PACKAGES)
	$(MAKE) $(MATRIX_READY)
	exec .venv/bin/python -m tests.support.guest.matrix $(if $(KERNEL),--kernel '$(KERNEL)') $(if $(TEST),--test '$(TEST)') $(if $(MINUTES),--minutes $(MINUTES))

docs: $(DEV_READY) ## the site, the manual page and completions, in build/
	.venv/bin/python -m docs.build
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build -q -f docs/mkdocs.yml
	echo 'docs: build/site/index.html, build/ebpftop.1, build/completions' >&2

deb: $(DEV_READY) ## the package for Debian and Ubuntu, in dist/
	exec .venv/bin/python -m packages.deb

onefile: $(DEV_READY) ## one executable file with all it needs but Python and bcc; PYTHON=3.13 MACHINE=aarch64
	exec .venv/bin/python -m packages.onefile $(if $(PYTHON),--python $(PYTHON)) $(if $(MACHINE),--machine $(MACHINE))

wheel: $(DEV_READY) ## the wheel and the sdist, in dist/
	exec .venv/bin/python -m packages.wheel

rpm: $(DEV_READY) ## the package for Fedora and its kin, in dist/; to be installed there: untested
	.ci/packages $(RPM_PACKAGES)
	exec .venv/bin/python -m packages.rpm

image: deb ## as root: a container image, localhost/ebpftop and dist/ebpftop-image.tar.gz; SUITE=bookworm
	.ci/packages $(PACKAGE_PACKAGES) podman
	exec packages/image/build $(SUITE)

package-check: deb wheel rpm ## as root: what these build, in fresh systems; SUITE=trixie KIND=onefile
	.ci/packages $(PACKAGE_PACKAGES)
	for python in 3.11 3.13; do .venv/bin/python -m packages.onefile --python $$python || exit 1; done
	.venv/bin/ebpftop bundle --output dist/here.bundle
	set -e; for suite in $(or $(SUITE),bookworm trixie); do \
	  for kind in $(or $(KIND),deb unit onefile bundle wheel rpm); do packages/check/root $$suite $$kind; done; done

release-check: $(DEV_READY) ## what must be true before a version is tagged
	exec .venv/bin/python -m docs.release

bench: $(RUN_INSTALLED) $(RUN_READY) ## cost and speed beside btop and htop; BENCH=scale, hour, path, recording, hooks, rows, leave, truth, memory, incidents
	[[ -f bench/$(or $(BENCH),screen).py ]] || { echo 'bench: there is no $(BENCH); see make help' >&2; exit 2; }
	.ci/packages $(BENCH_PACKAGES) $(if $(findstring --kernel,$(ARGS)),$(MATRIX_PACKAGES))
	$(if $(findstring --kernel,$(ARGS)),$(MAKE) $(MATRIX_READY))
	exec .venv/bin/python -m bench.$(or $(BENCH),screen) $(ARGS)

# Where something may not be installed, ebpftop still runs, on what is there.
$(RUN_INSTALLED): Makefile
	.ci/packages $(RUN_PACKAGES); status=$$?; mkdir -p .venv; \
	  [[ $$status -eq 0 ]] || echo 'setup: going on with what is there' >&2; \
	  [[ $$status -eq 1 || ! -w .venv ]] || touch $@

# The launcher is installed as a copy: ebpftop/__init__.py.
$(RUN_READY): pyproject.toml tui/launcher.py
	.ci/venv && touch $@

$(DEV_READY): pyproject.toml tui/launcher.py
	.ci/venv dev && touch $@ $(RUN_READY)

$(MATRIX_READY): $(DEV_READY)
	.venv/bin/python -m pip install -q --disable-pip-version-check virtme-ng && touch $@
