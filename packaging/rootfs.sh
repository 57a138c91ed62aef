#!/usr/bin/env bash
# Lays out the file system of the container image: packaging/rootfs.sh PROGRAM DIRECTORY. The program, the libraries that it is linked with, certificates of
# authorities for TLS to others, and its configuration; no shell.
set -euo pipefail
program=$1
root=$2
here=$(dirname "$0")

install -D -m 755 "$program" "$root/usr/bin/jetsled"
ln -sfn jetsled "$root/usr/bin/nats-server"
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
  install -D -m 755 "$(realpath "$library")" "$root$library"
done
install -D -m 644 "$here/jetsled.conf" "$root/etc/jetsled/jetsled.conf"
# A container's 127.0.0.1 is out of reach for everybody else.
sed -i -e 's/^listen: .*/listen: 0.0.0.0:4222/' -e 's/^http: .*/http: 0.0.0.0:8222/' -e '/^# Only this machine/d' "$root/etc/jetsled/jetsled.conf"
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
install -d -m 755 "$root/var/lib"
# The user of the image, who has no name on the host.
echo 'jetsled:x:65532:65532::/var/lib/jetsled:/nonexistent' >"$root/etc/passwd"
echo 'jetsled:x:65532:' >"$root/etc/group"
install -d -m 750 "$root/var/lib/jetsled"
install -d -m 1777 "$root/tmp"
