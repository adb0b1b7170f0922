import { NbdError } from '../errors.js';

/** The first descriptor that systemd passes: sd_listen_fds(3). */
const firstDescriptor = 3;

/**
 * Descriptors of the listening sockets passed by socket activation. Removes the
 * variables from `environment`, so that child processes do not use them.
 * @throws NbdError `NBDCORK_BAD_ACTIVATION` if LISTEN_FDS is not a positive integer.
 */
export function inheritedDescriptors(environment: NodeJS.ProcessEnv): number[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = environment;
  if (pid === undefined || count === undefined || Number(pid) !== process.pid) return [];
  delete environment['LISTEN_PID'];
  delete environment['LISTEN_FDS'];
  delete environment['LISTEN_FDNAMES'];
  const number = Number(count);
  if (!Number.isInteger(number) || number < 1) {
    throw new NbdError(
      'NBDCORK_BAD_ACTIVATION',
      `Invalid LISTEN_FDS '${count}': it must be a positive number of sockets.`,
    );
  }
  return Array.from({ length: number }, (_, index) => firstDescriptor + index);
}
