/** The servers that are compared, and how each is started with a disk on a Unix socket. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { programPath, withThreads } from '../support/program.js';
import { createAuthority, issueCertificate, type Certificate } from '../support/tls.js';
import { Client, exportName } from './client.js';
import { makeDisk, type DiskKind } from './disks.js';

/** What a server is started with. */
interface ServerSetup {
  readonly disk: string;
  readonly socket: string;
  /** For its other files. */
  readonly folder: string;
  readonly readOnly: boolean;
  readonly resizable: boolean;
  /** The certificates are in the folder. */
  readonly tls: 'on' | 'require' | undefined;
}

interface ServerKind {
  readonly name: string;
  readonly version: readonly [string, ...string[]];
  /** `host` is the path of the folder in this process: the server may run in another root. */
  readonly command: (setup: ServerSetup, host: string) => readonly [string, ...string[]];
  /** File to which a server that becomes a daemon writes its process ID. */
  readonly pidFile?: string;
}

const tlsOf: Readonly<Partial<Record<DiskKind, ServerSetup['tls']>>> = {
  tls: 'require',
  optionalTls: 'on',
};

const program = [process.execPath, programPath] as const;

const nbdcork: ServerKind = {
  name: 'nbdcork',
  version: [...program, '--version'],
  command: ({ disk, socket, folder, readOnly, resizable, tls }) => [
    ...program,
    ...withThreads([
      'serve',
      ...(readOnly ? ['--read-only'] : []),
      ...(resizable ? ['--resizable'] : []),
      ...(tls === undefined ? [] : ['--tls', tls, '--tls-certificates', folder]),
      ...['--log-level', 'silent', '--unix', socket, `${exportName}=${disk}`],
    ]),
  ],
};

/** The filter makes nbdkit check export names. */
const nbdkit: ServerKind = {
  name: 'nbdkit',
  version: ['nbdkit', '--version'],
  command: ({ disk, socket, folder, readOnly, tls }) => [
    'nbdkit',
    ...['--foreground', ...(readOnly ? ['--readonly'] : []), '--unix', socket],
    ...(tls === undefined ? [] : [`--tls=${tls}`, `--tls-certificates=${folder}`]),
    ...['--filter=exportname', 'file', disk],
    ...[`exportname=${exportName}`, `default-export=${exportName}`, 'exportname-strict=true'],
    'exportname-list=explicit',
  ],
};

const qemuNbd: ServerKind = {
  name: 'qemu-nbd',
  version: ['qemu-nbd', '--version'],
  command: ({ disk, socket, folder, readOnly, tls }) => [
    'qemu-nbd',
    ...['--persistent', '--shared=0', '--format=raw', '--discard=unmap'],
    ...(tls === undefined
      ? []
      : [
          '--object',
          `tls-creds-x509,id=tls,endpoint=server,verify-peer=off,dir=${folder}`,
          '--tls-creds=tls',
        ]),
    ...[
      ...(readOnly ? ['--read-only'] : []),
      '--export-name',
      exportName,
      '--socket',
      socket,
      disk,
    ],
  ],
};

const nbdServer: ServerKind = {
  name: 'nbd-server',
  version: ['nbd-server', '-V'],
  pidFile: 'pid',
  command: ({ disk, socket, folder, readOnly, tls }, host) => {
    const settings = {
      generic: {
        ...{ unixsock: socket, allowlist: true },
        ...(tls !== undefined && {
          force_tls: tls === 'require',
          certfile: join(folder, 'server-cert.pem'),
          keyfile: join(folder, 'server-key.pem'),
          cacertfile: join(folder, 'ca-cert.pem'),
        }),
      },
      [exportName]: { exportname: disk, flush: true, fua: true, trim: true, readonly: readOnly },
    };
    const lines = Object.entries(settings).flatMap(([section, values]) => [
      `[${section}]`,
      ...Object.entries(values).map(([key, value]) => `${key} = ${value.toString()}`),
    ]);
    writeFileSync(join(host, 'config'), `${lines.join('\n')}\n`);
    return ['nbd-server', '-C', join(folder, 'config'), '-p', join(folder, 'pid')];
  },
};

const peers = [nbdkit, qemuNbd, nbdServer];

const daemonStartMs = 10_000;

/** A server in one version, with the root folder of its program. */
export class Subject {
  readonly name: string;
  private readonly kind: ServerKind;
  private readonly root: string;
  private readonly started = new Map<DiskKind, StartedServer>();

  private constructor(kind: ServerKind, root: string, version: string) {
    this.kind = kind;
    this.root = root;
    this.name = `${kind.name} ${version}`;
  }

  /** nbdcork, and the other servers that are installed. */
  static all(): Subject[] {
    const roots = ['/', ...(process.env['NBDCORK_TRIXIE'] ?? '').split(':')].filter(Boolean);
    const found = [
      Subject.find(nbdcork, '/'),
      ...roots.flatMap((root) => peers.map((kind) => Subject.find(kind, root))),
    ];
    return found.filter((subject) => subject !== undefined);
  }

  static nbdcork(): Subject {
    const found = Subject.find(nbdcork, '/');
    assert.ok(found !== undefined, 'nbdcork has no version');
    return found;
  }

  private static find(kind: ServerKind, root: string): Subject | undefined {
    const [command, ...args] = inRoot(root, kind.version);
    const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' });
    const version = /\d+\.\d+(\.\d+)?/.exec(`${stdout}${stderr}`)?.[0];
    return status === 0 && version !== undefined ? new Subject(kind, root, version) : undefined;
  }

  /** Connect another client to the server with this disk. Starts it unless it runs. */
  async connect(disk: DiskKind): Promise<Client> {
    let server = this.started.get(disk);
    if (server?.isAlive() !== true) {
      server?.stop();
      server = await StartedServer.start(this.kind, this.root, disk);
      this.started.set(disk, server);
    }
    return Client.connect(server.socket, server.clientCertificate);
  }

  /** Whether the server with this disk has exited. */
  hasEnded(disk: DiskKind): boolean {
    return this.started.get(disk)?.isAlive() === false;
  }

  stop(): void {
    for (const server of this.started.values()) server.stop();
    this.started.clear();
  }
}

function inRoot(root: string, command: readonly [string, ...string[]]): [string, ...string[]] {
  return root === '/' ? [...command] : ['chroot', root, ...command];
}

/** The file names that all four servers expect or are configured with. */
async function makeCertificates(folder: string): Promise<Certificate> {
  const by = await createAuthority();
  const { key, cert } = await issueCertificate(by, 'localhost');
  writeFileSync(join(folder, 'ca-cert.pem'), by.cert);
  writeFileSync(join(folder, 'server-cert.pem'), cert);
  writeFileSync(join(folder, 'server-key.pem'), key);
  return { key, cert };
}

/** The process in a daemon's file, once it is written whole: process 0 would be our own group. */
async function readPid(path: string): Promise<number> {
  const deadline = performance.now() + daemonStartMs;
  while (performance.now() < deadline) {
    const text = existsSync(path) ? readFileSync(path, 'latin1') : '';
    if (text.endsWith('\n')) return Number(text);
    await delay(20);
  }
  throw new Error(`it wrote no process ID to ${path}`);
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

class StartedServer {
  readonly socket: string;
  /** Also for clients: nbd-server refuses those without one. */
  readonly clientCertificate: Certificate | undefined;
  private readonly folder: string;
  private readonly child: ChildProcess;
  /** Process ID of the server, where it is not the child. */
  private pid: number | undefined;

  private constructor(folder: string, child: ChildProcess, shown: Certificate | undefined) {
    this.clientCertificate = shown;
    this.folder = folder;
    this.child = child;
    this.socket = join(folder, 'socket');
  }

  static async start(kind: ServerKind, root: string, disk: DiskKind): Promise<StartedServer> {
    const temporary = root === '/' ? tmpdir() : join(root, 'tmp');
    const host = mkdtempSync(join(temporary, 'nbdcork-c-'));
    await makeDisk(join(host, 'disk'), disk);
    const shown = tlsOf[disk] && (await makeCertificates(host));
    const folder = root === '/' ? host : join('/tmp', host.slice(temporary.length));
    const setup = {
      folder,
      disk: join(folder, 'disk'),
      socket: join(folder, 'socket'),
      readOnly: disk === 'readOnly',
      resizable: disk === 'resizable',
      tls: tlsOf[disk],
    };
    const [command, ...args] = inRoot(root, kind.command(setup, host));
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const server = new StartedServer(host, child, shown);
    try {
      if (kind.pidFile !== undefined) {
        await once(child, 'exit');
        server.pid = await readPid(join(host, kind.pidFile));
      }
      await server.answers();
    } catch (cause) {
      server.stop();
      throw new Error(`${kind.name} does not start: ${errors}`, { cause });
    }
    return server;
  }

  isAlive(): boolean {
    if (this.pid === undefined) return !hasEnded(this.child);
    try {
      return process.kill(this.pid, 0);
    } catch {
      return false; // ESRCH: there is no such process
    }
  }

  /** The other servers do not report when they listen. */
  private async answers(): Promise<void> {
    for (;;) {
      try {
        (await Client.connect(this.socket)).disconnect();
        return;
      } catch (error) {
        if (!this.isAlive()) throw error;
        await delay(20);
      }
    }
  }

  /** SIGKILL: their disks are discarded, and some do not stop while they have clients. */
  stop(): void {
    if (this.pid === undefined) this.child.kill('SIGKILL');
    else if (this.isAlive()) process.kill(this.pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
