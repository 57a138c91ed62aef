#!/usr/bin/env bash
# What power-cut.sh and kill-rounds.sh run: `tests/crash-rounds.sh kill|power|stop [ROUNDS [NAME=PROGRAM[+SYNC_INTERVAL][@ROUNDS]]...]`.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${JETSLED_BIN:-}" ] && [ $# -lt 3 ]; then
  cargo build --quiet --release --package jetsled-server --bin jetsled
  JETSLED_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/release/jetsled")
  export JETSLED_BIN
fi
cargo run --quiet --package jetsled-tests --bin crash-rounds -- "$@"
