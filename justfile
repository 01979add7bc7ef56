# Short names for what is done often. `just` alone lists them.

default:
    @just --list

# Everything that must hold before a change is taken
ci:
    .ci/run

# All tests, with the engine inside the process
test *arguments:
    cargo test {{ arguments }}

# The integration tests against the other engines, which are installed if they are missing
engines:
    .ci/run engines

# Arbitrary bytes for all that reads what others wrote, a minute for each target
fuzz:
    .ci/run fuzz

# A million items out and in: memory must stay flat
memory:
    cargo test --test it -- --ignored memory::

# How fast it is here, compared with curl, the SDK's own types, boto3 and the AWS CLI; `just bench --quick` leaves Python out
bench *arguments:
    benches/run {{ arguments }}

# The guide in docs/ as a site in target/book
book:
    .ci/run book

# The package of a target in target/package, for example `just package x86_64-unknown-linux-musl`
package target:
    packaging/build {{ target }}

lint:
    cargo clippy --all-targets -- -D warnings

fmt:
    cargo fmt --all

doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --document-private-items

# Accept the words that people read as they are now; look at the diff before it is committed
snapshots:
    INSTA_UPDATE=always cargo test --test it snapshots::
    git diff --stat -- tests/it/snapshots

# Dump the sample table
demo:
    cargo run -- --env=demo
