/** Other NBD servers. Each serves the same disk, from memory or from a cached file. */
import { once } from 'node:events';
import { truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { NbdError } from '../../lib/errors.js';
import { diskBytes, exportName } from '../disk.js';
import type { Place } from '../place.js';
import type { Link, Workload } from '../results.js';
import { makePipes } from './pipes.js';
import { startDaemon, startProgram } from './programs.js';
import type { RunningServer, ServerSetting } from './running-server.js';

/** The command line of a server, without the program. */
type Arguments = (place: Place, setting: ServerSetting) => string[];

interface Peer {
  readonly links: readonly Link[];
  readonly args: Arguments;
  /** Name of its PID file, if it can only run in the background. */
  readonly pidFile?: string;
}

const sockets = ['unix', 'unix-tls', 'tcp', 'tcp-tls', 'veth'] as const;

const nbdServerPidFile = 'nbd-server.pid';

const peers: Readonly<Record<string, Peer>> = {
  nbdkit: { links: [...sockets, 'pipe'], args: nbdkitArguments },
  'qemu-nbd': { links: sockets, args: qemuArguments },
  // In the foreground it serves a single client, unless it is of version 3.26.
  'nbd-server': {
    links: ['unix', 'tcp', 'veth'],
    args: nbdServerArguments,
    pidFile: nbdServerPidFile,
  },
  limit: { links: ['unix', 'tcp'], args: limitArguments },
};

/** Why a server cannot serve a workload; undefined if it can, as far as known without trying. */
export function whyNot(name: string, { link, kind, headers }: Workload): string | undefined {
  if (peers[name]?.links.includes(link) !== true) {
    if (link === 'pipe') return 'it cannot serve pipes';
    if (link === 'veth') return 'its listen address cannot be chosen';
    return name === 'limit' ? 'it has no TLS' : 'its TLS needs certificates, not a pre-shared key';
  }
  if (name !== 'limit' || (kind !== 'extents' && headers === 'simple')) return undefined;
  return 'it only supports reads and writes with simple replies';
}

export async function startPeer(
  name: string,
  path: string,
  { link }: Workload,
  setting: ServerSetting,
): Promise<RunningServer> {
  const peer = peers[name];
  if (peer === undefined) throw new NbdError('NBDCORK_BENCH', `Unknown server ${name}.`);
  const pipes = link === 'pipe' ? makePipes(setting.folder) : undefined;
  try {
    const place = pipes?.place ?? (await placeFor(link, setting));
    const args = peer.args(place, setting);
    const command = [...setting.prefix, path, ...args];
    const { stop, ...program } =
      peer.pidFile === undefined
        ? await startProgram(command, pipes && [pipes.input, pipes.output])
        : await startDaemon(command, join(setting.folder, peer.pidFile));
    return {
      ...program,
      place,
      stop: async () => {
        await stop();
        pipes?.close();
      },
    };
  } catch (error) {
    pipes?.close();
    throw error;
  }
}

const farPorts = { first: 20_000, count: 10_000 };
let farPortsTaken = 0;

function nextFarPort(): number {
  return farPorts.first + (farPortsTaken++ % farPorts.count);
}

async function placeFor(link: Link, { folder, host, prefix }: ServerSetting): Promise<Place> {
  if (link === 'unix' || link === 'unix-tls')
    return { type: 'unix', path: join(folder, 'nbd.sock') };
  // In the other namespace, nbdcork takes ports above these, and nothing else listens.
  if (prefix.length > 0) return { type: 'tcp', host, port: nextFarPort() };
  const finder = createServer().listen(0, '127.0.0.1');
  await once(finder, 'listening');
  const address = finder.address();
  finder.close();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { type: 'tcp', host, port };
}

function nbdkitArguments(place: Place, { preSharedKey, keyFolder }: ServerSetting): string[] {
  const keys = `--tls-psk=${join(keyFolder, 'keys.psk')}`;
  const tls = preSharedKey === undefined ? [] : ['--tls=require', keys];
  return [...where(), ...tls, 'memory', String(diskBytes)];

  function where(): string[] {
    if (place.type === 'pipes') return ['-s'];
    if (place.type === 'unix') return ['-f', '-U', place.path];
    return ['-f', '-i', place.host, '-p', String(place.port)];
  }
}

function qemuArguments(place: Place, { folder, preSharedKey, keyFolder }: ServerSetting): string[] {
  const keys = `tls-creds-psk,id=keys,endpoint=server,dir=${keyFolder}`;
  const tls = preSharedKey === undefined ? [] : ['--object', keys, '--tls-creds', 'keys'];
  const usual = ['-t', '-e', '64', '-f', 'raw', '--cache', 'writeback', '-x', exportName];
  return [...usual, ...where(), ...tls, diskFile(folder)];

  function where(): string[] {
    if (place.type === 'unix') return ['-k', place.path];
    return place.type === 'tcp' ? ['-b', place.host, '-p', String(place.port)] : [];
  }
}

function nbdServerArguments(place: Place, { folder }: ServerSetting): string[] {
  const path = join(folder, 'nbd-server.conf');
  const disk = [`[${exportName}]`, `exportname = ${diskFile(folder)}`, ''];
  writeFileSync(path, ['[generic]', ...where(), ...disk].join('\n'));
  return ['-p', join(folder, nbdServerPidFile), '-C', path];

  function where(): string[] {
    if (place.type === 'unix') return [`unixsock = ${place.path}`];
    return place.type === 'tcp' ? [`listenaddr = ${place.host}`, `port = ${place.port}`] : [];
  }
}

function limitArguments(place: Place): string[] {
  if (place.type === 'unix') return [`unix:${place.path}`];
  return place.type === 'tcp' ? [`tcp:${place.port}`] : [];
}

function diskFile(folder: string): string {
  const path = join(folder, 'disk.img');
  writeFileSync(path, '');
  truncateSync(path, diskBytes);
  return path;
}
