# shellcheck shell=dash disable=SC2154
# Runs the host's own server, which it sees through 9p, on disks of this machine:
# a file on ext4, and a disk as a whole.
# On the kernel's command line: nbd_new=1 for empty disks, nbd_bytes=, nbd_node=,
# nbd_program=, nbd_no_native=1 to go without the addon.
must mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 host /host
must mount -t proc proc /host/proc
must mount -o bind /sys /host/sys
must mount -o bind /dev /host/dev
[ "$nbd_new" != 1 ] || must /sbin/mke2fs -q -t ext4 /dev/vda
must mount -t ext4 /dev/vda /host/mnt
[ "$nbd_new" != 1 ] || must truncate -s "$nbd_bytes" /host/mnt/disk.img
# The kernel writes nothing by itself, so that a cut loses all that nobody flushed.
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
export NBDCORK_NO_NATIVE="$nbd_no_native"
chroot /host "$nbd_node" "$nbd_program" serve --host 0.0.0.0 --port 10809 \
  file=/mnt/disk.img device=/dev/vdb
finish "FAILED: the server exited with $?"
