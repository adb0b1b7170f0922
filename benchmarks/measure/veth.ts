/** Two network namespaces, joined by a cable that has an MTU of 1500 and cuts no segments. */
import { spawnSync } from 'node:child_process';
import { messageOf, NbdError } from '../../lib/errors.js';
import { findProgram } from '../candidates/programs.js';

/**
 * Two neighbours of 198.18.0.0/15, the network for benchmarks (RFC 2544): others
 * than those of another benchmark that runs at the same time.
 */
function addresses(): { readonly load: string; readonly server: string } {
  const subnet = (process.pid % 2 ** 15) * 4;
  const address = (host: number): string => {
    const number = subnet + host;
    return `198.${18 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
  };
  return { load: address(1), server: address(2) };
}

const mtuBytes = 1500;

export interface Veth {
  /** Starts a process at the other end. */
  readonly prefix: readonly string[];
  readonly host: string;
  readonly remove: () => void;
}

/** @throws NbdError `NBDCORK_BENCH` with the reason where that is not possible. */
export function makeVeth(): Veth {
  const name = `nbdcork-${process.pid}`;
  const { load, server } = addresses();
  const [near, far] = [`nbdc${process.pid}a`, `nbdc${process.pid}b`];
  const remove = (): void => {
    // The link is removed with the namespace, unless a process still uses that.
    spawnSync(ip, ['link', 'delete', near], { stdio: 'ignore' });
    spawnSync(ip, ['netns', 'delete', name], { stdio: 'ignore' });
  };
  const ip = need('ip', 'iproute2');
  const ethtool = need('ethtool', 'ethtool');
  const inside = ['netns', 'exec', name];
  const off = ['tso', 'off', 'gso', 'off', 'gro', 'off'];
  try {
    run(ip, 'netns', 'add', name);
    const mtu = ['mtu', String(mtuBytes)];
    const peer = ['peer', 'name', far, ...mtu, 'netns', name];
    run(ip, 'link', 'add', near, ...mtu, 'type', 'veth', ...peer);
    run(ip, 'address', 'add', `${load}/30`, 'dev', near);
    run(ip, 'link', 'set', near, 'up');
    run(ip, '-n', name, 'address', 'add', `${server}/30`, 'dev', far);
    run(ip, '-n', name, 'link', 'set', far, 'up');
    run(ip, '-n', name, 'link', 'set', 'lo', 'up');
    run(ethtool, '-K', near, ...off);
    run(ip, ...inside, ethtool, '-K', far, ...off);
  } catch (error) {
    remove();
    throw error;
  }
  return { prefix: [ip, ...inside], host: server, remove };
}

function need(program: string, packageName: string): string {
  const path = findProgram(program);
  if (path !== undefined) return path;
  throw new NbdError('NBDCORK_BENCH', `${program} is not installed. Install ${packageName}.`);
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return;
  const why = error === undefined ? stderr.trim() : messageOf(error);
  const message = `${command} ${args.join(' ')}: ${why}`;
  throw new NbdError(
    'NBDCORK_BENCH',
    process.getuid?.() === 0 ? message : `Network namespaces need root (${message})`,
  );
}
