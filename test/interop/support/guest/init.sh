#!/bin/busybox sh
# shellcheck shell=dash disable=SC1090,SC2013,SC2086,SC2154
# The first process of a virtual machine. On the kernel's command line: nbd_guest=,
# the name of the script beside this one that goes on, and the words of that script.
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
. "/guest/$nbd_guest.sh"
