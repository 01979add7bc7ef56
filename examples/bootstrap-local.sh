#!/usr/bin/env bash
# Restores a dump into a laptop's local DynamoDB (`servedb`, LocalStack, DynamoDB Local), once. Call it from the scripts that set up a development machine, as often
# as needed: a table that exists and is complete is left alone, an interrupted restore is resumed, and nothing is asked.
#
#   examples/bootstrap-local.sh [DUMP]        DUMP is a folder created by dumpdb [default: ./backups/dynamodb/staging]
#
# The target is the environment `local`: the endpoint and the table of envs/.env.local. DYNADUMP sets another command for
# restoredb, for example `cargo run --release --bin restoredb --`.
set -euo pipefail

dump=${1:-./backups/dynamodb/staging}
read -r -a restoredb <<<"${DYNADUMP:-restoredb}"

arguments=(
    --env=local         # never another one: a bootstrap script must not write elsewhere
    --source "$dump"    # checked completely before the first write
    --wait 60s          # the engine may still be starting
    --if-missing        # leave an existing table alone
    --yes               # no prompts; `local` is not protected
)

status=0
"${restoredb[@]}" "${arguments[@]}" || status=$?

# `restoredb --help` lists the exit codes. Explain these two.
case $status in
3) echo "Some items were rejected; the file named above lists them. The rest was restored." >&2 ;;
11) echo "Is the engine running (servedb, LocalStack), and does '$dump' exist? (dumpdb --env=staging)" >&2 ;;
esac
exit "$status"
