# The short names of everything a developer does here. Each target installs the Debian packages it
# needs (tools/install says which first) and does nothing about those that are there already.

.PHONY: help run build test test-all fuzz-rls bench format lint clean

help:
	@echo 'make run       build, start a throwaway Postgres and walcast, and watch changes arrive'
	@echo 'make build     the release binary, build/release/walcast'
	@echo 'make test      lint, unit, fuzz corpus, threads and integration tests, under sanitizers'
	@echo 'make test-all  make test, then more comparisons, other majors, clang, 60 s of fuzzing per target, coverage'
	@echo 'make fuzz-rls  random row security against SELECT, COMPARISONS=n times or for SECONDS=n; SEED=n repeats'
	@echo 'make bench     measure the budgets beside floors and other servers, print one table (25 minutes)'
	@echo 'make format    clang-format every C file'
	@echo 'make lint      style checks only'
	@echo 'make clean     remove build/ and run/'

run:
	@tools/demo

build:
	@tools/install build
	@tools/build release

test:
	@tools/test

test-all:
	@tools/test --all

# SECONDS is bash's own variable
fuzz-rls:
	@COMPARISONS=$(COMPARISONS) SEED=$(SEED) tools/fuzz-rls $(SECONDS)

bench:
	@tools/install build run test node
	@tools/install bench || echo 'Going on; what is missing is named in the table' >&2
	@tools/npm benchmarks
	@tools/build bench
	@benchmarks/run

format:
	@tools/install test
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

lint:
	@tools/test lint

clean:
	@tools/clean
