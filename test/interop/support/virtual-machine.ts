/** A virtual machine with the Linux that `.ci/kernel` has made, without any hardware help. */
import { join } from 'node:path';

/** The guest's name of this machine's loopback is 10.0.2.2. */
export const network = 'user,model=virtio-net-pci';

/** Arguments of qemu-system-x86_64. `words` go to the scripts in `guest/`. */
export function machineArguments(
  system: string,
  guest: 'client' | 'server',
  words: readonly string[],
): string[] {
  return [
    ...['-accel', 'tcg', '-m', '1024', '-smp', '2', '-nographic', '-no-reboot'],
    ...['-kernel', join(system, 'vmlinuz'), '-initrd', join(system, 'initrd')],
    '-append',
    ['console=ttyS0', 'quiet', 'panic=-1', `nbd_guest=${guest}`, ...words].join(' '),
  ];
}
