#!/usr/bin/env bash
# Power cuts on a real file system: does everything hold that was answered?
#
#   tests/power-cut.sh [ROUNDS]                               jetsled, default 5 rounds
#   tests/power-cut.sh ROUNDS SERVER...                       these servers by turns, and a table; the first one decides the exit code.
#                                                             NAME=PROGRAM[+SYNC_INTERVAL][@ROUNDS], such as nats-server=PATH+always@50
#   JETSLED_BIN=PATH tests/power-cut.sh                       another build of jetsled
#   JETSLED_SEED=N tests/power-cut.sh                         the moments and the load of an earlier run
#
# The store lies on an ext4 file system in an image on a loop device. Under load the server is killed and the image is copied at
# once: the copy has what the disk had, without the pages that only the kernel's memory held. The server is then started on the copy.
#
# Needs root and loop devices; says so and ends with 0 where they are missing. Exit code 1 when something did not hold.
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

exec tests/crash-rounds.sh power "$@"
