/** The load against our server: it asks what it should, and counts what it gets. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { startOurs } from '../candidates/ours.js';
import { diskBytes, exportName } from '../disk.js';
import type { LoadPlan, LoadResult } from '../load/messages.js';
import { kinds, type HeaderKind, type Link } from '../results.js';
import { headerKinds, workload } from '../workloads.js';
import { createServer, MemoryBackend, type Backend } from '../../lib/index.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { makeEnvironment, startLoad, takeSample } from './support/environment.js';

const timing = { seconds: 0.05, warmUpSeconds: 0.01 };

describe('a sample counts the requests of the load as the server does', () => {
  for (const kind of kinds) {
    for (const headers of headerKinds) {
      if (kind === 'extents' && headers === 'simple') continue;
      test(`${kind}, ${headers}`, async (t) => {
        await takeAndCheck(await makeEnvironment(t), 'unix', kind, 16, 2, headers);
      });
    }
  }

  for (const link of ['tcp', 'unix-tls', 'tcp-tls', 'pipe'] as const) {
    test(`over ${link}`, async (t) => {
      const environment = await makeEnvironment(t);
      await takeAndCheck(environment, link, 'mixed-4k', 16, link === 'pipe' ? 1 : 2, 'structured');
    });
  }
});

async function takeAndCheck(
  environment: Awaited<ReturnType<typeof makeEnvironment>>,
  link: Link,
  kind: (typeof kinds)[number],
  depth: number,
  connections: number,
  headers: HeaderKind,
): Promise<void> {
  const asked = workload(link, kind, depth, connections, headers);
  const replies: number[] = [];
  const { sample, histogram } = await takeSample(
    async (setting) => {
      const running = await startOurs({ strategy: 'stream' }, asked, setting);
      const count = async () => {
        const counts = await running.count?.();
        assert.ok(counts !== undefined);
        replies.push(counts.replies);
        return counts;
      };
      return { ...running, count };
    },
    asked,
    timing,
    environment,
  );
  const [idle, before, after] = replies;
  assert.ok(histogram !== undefined && before !== undefined && after !== undefined);
  assert.equal(idle, before);
  assert.equal(after - before, histogram.totalCount);
  assert.ok(histogram.totalCount >= depth * connections);
  assert.ok(sample.requestsPerSecond > 0);
  assert.ok((sample.serverMicrosecondsPerRequest ?? 0) > 0);
  assert.ok((sample.clientMicrosecondsPerRequest ?? 0) > 0);
}

/** A disk that notes what it is asked, and answers in the next turn. */
class NotingDisk implements Backend {
  readonly size = diskBytes;
  readonly multiConn = true;
  readonly reads: [number, number][] = [];
  readonly writes: [number, number][] = [];
  filled = 0;
  inProgressMax = 0;
  private readonly memory = new MemoryBackend(diskBytes);
  private inProgress = 0;

  async read(offset: number, length: number) {
    this.reads.push([offset, length]);
    await this.turn();
    return this.memory.read(offset, length);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    const copy = Uint8Array.from(data);
    if (this.filled < diskBytes) this.filled += data.length;
    else this.writes.push([offset, data.length]);
    await this.turn();
    this.memory.write(offset, copy);
  }

  private async turn(): Promise<void> {
    this.inProgressMax = Math.max(this.inProgressMax, ++this.inProgress);
    await setImmediate();
    this.inProgress--;
  }
}

async function ask(
  t: TestContext,
  plan: Omit<LoadPlan, 'place'>,
  disk: NotingDisk,
): Promise<LoadResult & { readonly latencies: string }> {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const server = createServer({ exports: { [exportName]: disk } });
  await server.listen({ path });
  t.after(() => server.close());
  const load = startLoad(t);
  await load.request({ type: 'open', plan: { ...plan, place: { type: 'unix', path } } });
  const result = await load.request({ type: 'run', seconds: 0.05 });
  const latencies = await load.request({ type: 'latencies' });
  await load.request({ type: 'close' });
  return { ...result, latencies };
}

describe('the load', () => {
  test('fills the whole disk, then reads all over it, 4 KiB at multiples of 4 KiB', async (t) => {
    const disk = new NotingDisk();
    const plan = { kind: 'read-4k', connections: 1, depth: 8, headers: 'simple' } as const;
    const { requests, seconds, timed, latencies } = await ask(t, plan, disk);
    assert.equal(disk.filled, diskBytes);
    assert.equal(disk.reads.length, requests);
    assert.equal(disk.writes.length, 0);
    assert.equal(disk.inProgressMax, 8);
    assert.ok(seconds >= 0.05);
    // The last ones of a depth of 8 come when the time is over.
    assert.ok(timed.requests > requests - 8 && timed.requests <= requests, 'all but the last');
    assert.ok(timed.seconds >= 0.05 && timed.seconds <= seconds);
    for (const [offset, length] of disk.reads) {
      assert.ok(length === 4096 && offset % 4096 === 0 && offset + length <= diskBytes);
    }
    // Of 8000 places those of so few requests are nearly all different.
    const places = new Set(disk.reads.map(([offset]) => offset));
    assert.ok(places.size > Math.min(requests, 1000) / 2);
    const histogram = decodeFromCompressedBase64(latencies);
    assert.equal(histogram.totalCount, requests);
    assert.ok(histogram.minNonZeroValue > 1000 && histogram.maxValue < seconds * 2e9);
  });

  test('writes half of the time', async (t) => {
    const disk = new NotingDisk();
    const plan = { kind: 'mixed-4k', connections: 2, depth: 32, headers: 'extended' } as const;
    const { requests } = await ask(t, plan, disk);
    assert.equal(disk.reads.length + disk.writes.length, requests);
    assert.equal(disk.inProgressMax, 64);
    const share = disk.writes.length / requests;
    assert.ok(share > 0.3 && share < 0.7, `${disk.writes.length} of ${requests}`);
    assert.ok(disk.writes.every(([offset, length]) => length === 4096 && offset % 4096 === 0));
  });

  test('counts the time in which a server stalls, though the turn is over', async (t) => {
    const disk = new NotingDisk();
    const stalling = Object.assign(disk, {
      read: async (...args: Parameters<NotingDisk['read']>) => {
        if (disk.reads.length === 1) await setTimeout(200);
        return NotingDisk.prototype.read.apply(disk, args);
      },
    });
    const plan = { kind: 'read-4k', connections: 1, depth: 1, headers: 'simple' } as const;
    const { requests, timed } = await ask(t, plan, stalling);
    assert.deepEqual([requests, timed.requests], [2, 2]);
    assert.ok(timed.seconds >= 0.19, String(timed.seconds));
  });

  test('has a speed for each connection, whenever each ends', async (t) => {
    const disk = new NotingDisk();
    // The first of them to be asked waits; the others go on.
    let asked = 0;
    const stalling = Object.assign(disk, {
      read: async (...args: Parameters<NotingDisk['read']>) => {
        if (asked++ === 0) await setTimeout(500);
        return NotingDisk.prototype.read.apply(disk, args);
      },
    });
    const plan = { kind: 'read-4k', connections: 2, depth: 1, headers: 'simple' } as const;
    const { requests, seconds, timed } = await ask(t, plan, stalling);
    assert.equal(timed.requests, requests);
    assert.ok(seconds >= 0.49 && timed.seconds < 0.25, `${seconds} ${timed.seconds}`);
  });

  test('says so where a request fails', async (t) => {
    const disk = new NotingDisk();
    const failing = Object.assign(disk, {
      read: () => Promise.reject(Object.assign(new Error('broken'), { code: 'EIO' })),
    });
    const plan = { kind: 'read-4k', connections: 1, depth: 2, headers: 'simple' } as const;
    await assert.rejects(ask(t, plan, failing), { code: 'NBDCORK_BENCH', message: /error 5/ });
  });

  test('fails for an unknown export', async (t) => {
    const path = join(await temporaryFolder(t), 'nbd.sock');
    const server = createServer({ exports: { other: new NotingDisk() } });
    await server.listen({ path });
    t.after(() => server.close());
    const plan = { kind: 'read-4k', connections: 1, depth: 1, headers: 'simple' } as const;
    const place = { type: 'unix', path } as const;
    await assert.rejects(startLoad(t).request({ type: 'open', plan: { ...plan, place } }), {
      code: 'NBDCORK_BENCH',
      message: /refuses option 7/,
    });
  });
});
