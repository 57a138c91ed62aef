#!/usr/bin/env bash
# Power cuts on a real file system: is everything on the disk that was acknowledged?
#
#   tests/power-cut.sh [ROUNDS]             jetsled, default 5 rounds
#   JETSLED_BIN=PATH tests/power-cut.sh     another server, for comparison: nats-server loses messages here
#   JETSLED_SEED=N tests/power-cut.sh       the kill moments of an earlier run
#
# Needs root and loop devices; says so and ends with 0 where they are missing. Exit code 1 when a message was lost.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "power cut: skipped: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skip "mounting an image needs root"
for tool in mkfs.ext4 mount umount losetup; do
  command -v "$tool" >/dev/null || skip "there is no $tool"
done
probe=$(mktemp -d)
truncate -s 16M "$probe/image"
mkdir "$probe/mount"
mkfs.ext4 -q -F "$probe/image"
mounted=yes
mount -o loop "$probe/image" "$probe/mount" 2>"$probe/why" || mounted=no
why=$(cat "$probe/why")
[ "$mounted" = no ] || umount "$probe/mount"
rm -rf "$probe"
[ "$mounted" = yes ] || skip "this machine mounts no images: $why"

if [ -z "${JETSLED_BIN:-}" ]; then
  cargo build --quiet --release --package jetsled-server --bin jetsled
  JETSLED_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/release/jetsled")
  export JETSLED_BIN
fi
cargo run --quiet --package jetsled-tests --bin power-cut -- "$@"
