#!/usr/bin/env bash
# Makes a Debian package of a built program: packaging/deb.sh PROGRAM OUTPUT_DIR. Prints its path. Needs dpkg-deb.
set -euo pipefail
program=$(realpath "$1")
output=$(realpath "$2")
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

install -D -m 755 "$program" "$root/usr/bin/jetsled"
install -d "$root/usr/lib/jetsled"
ln -s ../../bin/jetsled "$root/usr/lib/jetsled/nats-server"
install -D -m 644 packaging/jetsled.conf "$root/etc/jetsled/jetsled.conf"
install -D -m 644 packaging/jetsled.service "$root/usr/lib/systemd/system/jetsled.service"
install -D -m 644 packaging/debian/sysusers.conf "$root/usr/lib/sysusers.d/jetsled.conf"
install -D -m 644 LICENSE "$root/usr/share/doc/jetsled/copyright"
gzip -9nc CHANGELOG.md >"$root/usr/share/doc/jetsled/changelog.gz"
chmod 644 "$root/usr/share/doc/jetsled/changelog.gz"
install -d "$root/usr/share/man/man1"
gzip -9nc packaging/jetsled.1 >"$root/usr/share/man/man1/jetsled.1.gz"
chmod 644 "$root/usr/share/man/man1/jetsled.1.gz"

for shell in bash/bash-completion/completions/jetsled zsh/zsh/vendor-completions/_jetsled fish/fish/vendor_completions.d/jetsled.fish; do
  install -D -m 644 <("$program" completions "${shell%%/*}") "$root/usr/share/${shell#*/}"
done

# The program was linked against this machine's C library: a system with an older one can't run it.
libc=$(dpkg-query -W -f '${Version}' libc6 | sed 's/-.*//')
install -d "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SIZE@/$(du -sk "$root" | cut -f1)/" \
  -e "s/@DEPENDS@/libc6 (>= $libc), libgcc-s1/" packaging/debian/control >"$root/DEBIAN/control"
install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
echo /etc/jetsled/jetsled.conf >"$root/DEBIAN/conffiles"

package=$output/jetsled_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
