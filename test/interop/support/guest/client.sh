# shellcheck shell=dash disable=SC1010,SC2154
# Uses the disk that the host serves through the kernel's own NBD client.
# On the kernel's command line: nbd_port=, nbd_connections=.
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
