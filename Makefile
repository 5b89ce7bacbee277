# One word for everything: each target sets up what it needs first (tools/setup.sh), and says nothing when all is there.
# Settings:  make setup WITH=instructor     also nbgrader (dev: what the tests need)
#            make setup PYTHON=python3.12   another interpreter than the one that is found
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench audit pins clean core dev
.SILENT:

WITH ?= core
BIN := .venv/bin

help:
	echo 'make setup   the virtual environment, packages, strace and bubblewrap (WITH=instructor: nbgrader too)'
	echo 'make demo    grades a right server, then a wrong one'
	echo 'make test    format, lint, types, floors, every test, each reference and each known mistake'
	echo 'make bench   what the kit costs'
	echo 'make audit   proves the course: every reference passes, every known mistake fails where it should'
	echo 'make pins    writes requirements/*.txt anew from pyproject.toml (UPGRADE=1: the newest versions)'
	echo 'make clean   removes what the others made; a student'\''s results in .grade/ stay'

setup:
	sh tools/setup.sh $(WITH)
	echo "ready: $(BIN)/grade"

core dev:
	sh tools/setup.sh $@

demo: core
	echo '== The reference for ex03: every check passes'
	$(BIN)/grade ex03 --solution
	echo
	echo '== A server that arms each connection anew for each request (wrong/oneshot): it must fail'
	$(BIN)/grade ex03 --submission tests/ex03_epoll/wrong/oneshot; code=$$?; \
	if [ $$code -ne 1 ]; then echo "demo: a wrong server must end with exit code 1, not $$code" >&2; exit 1; fi

# Cheap before expensive.
test: dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	# Side by side, because each waits for boxes half of its time; the audit's words come last. It grades the references,
	# so pytest does not do it again here (by itself it does). Which tests one worker has, tests/grader/conftest.py says.
	log=$$(mktemp); $(BIN)/grade audit --quick >"$$log" 2>&1 & audit=$$!; \
	trap 'kill $$audit 2>/dev/null; rm -f "$$log"' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
	$(BIN)/mypy && $(BIN)/lint-imports || exit 1; \
	tests=0; $(BIN)/pytest tests/grader -n 4 --dist loadgroup --no-loadscope-reorder || tests=$$?; \
	proven=0; wait $$audit || proven=$$?; cat "$$log"; \
	[ $$tests -eq 0 ] && [ $$proven -eq 0 ]

bench: core
	set -e; for file in bench/*.py; do \
	    [ -e "$$file" ] || continue; \
	    echo "== $$file"; \
	    $(BIN)/python "$$file"; \
	done

audit: core
	$(BIN)/grade audit

pins:
	sh tools/pins.sh $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv .setup.lock build dist ./*.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
