#!/bin/busybox sh
# shellcheck shell=dash disable=SC1010,SC2013,SC2086,SC2154
# The first process of a virtual machine: uses the disk that the host serves
# through the kernel's own NBD client.
# On the kernel's command line: nbd_port=, nbd_connections=.
# Busybox prefers its own commands: those of the host are called by their paths.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for word in $(cat /proc/cmdline); do
  case $word in nbd_*) eval "$word" ;; esac
done

finish() {
  echo "guest: $1"
  poweroff -f
  sleep 60
}

must() {
  echo "guest: $*"
  "$@" || finish "FAILED: $*"
}

# Some are for hardware that this machine does not have. The commands below fail where one is missing.
while read -r module options; do
  insmod "$module" $options 2>/dev/null
done </modules/order

must ip link set lo up
must ip link set eth0 up
must ip addr add 10.0.2.15/24 dev eth0
must /sbin/nbd-client 10.0.2.2 "$nbd_port" /dev/nbd0 -N disk -C "$nbd_connections" -timeout 120
echo "guest: size $(cat /sys/block/nbd0/size) discard $(cat /sys/block/nbd0/queue/discard_max_bytes) read-only $(cat /sys/block/nbd0/ro)"
must /sbin/mke2fs -q -t ext4 /dev/nbd0
must mount -t ext4 /dev/nbd0 /mnt
must dd if=/dev/urandom of=/mnt/random bs=64k count=128
for number in 1 2 3 4; do
  must cp /mnt/random "/mnt/copy-$number"
done
must sync
must rm /mnt/copy-2 /mnt/copy-4
must fstrim /mnt
sha256sum /mnt/random /mnt/copy-1 /mnt/copy-3 | sed 's/^/guest: sum /'
must umount /mnt
echo 3 >/proc/sys/vm/drop_caches
must /sbin/e2fsck -fn /dev/nbd0
must mount -t ext4 -o ro /dev/nbd0 /mnt
sha256sum /mnt/random /mnt/copy-1 /mnt/copy-3 | sed 's/^/guest: again /'
must umount /mnt
must /sbin/nbd-client -d /dev/nbd0
finish done
