#!/usr/bin/env bash
# A place where a machine can be booted again and again on the same disk, a copy of ROOT in memory.
#   place.sh ROOT CONSOLE
# Each line of standard input boots it, when it is off; its end ends everything, and leaves nothing:
# mounts and processes are in name spaces that go with this process, however it came about.
set -euo pipefail

if [[ ${3:-} != inside ]]; then
    folder=$(mktemp -d)
    groups=()
    # nspawn keeps systemd's own bookkeeping below the group that it is started in.
    mapfile -t places </proc/self/cgroup
    for line in "${places[@]}"; do
        IFS=: read -r _ which path <<<"$line"
        case $which in
            name=systemd) place=/sys/fs/cgroup/systemd ;;
            "") place=/sys/fs/cgroup; [[ -e $place/cgroup.procs ]] || place+=/unified ;;
            *) continue ;;
        esac
        [[ -d $place ]] || continue
        group=${place}${path%/}/bleagent-test-$$
        mkdir "$group"
        groups+=("$group")
        echo 0 >"$group/cgroup.procs"
    done
    leave() {
        for group in "${groups[@]}"; do
            echo 0 >"${group%/*}/cgroup.procs"
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
        done
        rmdir "$folder"
    }
    trap leave EXIT
    trap '' HUP INT TERM # standard input says when
    echo "${groups[0]}"
    status=0
    unshare --mount --pid --fork --kill-child --mount-proc "$0" "$1" "$2" inside "$folder" ||
        status=$?
    exit "$status"
fi

root=$1 console=$2 folder=$4
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/changed" "$folder/work" "$folder/disk"
mount -t overlay overlay "$folder/disk" \
    -o "lowerdir=$root,upperdir=$folder/changed,workdir=$folder/work"
mount -t tmpfs tmpfs /run/systemd # nspawn refuses the file system of a disk there
while read -r _; do
    wait
    systemd-nspawn --quiet --register=no --keep-unit --directory="$folder/disk" --boot \
        --machine=gateway --link-journal=no --console=pipe </dev/null >>"$console" 2>&1 &
done
