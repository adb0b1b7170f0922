/**
 * Power cuts: the server runs in a virtual machine that .ci/kernel has made, and the
 * machine is killed while clients outside write. What a reply has promised to be
 * durable is there after the next boot, and no block is torn. NBDCORK_POWER_CUTS is
 * the number of cuts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { ByteClient } from '../support/byte-client.js';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, cmdFlag } from '../support/numbers.js';
import { needs, requiredFolder } from '../support/peers.js';
import { programPath, RunningProgram } from '../support/program.js';
import { blockBytes, BlockHistory, payloadOf, type Change } from './support/block-history.js';
import { machineArguments, network } from './support/virtual-machine.js';

const cuts = Number(process.env['NBDCORK_POWER_CUTS'] ?? '2');

/** The file in the machine has the same size. */
const diskBytes = 4 * 2 ** 20;
const blockCount = diskBytes / blockBytes;
const systemBytes = 64 * 2 ** 20;
const changeBlocksMax = 8;
const inFlightMax = 8;

/** How changes become durable. */
type Way = 'FUA' | 'FLUSH on another connection';

test(`${cuts} power cuts`, async (t) => {
  if (!needs(t, 'qemu-system-x86_64')) return;
  const system = requiredFolder(t, 'NBDCORK_KERNEL', '.ci/kernel FOLDER');
  if (system === undefined) return;
  const machine = await newMachine(t, system);
  const histories = new Map(
    ['file', 'device'].map((name) => [name, new BlockHistory(blockCount)] as const),
  );
  let lost = 0;
  for (let boot = 0; boot <= cuts; boot++) {
    const { program, uri } = await machine.start(boot === 0);
    for (const [name, history] of histories) {
      const { client } = await openExport(t, uri + name);
      const { error, data } = await client.call({ type: cmd.read, length: diskBytes });
      assert.equal(error, 0);
      lost += history.check(name, data);
      client.stream.destroy();
    }
    if (boot < cuts) await writeUntilCut(t, program, uri, histories, boot);
  }
  assert.ok(lost > 0, 'a cut loses what was not durable');
  t.diagnostic(`${lost} blocks lost a change that was not durable`);
});

/** Write to all disks, and kill the machine in the midst of it. */
async function writeUntilCut(
  t: TestContext,
  program: RunningProgram,
  uri: string,
  histories: ReadonlyMap<string, BlockHistory>,
  boot: number,
): Promise<void> {
  const ended: Promise<never>[] = [];
  let enough: () => void = () => undefined;
  const acknowledged = new Promise<void>((resolve) => (enough = resolve));
  let left = 50 + below(300);
  for (const [index, [name, history]] of [...histories].entries()) {
    const way: Way = (boot + index) % 2 === 0 ? 'FUA' : 'FLUSH on another connection';
    const { client } = await openExport(t, uri + name);
    const { client: other } = await openExport(t, uri + name);
    ended.push(
      keepWriting(client, history, way, () => {
        if (--left === 0) enough();
      }),
    );
    if (way !== 'FUA') ended.push(keepFlushing(other, history));
  }
  await Promise.race([acknowledged, ...ended]);
  await program.stop('SIGKILL');
  for (const end of ended) await assert.rejects(end, /the connection closed/);
}

/** Several changes are in flight at all times, none of them of the same blocks. */
async function keepWriting(
  client: ByteClient,
  history: BlockHistory,
  way: Way,
  onAcknowledged: () => void,
): Promise<never> {
  const inFlight = new Map<bigint, Change & { fua: boolean }>();
  for (;;) {
    while (inFlight.size < inFlightMax) {
      const count = 1 + below(changeBlocksMax);
      const first = below(blockCount - count + 1);
      const overlaps = [...inFlight.values()].some(
        (one) => first < one.first + one.count && one.first < first + count,
      );
      if (overlaps) continue;
      const change = history.begin(first, count, below(4) === 0);
      const fua = way === 'FUA' && below(2) === 0;
      const common = { offset: first * blockBytes, flags: fua ? cmdFlag.fua : 0 };
      const cookie = client.request(
        change.zeros
          ? { ...common, type: cmd.writeZeroes, length: count * blockBytes }
          : { ...common, type: cmd.write, payload: payloadOf(change) },
      );
      inFlight.set(cookie, { ...change, fua });
    }
    const { cookie, error } = await client.reply();
    assert.equal(error, 0);
    const change = inFlight.get(cookie);
    assert.ok(change !== undefined);
    inFlight.delete(cookie);
    history.acknowledge(change, change.fua);
    onAcknowledged();
  }
}

async function keepFlushing(client: ByteClient, history: BlockHistory): Promise<never> {
  for (;;) {
    const flushed = history.beginFlush();
    assert.equal((await client.call({ type: cmd.flush })).error, 0);
    flushed();
  }
}

interface Machine {
  /** Boot, and wait until the server in it listens. The names of exports go behind `uri`. */
  start: (isNew: boolean) => Promise<{ program: RunningProgram; uri: string }>;
}

async function newMachine(t: TestContext, system: string): Promise<Machine> {
  const folder = await temporaryFolder(t);
  const drives: string[] = [];
  for (const [name, bytes] of [
    ['system', systemBytes],
    ['device', diskBytes],
  ] as const) {
    const image = join(folder, `${name}.img`);
    await writeFile(image, '');
    await truncate(image, bytes);
    drives.push('-drive', `file=${image},if=virtio,format=raw,cache=writethrough`);
  }
  const port = await unusedPort();
  return {
    async start(isNew) {
      const words = [
        ...[`nbd_new=${isNew ? 1 : 0}`, `nbd_bytes=${diskBytes}`],
        ...[`nbd_node=${process.execPath}`, `nbd_program=${programPath}`],
        `nbd_no_native=${process.env['NBDCORK_NO_NATIVE'] ?? ''}`,
      ];
      const args = [
        ...machineArguments(system, 'server', words),
        ...drives,
        ...['-nic', `${network},hostfwd=tcp:127.0.0.1:${port}-:10809`],
        ...[
          '-virtfs',
          'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap',
        ],
      ];
      const program = new RunningProgram(t, args, { command: ['qemu-system-x86_64'] });
      await program.stdout.match(/^nbd:.*\/device/m);
      return { program, uri: `nbd://127.0.0.1:${port}/` };
    },
  };
}

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  server.close();
  await once(server, 'close');
  return address.port;
}

function below(count: number): number {
  return Math.floor(Math.random() * count);
}
