/** Connected pairs of every kind that a transport can be attached to. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { connect, createServer, Socket, type NetConnectOpts, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import {
  connect as connectTls,
  createServer as createTlsServer,
  type SecureVersion,
  type TLSSocket,
} from 'node:tls';
import { generate } from 'selfsigned';
import { duplexPair } from './duplex.js';

export interface Link {
  /** The stream that a transport is attached to. */
  readonly sender: Writable;
  readonly receiver: Readable;
  /** The receiving end disconnects: by a reset if its kind has one. */
  cut(): void;
}

export interface LinkKind {
  readonly name: string;
  /** The strategies depend on it: TCP, Unix sockets, or neither. */
  readonly family: 'tcp' | 'unix' | 'other';
  /** Why it is not available here. */
  readonly skip?: string;
  /** Both ends are destroyed after the test. */
  open(t: TestContext): Promise<Link>;
}

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);
const ipv6Skip =
  hasIpv6 || process.env['NBDCORK_REQUIRE_PEERS'] === '1'
    ? {}
    : { skip: 'this machine has no IPv6 on its loopback' };

export const linkKinds: readonly LinkKind[] = [
  { name: 'TCP over IPv4', family: 'tcp', open: (t) => openTcp(t, '127.0.0.1') },
  { name: 'TCP over IPv6', family: 'tcp', open: (t) => openTcp(t, '::1'), ...ipv6Skip },
  { name: 'Unix', family: 'unix', open: openUnix },
  { name: 'socket pair', family: 'unix', open: openSocketPair },
  { name: 'pipe', family: 'other', open: openPipe },
  { name: 'TLS 1.2', family: 'other', open: (t) => openTls(t, 'TLSv1.2') },
  { name: 'TLS 1.3', family: 'other', open: (t) => openTls(t, 'TLSv1.3') },
  { name: 'duplex', family: 'other', open: openDuplex },
];

/** A TCP connection over IPv4. */
export async function openTcp(t: TestContext, host = '127.0.0.1'): Promise<SocketLink> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const link = await accept(t, server, connect({ host, port: portOf(server) }), 'connect');
  return { ...link, cut: () => link.receiver.resetAndDestroy() };
}

export interface SocketLink extends Link {
  readonly sender: Socket;
  readonly receiver: Socket;
}

export async function openUnix(t: TestContext): Promise<SocketLink> {
  const folder = temporaryFolder(t);
  const options: NetConnectOpts = { path: join(folder, 'socket') };
  const server = createServer();
  server.listen(options);
  await once(server, 'listening');
  const link = await accept(t, server, connect(options), 'connect');
  return { ...link, cut: () => link.receiver.destroy() };
}

/** Node connects the stdio of a child with pairs of Unix sockets. */
async function openSocketPair(t: TestContext): Promise<Link> {
  const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child, 'spawn');
  const { stdin: sender, stdout: receiver } = child;
  t.after(() => child.kill('SIGKILL'));
  destroyAfter(t, sender, receiver);
  return {
    sender,
    receiver,
    cut: () => {
      child.kill('SIGKILL');
      receiver.destroy();
    },
  };
}

async function openPipe(t: TestContext): Promise<Link> {
  const { readFd, writeFd } = pipeDescriptors(t);
  const receiver = new Socket({ fd: readFd, readable: true, writable: false });
  const sender = new Socket({ fd: writeFd, readable: false, writable: true });
  destroyAfter(t, sender, receiver);
  return Promise.resolve({ sender, receiver, cut: () => receiver.destroy() });
}

/** The ends of a pipe, for the caller to close. */
export function pipeDescriptors(t: TestContext): { readFd: number; writeFd: number } {
  const path = join(temporaryFolder(t), 'pipe');
  execFileSync('mkfifo', [path]);
  return {
    readFd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
    writeFd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK),
  };
}

export async function openTls(t: TestContext, version: SecureVersion): Promise<Link> {
  const { private: key, cert } = await certificate();
  const versions = { minVersion: version, maxVersion: version };
  const server = createTlsServer({ key, cert, ...versions });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  const client = connectTls({ port, ca: cert, servername: 'localhost', ...versions });
  const link = await accept(t, server, client, 'secureConnect');
  return { ...link, cut: () => link.receiver.destroy() };
}

async function openDuplex(t: TestContext): Promise<Link> {
  const [sender, receiver] = duplexPair();
  sender.resume();
  destroyAfter(t, sender, receiver);
  const reset = Object.assign(new Error('the other end is gone'), { code: 'ECONNRESET' });
  const cut = (): void => {
    receiver.destroy();
    sender.destroy(reset);
  };
  return Promise.resolve({ sender, receiver, cut });
}

/** Wait until both ends are connected. The accepted one sends, as a server's does. */
async function accept<S extends Socket | TLSSocket>(
  t: TestContext,
  server: Server,
  receiver: S,
  connected: 'connect' | 'secureConnect',
): Promise<{ sender: Socket; receiver: S }> {
  const accepted = connected === 'connect' ? 'connection' : 'secureConnection';
  const sender = new Promise<Socket>((resolve) => server.once(accepted, resolve));
  await once(receiver, connected);
  const link = { sender: await sender, receiver };
  server.close();
  link.sender.resume(); // to notice the peer's end
  destroyAfter(t, link.sender, receiver);
  return link;
}

let generated: ReturnType<typeof generate> | undefined;

function certificate(): ReturnType<typeof generate> {
  const names = [{ name: 'commonName', value: 'localhost' }];
  return (generated ??= generate(names, { keyType: 'ec', algorithm: 'sha256' }));
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was bound');
  return address.port;
}

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nbdcork-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function destroyAfter(t: TestContext, ...streams: readonly (Readable | Writable)[]): void {
  t.after(() => {
    for (const stream of streams) stream.destroy();
  });
}
