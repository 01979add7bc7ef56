#!/usr/bin/env bash
# Replaces a table with a copy of another one each night. DynamoDB makes an on-demand backup and restores it; no items are read.
# The tables and the capacity are in nightly-copy.json, the environment in envs/.env.prod. The report is in nightly-copy-report.json.
set -euo pipefail

environment=${COPY_ENVIRONMENT:-prod}
target=${COPY_TARGET:-clients_restored}

copy() {
    copydb --from="$environment" --spec nightly-copy.json --replace --delete-backup --confirm "$target" --json "$@" > nightly-copy-report.json
}

# Resumed, it continues with the same backup. Exit code 2 is a mistake in the command, 4 in the name of the target: both would fail again.
status=0
copy || status=$?
case $status in
0 | 2 | 4) exit "$status" ;;
*) copy --resume ;;
esac
