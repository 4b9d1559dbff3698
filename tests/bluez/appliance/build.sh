#!/usr/bin/env bash
# A small machine with a real kernel and a real BlueZ in it, and nothing else (no disk, no Python).
#   build.sh CACHE              prints where the image is: a folder with `kernel` and `initrd`
#   SUITE=trixie build.sh CACHE   BlueZ 5.82 and kernel 6.12 instead of 5.66 and 6.1
# Made from Debian packages; made anew when these scripts or the packages' versions change.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(mkdir -p "$1" && cd "$1" && pwd)
suite=${SUITE:-bookworm}

tools=(qemu-system-x86 kmod cpio xz-utils zstd python3)
parts=(bluez dbus socat busybox-static)

die() {
    echo "bluez appliance: $*" >&2
    exit 1
}

[[ $(uname -m) == x86_64 ]] || die "is built and run on x86_64 only, this is $(uname -m)"
command -v apt-get >/dev/null || die "is made from Debian packages, and there is no apt-get here"

# Where this machine is that suite, its own userland goes in; otherwise one is bootstrapped.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [[ $codename == "$suite" ]]; then
    tools+=("${parts[@]}")
else
    tools+=(mmdebstrap)
fi

missing=()
for package in "${tools[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    [[ $(id -u) -eq 0 ]] || die "these Debian packages are missing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 </dev/null
fi

versions() {
    apt-cache policy linux-image-amd64 "${parts[@]}" | grep -E '^[a-z]|Candidate'
}
# A machine whose package lists were never fetched knows no kernel yet.
if ! versions | grep -A1 '^linux-image' | grep -q 'Candidate: [0-9]'; then
    [[ $(id -u) -eq 0 ]] || die "the package lists are empty: run apt-get update"
    apt-get update -qq >&2
fi
key=$( (cat "$here"/*.sh; echo "$suite"; versions) | sha256sum | cut -c1-16)
image=$cache/$suite-$key
if [[ -e $image/initrd ]]; then
    echo "$image"
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ $codename == "$suite" ]]; then
    kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
    # `_apt` may not enter a folder of ours; apt-get then works as the caller, and says so.
    (cd "$work" && apt-get download -qq "$kernel" 2>/dev/null)
    mkdir "$work/kernel"
    dpkg-deb -x "$work"/*.deb "$work/kernel"
    root=/
else
    mmdebstrap -q --variant=minbase --include=dbus,bluez,socat,busybox-static,kmod,linux-image-amd64 \
        --aptopt='Apt::Install-Recommends false' "$suite" "$work/root.tar" >&2
    mkdir -p "$work/root" "$work/kernel/lib"
    tar -xf "$work/root.tar" -C "$work/root" --exclude='./dev/*'
    ln -s "$work/root/boot" "$work/kernel/boot"
    cp -al "$work/root/usr/lib/modules" "$work/kernel/lib/"
    root=$work/root
fi
"$here/pack.sh" "$work/kernel" "$root" "$work/image"
mv -T "$work/image" "$image"
echo "$image"
