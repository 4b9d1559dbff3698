#!/usr/bin/env bash
# A Debian 12 with systemd in a folder, as a gateway has it before anything of ours is there.
#   root.sh CACHE    prints where it is
# Made from Debian packages; made anew when this script or the packages' versions change.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=bookworm
# What we need and what makes it boot; python3 is what our package asks for.
parts=(systemd systemd-sysv dbus python3 ca-certificates)
tools=(mmdebstrap systemd-container)

die() {
    echo "systemd root: $*" >&2
    exit 1
}

[[ $(id -u) -eq 0 ]] || die "is made and booted by root only"
command -v apt-get >/dev/null || die "is made from Debian packages, and there is no apt-get here"
cache=$(mkdir -p "$1" && cd "$1" && pwd)

missing=()
for package in "${tools[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 </dev/null
fi

key=$( (cat "$here/root.sh"; apt-cache policy "${parts[@]}" | grep -E '^[a-z]|Candidate') |
    sha256sum | cut -c1-16)
root=$cache/$suite-$key
if [[ -d $root ]]; then
    echo "$root"
    exit
fi

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Neither manuals nor timers that begin to work while a test waits.
mmdebstrap --quiet --variant=minbase --format=directory \
    --include="$(IFS=,; echo "${parts[*]}")" \
    --aptopt='Apt::Install-Recommends false' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='systemctl --root="$1" --quiet mask apt-daily.timer \
        apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer' \
    "$suite" "$work/root" >&2
mv -T "$work/root" "$root"
# Of older packages; nobody boots them any more.
find "$cache" -mindepth 1 -maxdepth 1 -name "$suite-*" -mtime +2 ! -path "$root" -exec rm -rf {} +
echo "$root"
