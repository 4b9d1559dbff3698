#!/usr/bin/env bash
# Packs the machine.   pack.sh KERNEL_TREE ROOT OUT
# KERNEL_TREE holds boot/vmlinuz-* and lib/modules; ROOT (/ or a bootstrapped one) the packages
# bluez, dbus, socat and busybox-static. Writes OUT/kernel and OUT/initrd.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$1 root=${2%/} out=$3
version=$(basename "$tree"/lib/modules/*)
[[ -e $tree/lib/modules/$version/modules.dep ]] || depmod -b "$tree" "$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work"/{bin,sbin,modules,proc,sys,dev,tmp,root,etc/bluetooth,etc/dbus-1/system.d} \
    "$work"/{run/dbus,var/lib/bluetooth,usr/share/dbus-1,usr/libexec/bluetooth}

# Kernel modules, in the order in which they must be loaded.
for name in virtio_pci virtio_rng virtio_net virtio_console hci_uart hci_vhci uhid cmac ecb \
    algif_hash algif_skcipher; do
    modprobe -d "$tree" -S "$version" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r file; do
    name=$(basename "$file")
    name=${name%.xz}
    name=${name%.zst}
    case $file in
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -qdc "$file" ;;
        *) cat "$file" ;;
    esac >"$work/modules/$name"
    echo "$name"
done >"$work/modules/order"

# Programs, and the libraries they need.
in_root() {
    if [[ -z $root ]]; then "$@"; else chroot "$root" "$@"; fi
}
copy() {
    [[ -e $work$1 ]] || { mkdir -p "$work$(dirname "$1")" && cp -L "$root$1" "$work$1"; }
}
for program in /usr/bin/dbus-daemon /usr/libexec/bluetooth/bluetoothd /usr/bin/btattach \
    /usr/bin/btmon /usr/bin/btmgmt /usr/bin/socat; do
    copy "$program"
    in_root ldd "$program" | awk '{for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i}' |
        while read -r library; do copy "$library"; done
done
cp -L "$root/bin/busybox" "$work/bin/busybox"

for policy in etc/dbus-1/system.d usr/share/dbus-1/system.d; do
    [[ ! -e $root/$policy/bluetooth.conf ]] ||
        cp "$root/$policy/bluetooth.conf" "$work/etc/dbus-1/system.d/"
done
cp "$root/usr/share/dbus-1/system.conf" "$work/usr/share/dbus-1/"
[[ ! -e $root/etc/bluetooth/main.conf ]] || cp "$root/etc/bluetooth/main.conf" "$work/etc/bluetooth/"
printf 'root:x:0:0::/:/bin/sh\nmessagebus:x:100:100::/:/bin/sh\n' >"$work/etc/passwd"
printf 'root:x:0:\nmessagebus:x:100:\nbluetooth:x:101:\n' >"$work/etc/group"
echo 0123456789abcdef0123456789abcdef >"$work/etc/machine-id"
install -m 755 "$here/init.sh" "$work/init"
! command -v strip >/dev/null ||
    find "$work/usr" "$work"/lib* -name '*.so*' -exec strip --strip-unneeded {} + 2>/dev/null || true

# Neither is compressed: unpacking would be emulated. The kernel is handed over as a plain ELF
# image, which qemu can start directly (PVH).
python3 - "$(ls "$tree"/boot/vmlinuz-*)" "$out/kernel" <<'PYTHON'
import lzma
import subprocess
import sys
from pathlib import Path

packed = Path(sys.argv[1]).read_bytes()


def xz(data: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(data)


def zstd(data: bytes) -> bytes:
    command = ["zstd", "-dcq"]
    return subprocess.run(command, input=data, capture_output=True, check=False).stdout


for magic, unpack in ((b"\xfd7zXZ\x00", xz), (b"\x28\xb5\x2f\xfd", zstd)):
    at = packed.find(magic)
    while at >= 0:
        try:
            image = unpack(packed[at:])
        except lzma.LZMAError:
            image = b""
        if image.startswith(b"\x7fELF"):
            Path(sys.argv[2]).write_bytes(image)
            sys.exit()
        at = packed.find(magic, at + 1)
sys.exit(f"no kernel image was found in {sys.argv[1]}")
PYTHON
(cd "$work" && find . | sort | cpio -o -H newc --quiet --reproducible) >"$out/initrd"
