/**
 * A server takes no more memory, descriptors or threads after many clients of all
 * kinds have come and gone. NBDCORK_LOAD_SECONDS makes them come for so long.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { addon } from '../../lib/native/load.js';
import { headerKinds, optionBytes, requestBytes, type ByteClient } from '../support/byte-client.js';
import { connectTo } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, opt } from '../support/numbers.js';
import { inMebibytes, residentBytes } from '../support/process-memory.js';
import { programPath, serve } from '../support/program.js';
import { preSharedKey, startTls } from '../support/tls.js';

const seconds = Number(process.env['NBDCORK_LOAD_SECONDS'] ?? '30');
const mebibyte = 2 ** 20;
const diskBytes = 64 * mebibyte;
const lengthMax = 2 * mebibyte;
const clientsTogether = 8;
/** The pools of buffers give their memory back after a second. */
const restMs = 4000;
/** What the collector of JavaScript leaves varies by less. */
const growthMax = 16 * mebibyte;

const key = Buffer.alloc(32, 7);
const payload = Buffer.alloc(lengthMax, 0x5a);

function below(count: number): number {
  return Math.floor(Math.random() * count);
}

function oneOf<T>(values: readonly [T, ...T[]]): T {
  return values[below(values.length)] ?? values[0];
}

/** Small ones are as frequent as large ones. */
function randomLength(): number {
  return Math.max(1, Math.floor(lengthMax / 4 ** below(9)) - below(100));
}

function requestOne(client: ByteClient): void {
  const length = randomLength();
  const offset = below(diskBytes - length);
  const type = oneOf([
    ...([cmd.read, cmd.read, cmd.read, cmd.write, cmd.write, cmd.write] as const),
    ...([cmd.flush, cmd.trim, cmd.writeZeroes, cmd.cache, 99] as const),
  ]);
  if (type === cmd.write) client.request({ type, offset, payload: payload.subarray(0, length) });
  else if (type === cmd.flush) client.request({ type });
  else client.request({ type, offset, length });
}

/** How clients leave. */
const endings: readonly [(client: ByteClient) => void, ...((client: ByteClient) => void)[]] = [
  ({ stream, headers }) => stream.end(requestBytes(headers, { type: cmd.disc })),
  ({ stream }) => stream.end(),
  // With replies that nobody reads.
  (client) => {
    client.stream.pause();
    for (let count = 0; count < 8; count++) client.request({ type: cmd.read, length: lengthMax });
    client.stream.destroy();
  },
  // In the middle of a payload.
  (client) => {
    client.send(requestBytes(client.headers, { type: cmd.write, length: lengthMax }));
    client.stream.write(payload.subarray(0, below(lengthMax)), () => client.stream.destroy());
  },
  // With something that is no request.
  ({ stream }) => stream.end(Buffer.alloc(64, 0xff)),
];

/** One connection, from beginning to end. */
async function visit(t: TestContext, uri: string): Promise<void> {
  const raw = await connectTo(t, uri);
  const { closed } = raw;
  await raw.greet();
  const kind = below(10);
  if (kind === 0) {
    raw.stream.end(optionBytes(opt.list));
    await closed;
    return;
  }
  const client = kind < 4 ? await startTls(raw, preSharedKey('alice', key, 'TLSv1.3')) : raw;
  const name = oneOf(['file', 'memory']);
  await client.negotiate(oneOf([headerKinds[0], headerKinds[1], headerKinds[2]]), name);
  for (let batch = below(20); batch > 0; batch--) {
    const requests = 1 + below(16);
    for (let count = 0; count < requests; count++) requestOne(client);
    for (let count = 0; count < requests; count++) await client.reply();
  }
  oneOf(endings)(client);
  client.stream.resume();
  await client.closed;
  raw.stream.destroy();
  await closed;
}

async function loadFor(t: TestContext, uri: string, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let visits = 0;
  await Promise.all(
    Array.from({ length: clientsTogether }, async () => {
      for (; performance.now() < end; visits++) await visit(t, uri);
    }),
  );
  return visits;
}

interface Resources {
  readonly bytes: number;
  readonly files: number;
  readonly threads: number;
}

async function resourcesOf(pid: number): Promise<Resources> {
  await setTimeout(restMs);
  return {
    bytes: await residentBytes(pid),
    files: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
  };
}

test(
  'clients that come and go leave nothing behind',
  // Without it, idle buffers are left to the garbage collector.
  { skip: addon === undefined && 'needs the addon' },
  async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, 'disk.img');
    await writeFile(path, '');
    await truncate(path, diskBytes);
    const keys = join(folder, 'keys.psk');
    await writeFile(keys, `alice:${key.toString('hex')}\n`, { mode: 0o600 });
    const { server, uri } = await serve(
      t,
      [
        ...['--unix', join(folder, 'socket'), '--tls-psk', keys, '--memory-max', '64M'],
        ...['--log-level', 'error', `file=${path}`, `memory=memory:${diskBytes}`],
      ],
      // What the collector leaves of young objects would hide a leak.
      { command: [process.execPath, '--max-semi-space-size=1', programPath] },
    );
    await loadFor(t, uri, (seconds * 1000) / 3);
    const before = await resourcesOf(server.pid);
    const visits = await loadFor(t, uri, (seconds * 2000) / 3);
    const after = await resourcesOf(server.pid);
    t.diagnostic(
      `${visits} clients, from ${inMebibytes(before.bytes)} to ${inMebibytes(after.bytes)}`,
    );
    assert.ok(visits > seconds, `${visits} clients`);
    assert.ok(after.bytes < before.bytes + growthMax, inMebibytes(after.bytes - before.bytes));
    assert.deepEqual([after.files, after.threads], [before.files, before.threads]);
    assert.equal(server.stderr.text, '');
  },
);
