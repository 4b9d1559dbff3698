#!/usr/bin/env bash
# The Debian package, for the Debian and the architecture of this machine.
#   build.sh FOLDER                 makes FOLDER/bleagent_VERSION_ARCH.deb and prints its name
#   VERSION=0.0.9 build.sh FOLDER   the same under another number
# It runs on Debian's own python3, so it is built with that one. PYTHON brings pip and may be any.
# The same commit and the same tools give the same bytes.
set -euo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=$(mkdir -p "$1" && cd "$1" && pwd)
target=/usr/bin/python3
opt=/opt/bleagent

die() {
    echo "the Debian package: $*" >&2
    exit 1
}

command -v dpkg-deb >/dev/null || die "is built on Debian, with dpkg-deb"
[[ -x $target ]] || die "runs on Debian's own Python: apt-get install python3"
minor=$("$target" -I -c 'import sys; print(sys.version_info.minor)')
dpkg-query --search "/usr/bin/python3.$minor" >/dev/null 2>&1 ||
    die "runs on Debian's own Python, and $target is not Debian's"
((minor >= 11)) || die "needs Python 3.11 (Debian 12), and this Debian has 3.$minor"

arch=$(dpkg --print-architecture)
version=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$root/bleagent/__init__.py")}
[[ -n $version ]] || die "bleagent/__init__.py has no version"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)} ||
    die "out of a git clone SOURCE_DATE_EPOCH must say of when it is"
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/stage
venv=$stage$opt
site=$venv/lib/python3.$minor/site-packages

# What is installed where, beside the venv. No conffiles: what is in /etc is the machine's own.
put() {
    install -D -m 644 "$root/$1" "$stage/$2"
}
put systemd/bleagent.service usr/lib/systemd/system/bleagent.service
put systemd/bleagent.socket usr/lib/systemd/system/bleagent.socket
put systemd/bluetooth-restart.conf usr/lib/systemd/system/bluetooth.service.d/bleagent.conf
put systemd/bleagent.sysusers usr/lib/sysusers.d/bleagent.conf
put systemd/bleagent.tmpfiles usr/lib/tmpfiles.d/bleagent.conf
put systemd/bleagent-bluetooth.conf usr/share/dbus-1/system.d/bleagent.conf
put LICENSE usr/share/doc/bleagent/copyright
put README.md usr/share/doc/bleagent/README.md
for one in "$root"/docs/*; do
    put "docs/${one##*/}" "usr/share/doc/bleagent/docs/${one##*/}"
done
for one in config.example.toml credentials.conf bluetooth-main.conf; do
    put "systemd/$one" "usr/share/doc/bleagent/examples/$one"
done
mkdir -p "$stage/usr/bin"
ln -s "$opt/bin/bleagent" "$stage/usr/bin/bleagent"

"${PYTHON:-python3}" -m venv "$work/tools"
"$target" -I -m venv --without-pip "$venv"
"$work/tools/bin/python" -m pip --disable-pip-version-check --python "$venv/bin/python" install \
    --quiet --no-compile --constraint "$root/requirements.lock" "$root[mqtt]" >&2

# A venv that was made elsewhere: nothing in it may say where. Of its commands ours is left, and
# PYTHONPATH and the like of whoever calls it do not change what is run (-I).
sed -i "1s|.*|#!$opt/bin/python -I|" "$venv/bin/bleagent"
find "$venv/bin" -mindepth 1 ! -name bleagent -delete
ln -s "$(readlink -f "$target")" "$venv/bin/python"
rm -rf "$venv/lib64" "$venv/include"
rm -f "$site"/*.dist-info/{RECORD,INSTALLER,REQUESTED,direct_url.json}
cat >"$venv/pyvenv.cfg" <<-END
	home = /usr/bin
	include-system-site-packages = false
	version = 3.$minor
END
# Compiled here and never looked at again: /opt may be read-only, and dates do not matter.
PYTHONHASHSEED=0 "$target" -I -m compileall -q --invalidation-mode unchecked-hash \
    -s "$stage" -p / "$site"

find "$stage" -type d -exec chmod 755 {} +
find "$stage" -type f -exec chmod 644 {} +
chmod 755 "$venv/bin/bleagent"
if grep -rqF -e "$work" -e "file://$root" "$stage"; then
    die "names the folder where it was built: $(grep -rlF -e "$work" -e "file://$root" "$stage")"
fi

mkdir "$stage/DEBIAN"
kibibytes=$(find "$stage" -path "$stage/DEBIAN" -prune -o -printf '%y %s\n' |
    awk '{ sum += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print sum }')
libc=$(find "$site" -name '*.so' -exec grep -aohE 'GLIBC_2\.[0-9]+' {} + | sort -uV | tail -n 1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$kibibytes/" \
    -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT@/3.$((minor + 1))/" -e "s/@LIBC@/${libc#GLIBC_}/" \
    "$here/control" >"$stage/DEBIAN/control"
install -m 755 "$here"/{postinst,prerm,postrm} "$stage/DEBIAN"
(cd "$stage" && find opt usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$stage/DEBIAN/md5sums"

find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
package=$folder/bleagent_${version}_$arch.deb
# zstd: a Pi unpacks it in a tenth of the time that xz takes.
dpkg-deb --root-owner-group --threads-max=1 -Zzstd -z9 --build "$stage" "$package" >/dev/null
echo "$package: for Debian's Python 3.$minor, $arch, $(($(stat -c %s "$package") / 1024)) KiB" >&2
echo "$package"
