import { NbdError } from '../errors.js';

/** The first descriptor that systemd passes: sd_listen_fds(3). */
const firstDescriptor = 3;

/**
 * Listening sockets that were inherited by socket activation. The variables
 * are removed so that no child takes them for its own.
 * @throws NbdError `NBDCORK_BAD_ACTIVATION` where the variables make no sense.
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
      `LISTEN_FDS is '${count}', not a number of sockets.`,
    );
  }
  return Array.from({ length: number }, (_, index) => firstDescriptor + index);
}
