#!/usr/bin/env bash
# Builds what is in this directory around a program and tries it, without a container engine and without root: packaging/check.sh PROGRAM.
# Needs dpkg-deb and, for the image, a user namespace; says what it leaves out where the machine has none.
set -euo pipefail
program=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "the Debian package"
package=$("$here/deb.sh" "$program" "$work")
dpkg-deb --extract "$package" "$work/installed"
installed=$work/installed
[ "$(readlink -f "$installed/usr/lib/jetsled/nats-server")" = "$installed/usr/bin/jetsled" ]
"$installed/usr/bin/jetsled" -t -c "$installed/etc/jetsled/jetsled.conf"
gzip -dc "$installed/usr/share/man/man1/jetsled.1.gz" | grep -q '^\.TH JETSLED 1 '
for script in postinst prerm postrm; do
  dpkg-deb --info "$package" "$script" >"$work/$script"
  sh -n "$work/$script"
done
unit=usr/lib/systemd/system/jetsled.service
if command -v systemd-analyze >/dev/null; then
  # The unit as it is, but for the paths of this machine.
  sed -e "s#/usr/bin/jetsled#$installed/usr/bin/jetsled#" -e '/^Documentation=/d' "$installed/$unit" >"$work/jetsled.service"
  systemd-analyze verify --recursive-errors=no "$work/jetsled.service"
  systemd-analyze security --offline=true --threshold=20 --no-pager "$work/jetsled.service" | tail -1
else
  echo "left out: no systemd-analyze to check the unit with"
fi

echo "the container image"
root=$work/image
"$here/rootfs.sh" "$program" "$root"
# What the Dockerfile starts and asks is there.
grep -E '^(ENTRYPOINT|HEALTHCHECK)' "$here/Dockerfile" | grep -o '"/[^"]*"' | tr -d '"' | while read -r path; do
  [ -x "$root$path" ]
done
if unshare --map-root-user --net true 2>/dev/null; then
  # In a network of its own, so that the ports of the configuration are free.
  unshare --map-root-user --net bash -euo pipefail -c '
    ip link set lo up
    chroot "$1" /usr/bin/nats-server --config /etc/jetsled/jetsled.conf 2>"$1/log" & server=$!
    for _ in $(seq 100); do
      chroot "$1" /usr/bin/jetsled health >/dev/null 2>&1 && break
      sleep 0.1
    done
    chroot "$1" /usr/bin/jetsled health || { cat "$1/log"; exit 1; }
    chroot "$1" /usr/bin/jetsled health "http://127.0.0.1:8222/healthz?js-enabled-only=true"
    chroot "$1" /usr/bin/jetsled health "http://127.0.0.1:8222/healthz?js-server-only=true"
    kill -USR2 "$server"
    wait "$server"
    grep -q "Server Exiting" "$1/log"
    [ -d "$1/var/lib/jetsled/jetsled" ] || [ -d "$1/var/lib/jetsled/jetstream" ]
  ' _ "$root"
else
  echo "left out: no user namespace to start the image in"
fi
du -sh "$root" | cut -f1

echo "the Kubernetes manifest"
# The configuration in it is understood, and so is the hook's command.
sed -n '/^  nats.conf: |/,/^---/p' "$here/kubernetes.yaml" | sed -e '1d' -e '/^---/d' -e 's/^    //' >"$work/nats.conf"
SERVER_NAME=nats-0 "$program" -t -c "$work/nats.conf"
if command -v kubectl >/dev/null; then
  mkdir "$work/kustomize"
  cp "$here/kubernetes.yaml" "$work/kustomize/"
  echo 'resources: [kubernetes.yaml]' >"$work/kustomize/kustomization.yaml"
  kubectl kustomize "$work/kustomize" | grep -c '^kind: ' | grep -qx 4
else
  echo "left out: no kubectl to read the manifest with"
fi
