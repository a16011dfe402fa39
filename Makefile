# Start with `make run` and `make test`. Each installs the tools that are missing.

CARGO ?= cargo
TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p' | sed 's/-gnu$$/-musl/')
TOOLS := $(CURDIR)/target/tools
DENY_VERSION := 0.20.2

.PHONY: help run test e2e e2e-tools check fmt clippy deny advisories docs bench release release-tools test-tools clean

help:
	@echo 'make run      build authd and run it on http://127.0.0.1:8080 (database: authd.db)'
	@echo 'make test     run all tests'
	@echo 'make e2e      test every page in a browser; screenshots in target/gallery'
	@echo 'make check    check format, lints, licences, advisories, documentation'
	@echo 'make bench    measure token refreshes per second over HTTP'
	@echo 'make release  build ./authd, stripped and statically linked'

run:
	$(CARGO) run --release --bin authd -- serve

test: test-tools
	$(CARGO) test --quiet

check: fmt clippy docs deny

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --all-targets --quiet -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --document-private-items --quiet

deny: $(TOOLS)/bin/cargo-deny
	$(TOOLS)/bin/cargo-deny --log-level error check licenses bans sources
	@$(MAKE) --no-print-directory advisories

# Fetches the advisory database. If it cannot be reached, this prints a warning and checks nothing. An advisory that applies
# is an error.
advisories: $(TOOLS)/bin/cargo-deny
	@if $(TOOLS)/bin/cargo-deny --log-level error fetch db 2>/dev/null; then \
		$(TOOLS)/bin/cargo-deny --log-level error check advisories; \
	else \
		echo 'advisories NOT CHECKED: their database cannot be reached from here'; \
	fi

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --quiet --root $(TOOLS)

# What the tests run beside Rust: the languages of the examples, systemd's check of its units, strace to count system
# calls, nginx as a proxy, and PostgreSQL to prepare the SQL of src/service. Debian keeps nginx and PostgreSQL out of PATH.
test-tools:
	@missing=; \
	for tool in curl python3 node npm strace systemd-analyze openssl; do \
		command -v $$tool >/dev/null || missing="$$missing $$tool"; \
	done; \
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$$missing nginx"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
		packages=$$(echo "$$missing" | sed 's/\<node\>/nodejs/; s/systemd-analyze/systemd/'); \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -qq -y $$packages; \
		else \
			echo "The tests need:$$missing. Install them and try again." >&2; exit 1; \
		fi; \
	fi

# The pages in a real browser. The files are copied, so that what npm installs stays in target/. PART=sign_in walks one flow.
e2e: e2e-tools
	$(CARGO) build --quiet
	mkdir -p target/e2e && cp -R tests/e2e/. target/e2e/
	cd target/e2e && npm ci --silent --no-audit --no-fund
	AUTHD_BINARY=$(CURDIR)/target/debug/authd GALLERY=$(CURDIR)/target/gallery node target/e2e/run.mjs $(PART)

e2e-tools:
	@missing=; \
	for tool in chromium node npm; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -qq -y $$(echo "$$missing" | sed 's/\<node\>/nodejs/'); \
		else \
			echo "The pages are tested in a browser, which needs:$$missing. Install them and try again." >&2; exit 1; \
		fi; \
	fi

bench:
	$(CARGO) bench --bench load

# The C library is linked in, and it is musl. A static glibc still loads the modules that the machine's nsswitch.conf names,
# and where they are of another version, the first look-up of a mail server's name ends the process.
release: release-tools
	$(CARGO) build --release --locked --target $(TARGET)
	cp target/$(TARGET)/release/authd ./authd
	@if grep -q libnss_ ./authd; then echo './authd loads NSS modules: TARGET has to be a musl target.' >&2; exit 1; fi
	@ls -l ./authd

release-tools:
	@[ -d "$$(rustc --print target-libdir --target $(TARGET))" ] || rustup target add $(TARGET)
	@if ! command -v musl-gcc >/dev/null; then \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -qq -y musl-tools; \
		else \
			echo 'The release needs musl-gcc (musl-tools). Install it and try again.' >&2; exit 1; \
		fi; \
	fi

clean:
	$(CARGO) clean
	rm -f ./authd
