#!/bin/busybox sh
# The first process of the machine.
#   tcp 10.0.2.15:5555   the system's D-Bus
#   tcp 10.0.2.15:5556   a root shell for each connection
#   /dev/hvc0, hvc1 ...  one stream of H4 for each adapter: hci0, hci1 ...
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/libexec/bluetooth
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
ln -s /proc/self/fd /dev/fd 2>/dev/null
ln -sf /run /var/run
while read -r module; do insmod "/modules/$module" 2>&1; done </modules/order
ifconfig lo up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
dbus-daemon --system --fork --nopidfile

# bluetoothd is started again when it dies, as systemd does, unless /tmp/no-bluetoothd is there.
(while :; do
    if [ -e /tmp/no-bluetoothd ]; then
        sleep 0.05
        continue
    fi
    bluetoothd -n -d >>/tmp/bluetoothd.log 2>&1
    sleep 0.2
done) &

# An adapter is plugged in as long as /tmp/plug0 (1, ...) is there.
adapters=1
for word in $(cat /proc/cmdline); do
    case $word in adapters=*) adapters=${word#adapters=} ;; esac
done
number=0
while [ "$number" -lt "$adapters" ]; do
    (while :; do
        until [ -e "/tmp/plug$number" ]; do sleep 0.05; done
        btattach -B "/dev/hvc$number" -P h4 >>/tmp/btattach.log 2>&1 &
        echo $! >"/tmp/btattach$number.pid"
        wait
        sleep 0.05
    done) &
    number=$((number + 1))
done

socat -t 30 TCP-LISTEN:5556,fork,reuseaddr EXEC:/bin/sh,stderr &
socat TCP-LISTEN:5555,fork,reuseaddr,nodelay UNIX-CONNECT:/run/dbus/system_bus_socket &
echo "appliance: $(uname -r) bluetoothd $(bluetoothd --version) after $(cut -d' ' -f1 /proc/uptime) s"
while :; do sleep 3600; done
