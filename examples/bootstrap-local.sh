#!/usr/bin/env bash
# Fills a laptop's local DynamoDB from a dump, once. Meant to be called by whatever sets up a development machine, as often as
# it likes: a table that is there and whole is left as it is, a restore that was cut off is finished, nothing is asked.
#
#   examples/bootstrap-local.sh [DUMP]        DUMP is a folder made by dumpdb; by default ./backups/dynamodb/staging
#
# The target is the environment `local`: the endpoint and the table of envs/.env.local. DYNADUMP names another restoredb, for
# example `cargo run --release --bin restoredb --`.
set -euo pipefail

dump=${1:-./backups/dynamodb/staging}
read -r -a restoredb <<<"${DYNADUMP:-restoredb}"

arguments=(
    --env=local         # never anything else: a bootstrap script has no business elsewhere
    --source "$dump"    # checked from end to end before the first write
    --wait 60s          # LocalStack may still be starting
    --if-missing        # a table that is there stays as it is
    --yes               # nobody sits here to answer; `local` is not protected
)

status=0
"${restoredb[@]}" "${arguments[@]}" || status=$?

# The exit codes are listed in `restoredb --help`. These two deserve a word of their own here.
case $status in
3) echo "Some items did not fit; the file named above lists them. The rest is there." >&2 ;;
11) echo "Is LocalStack running, and has '$dump' been made? (dumpdb --env=staging)" >&2 ;;
esac
exit "$status"
