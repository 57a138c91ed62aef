#!/usr/bin/env bash
# What power-cut.sh and kill-rounds.sh run: `tests/crash-rounds.sh kill|power|stop [ROUNDS [NAME=PROGRAM[+SYNC_INTERVAL][@ROUNDS]]...]`.
# CRASH_ROUNDS=PATH is a build of the program that does it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${JETSLED_BIN:-}" ] && [ $# -lt 3 ]; then
  cargo build --quiet --release --package jetsled-server --bin jetsled
  JETSLED_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/release/jetsled")
  export JETSLED_BIN
fi
if [ -z "${CRASH_ROUNDS:-}" ]; then
  cargo build --quiet --package jetsled-tests --bin crash-rounds
  CRASH_ROUNDS=${CARGO_TARGET_DIR:-target}/debug/crash-rounds
fi
exec "$CRASH_ROUNDS" "$@"
