/** A disk that is slow or hangs holds up its own requests, and those of no other disk. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { openFile } from '../../lib/index.js';
import { addon } from '../../lib/native/load.js';
import { canMakeFaultyFiles, hangingFile, slowFile } from '../support/faulty-file.js';
import { makeFile } from '../backend/support/disks.js';
import { pattern } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { startServer } from '../support/server.js';

/** Without the addon all disks share the threads of libuv. */
const usesAddon = { skip: addon === undefined && 'needs the addon' };

describe('a disk beside', usesAddon, () => {
  test('64 slow writes is flushed before the first of them ends', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const slow = await openFile(await slowFile(t, 'delay-write=50ms'));
    const fast = await openFile(await makeFile(t, 2 ** 20));
    const { server, open } = await startServer(t, { exports: { slow, fast } });
    const [writer, client] = [await open('simple', 'slow'), await open('simple', 'fast')];
    for (let count = 0; count < 64; count++) {
      writer.request({ type: cmd.write, offset: count * 4096, payload: pattern(4096) });
    }
    let written = 0;
    const firstWritten = writer.reply().then(({ error }) => {
      assert.equal(error, 0);
      written++;
    });
    const startedMs = performance.now();
    for (let count = 0; count < 4; count++) {
      const payload = pattern(4096, count);
      assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
      assert.equal((await client.call({ type: cmd.flush })).error, 0);
      if (count === 0) t.diagnostic(`flushed after ${performance.now() - startedMs} ms`);
    }
    assert.equal(written, 0);
    await firstWritten;
    for (let count = 1; count < 64; count++) assert.equal((await writer.reply()).error, 0);
    // Before the slow file is gone.
    await server.close();
  });

  test('one that hangs goes on, as do all others', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const { path, hang } = await hangingFile(t);
    const hanging = await openFile(path);
    const others = await Promise.all(
      [0, 1, 2].map(async () => openFile(await makeFile(t, 2 ** 20))),
    );
    const exports = {
      hanging,
      0: others[0] ?? hanging,
      1: others[1] ?? hanging,
      2: others[2] ?? hanging,
    };
    const { open } = await startServer(t, { exports, limits: { shutdownTimeoutMs: 500 } }, 'Unix', {
      expectCloseError: 'NBDCORK_DATA_LOST',
    });
    const stuck = await open('simple', 'hanging');
    const clients = await Promise.all([0, 1, 2].map((name) => open('simple', String(name))));
    await hang();
    for (let count = 0; count < 16; count++) {
      stuck.request({ type: cmd.write, offset: count * 4096, payload: pattern(4096) });
    }
    for (let round = 0; round < 8; round++) {
      for (const client of clients) {
        const payload = pattern(65_536, round);
        assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
        assert.equal((await client.call({ type: cmd.flush })).error, 0);
        const read = await client.call({ type: cmd.read, length: 65_536 });
        assert.ok(read.data.equals(payload));
      }
    }
    assert.equal(stuck.receivedBytes, 0);
  });

  test('one that hangs goes on, where replies from the cache of that wait for their client', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const { path, hang } = await hangingFile(t);
    const hanging = await openFile(path);
    const other = await openFile(await makeFile(t, 2 ** 20));
    const closesLate = { expectCloseError: 'NBDCORK_DATA_LOST' } as const;
    const limits = { shutdownTimeoutMs: 500 };
    const { open } = await startServer(
      t,
      { exports: { hanging, other }, limits },
      'Unix',
      closesLate,
    );
    const reader = await open('simple', 'hanging');
    const writer = await open('simple', 'hanging');
    const client = await open('simple', 'other');
    const length = 2 ** 20;
    const offsets = Array.from({ length: 16 }, (_, index) => index * length);
    for (const offset of offsets) await reader.call({ type: cmd.read, offset, length });
    reader.stream.pause();
    for (const offset of offsets) reader.request({ type: cmd.read, offset, length });
    await client.call({ type: cmd.read, length: 4096 });
    dropFromCache(path);
    // The file system has to be asked for what a write changes, such as the time.
    const last = { type: cmd.write, offset: 63 * length, payload: pattern(4096) };
    assert.equal((await writer.call(last)).error, 0);
    await hang();
    reader.stream.resume();
    // Until what the kernel had is read, and the server sends what follows.
    for (let before = -1; before < reader.receivedBytes;) {
      before = reader.receivedBytes;
      for (let round = 0; round < 16; round++) {
        const payload = pattern(65_536, round);
        assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
        const read = await client.call({ type: cmd.read, length: 65_536 });
        assert.ok(read.data.equals(payload));
      }
    }
    assert.ok(reader.receivedBytes < offsets.length * length);
  });
});

/** GNU dd drops the cache of a whole file of which it copies nothing. */
function dropFromCache(path: string): void {
  execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
}
