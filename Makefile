# `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=

prefix := $(abspath $(PREFIX))
lib := $(prefix)/lib/eventfs
bin := $(prefix)/bin
commands := eventfs eventq

# What stands between a fresh clone and running it; and, with _dev, testing and checking it.
ready := .venv/ready
ready_dev := .venv/ready-dev
compiled := $(wildcard src/eventfs/queues/*.py src/eventfs/mount/*.py src/eventfs/mount/*.c)

# psutil's compiled part fits this Python, so that one is named.
find_python := import os, sys; \
	exact = os.path.join(sys.base_exec_prefix, "bin", "python%d.%d" % sys.version_info[:2]); \
	print(exact if os.path.exists(exact) else sys._base_executable)

# Two targets must not set up .venv at the same time.
.NOTPARALLEL:
.PHONY: all demo test check bench install uninstall clean help

all: $(ready) ## build .venv, with eventfs and eventq in .venv/bin (the default)

demo: $(ready) ## mount on a temporary directory and play the first story
	@tools/demo

test: $(ready_dev) $(ready) ## run every test
	.venv/bin/pytest

check: $(ready_dev) $(ready) ## ruff and mypy
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

bench: $(ready_dev) $(ready) ## measure eventfs beside other ways to pass messages (some twenty minutes)
	.venv/bin/python -m benchmarks --write-docs

# pip leaves traces of where it worked: a script for .venv, the checkout's address, and paths in what it compiles.
# -IS: the commands take nothing from the caller's environment nor from the system's packages.
install: $(ready) ## install to PREFIX (/usr/local), below DESTDIR where given
	rm -rf build "$(DESTDIR)$(lib)"
	umask 022 && .venv/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-compile --target "$(DESTDIR)$(lib)" .
	rm -rf build "$(DESTDIR)$(lib)/bin" "$(DESTDIR)$(lib)"/*.dist-info/direct_url.json
	umask 022 && .venv/bin/python -m compileall -q $(if $(DESTDIR),-s "$(DESTDIR)") "$(DESTDIR)$(lib)"
	umask 022 && mkdir -p "$(DESTDIR)$(bin)" && for command in $(commands); do \
		printf '%s\n' \
			"#!$$(.venv/bin/python -c '$(find_python)') -IS" \
			'import sys' \
			'sys.path.insert(0, "$(lib)")' \
			"from eventfs.commands.$$command import main" \
			'sys.exit(main())' > "$(DESTDIR)$(bin)/$$command" && \
		chmod 755 "$(DESTDIR)$(bin)/$$command" || exit; \
	done

uninstall: ## remove what install made
	for command in $(commands); do rm -f "$(DESTDIR)$(bin)/$$command" || exit; done
	rm -rf "$(DESTDIR)$(lib)"

clean: ## remove all that make made here
	rm -rf .venv build src/*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples tools -name __pycache__ -prune -exec rm -rf {} +
	find src -name '*.so' -delete

help: ## this list
	@sed -n 's/^\([a-z]*\):.* ## /\1\t/p' Makefile | expand -t 12

$(ready): pyproject.toml setup.py tools/bootstrap $(compiled)
	tools/bootstrap
	touch $@

$(ready_dev): pyproject.toml tools/bootstrap | $(ready)
	tools/bootstrap test
	touch $@
