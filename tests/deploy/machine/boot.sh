#!/bin/bash
# Becomes systemd on a copy of this machine that nobody else sees: `boot.sh FOLDER`, in namespaces of its own.
#
# The file system is an overlay over `/`: what is installed here is there, what is written there is gone at the end.
set -eu
folder=$1 root=$1/root
mkdir -p "$root" "$folder/memory"
# An upper layer cannot lie inside the lower one, so it is in memory.
mount -t tmpfs -o size=6g memory "$folder/memory"
mkdir "$folder/memory/upper" "$folder/memory/work"
mount -t overlay -o "lowerdir=/,upperdir=$folder/memory/upper,workdir=$folder/memory/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${stream%:*}" "$root/dev/${stream#*:}"; done
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
ip link set lo up
hostname engine
echo engine > "$root/etc/hostname"
printf '127.0.0.1 localhost engine\n::1 localhost\n' > "$root/etc/hosts"
printf '0123456789abcdef0123456789abcdef\n' > "$root/etc/machine-id"
# What this machine starts by itself is not started there; nothing there is what an earlier installation left.
rm -rf "$root"/etc/systemd/system/*.wants "$root/etc/orderengine" "$root/var/lib/orderengine"
# Not chroot: below one the kernel refuses the namespaces of users that hardened units ask for.
cd "$root"
pivot_root . mnt
umount -l /mnt
mount --make-rshared / # Credentials of units are mounted by a child of systemd.
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target --show-status=0
