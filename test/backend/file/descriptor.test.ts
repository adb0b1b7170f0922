/** System calls that come short or fail, and syncs for many callers: with node:fs replaced. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { describe, test, type TestContext } from 'node:test';
import { DataSync } from '../../../lib/backend/file/data-sync.js';
import { readFully, writeFully } from '../../../lib/backend/file/descriptor.js';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import { NbdError } from '../../../lib/errors.js';
import { assertSame, joined, pattern, requireWritable } from '../support/bytes.js';
import { makeFile } from '../support/disks.js';

type Callback = (error: Error | null) => void;
type CountCallback = (error: Error | null, count: number, buffer: Uint8Array) => void;
type Transfer = (
  fd: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  position: number,
  callback: CountCallback,
) => void;

/** Puts `replacement` in the place of fs[name] until the test ends. */
function replace(
  t: TestContext,
  name: 'close' | 'fdatasync' | 'read' | 'write',
  replacement: unknown,
): void {
  const original: unknown = Reflect.get(fs, name);
  Reflect.set(fs, name, replacement);
  syncBuiltinESMExports();
  t.after(() => {
    Reflect.set(fs, name, original);
    syncBuiltinESMExports();
  });
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

/** Holds every fdatasync until it is told how it ended. */
function holdSyncs(t: TestContext): Callback[] {
  const held: Callback[] = [];
  replace(t, 'fdatasync', (_fd: number, callback: Callback) => held.push(callback));
  return held;
}

function endOne(held: Callback[], error: Error | null = null): void {
  const callback = held.shift();
  assert.ok(callback, 'no fdatasync runs');
  callback(error);
}

describe('transfers that come short are gone on with', () => {
  for (const name of ['read', 'write'] as const) {
    test(name, async (t) => {
      const path = await makeFile(t, 1000);
      const content = pattern(1000, 1);
      fs.writeFileSync(path, name === 'read' ? content : Buffer.alloc(1000));
      const fd = fs.openSync(path, 'r+');
      t.after(() => fs.closeSync(fd));
      const lengths: number[] = [];
      const real: Transfer = name === 'read' ? fs.read : fs.write;
      const short: Transfer = (fd, bytes, at, length, position, callback) => {
        lengths.push(length);
        real(fd, bytes, at, Math.ceil(length / 2), position, callback);
      };
      replace(t, name, short);
      if (name === 'read') {
        const bytes = Buffer.alloc(700);
        await readFully(fd, bytes, 100);
        assertSame(bytes, content.subarray(100, 800));
        await readFully(fd, bytes.fill(0), 100, 300);
        assertSame(bytes, Buffer.concat([Buffer.alloc(300), content.subarray(400, 800)]));
      } else {
        await writeFully(fd, content.subarray(100, 800), 100);
        const expected = Buffer.alloc(1000);
        content.copy(expected, 100, 100, 800);
        assertSame(fs.readFileSync(path), expected);
      }
      assert.deepEqual(lengths.slice(0, 4), [700, 350, 175, 87]);
    });
  }
});

describe('an error of the system fails the request', () => {
  for (const code of ['EIO', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS']) {
    test(`${code} on writing, with its code, without the path`, async (t) => {
      const path = await makeFile(t, 1000);
      const disk = requireWritable(await openFile(path));
      const cause = systemError(code);
      t.after(() => disk.close?.());
      replace(t, 'write', (...args: Parameters<Transfer>) => {
        const [, bytes, , , , callback] = args;
        callback(cause, 0, bytes);
      });
      await assert.rejects(
        async () => disk.write(0, Uint8Array.of(1), { fua: true }),
        (error) => {
          assert.ok(error instanceof NbdError && !error.message.includes(path));
          assert.equal(error.code, code);
          return error.cause === cause;
        },
      );
    });
  }

  test('a write that takes nothing does not go on for ever', async (t) => {
    const disk = requireWritable(await openFile(await makeFile(t, 1000)));
    t.after(() => disk.close?.());
    replace(t, 'write', (...args: Parameters<Transfer>) => {
      const [, bytes, , , , callback] = args;
      callback(null, 0, bytes);
    });
    await assert.rejects(async () => disk.write(0, Uint8Array.of(1), { fua: false }), {
      name: 'NbdError',
      code: 'EIO',
    });
  });
});

describe('syncs', () => {
  test('one that comes during another waits for a new one, together with others', async (t) => {
    const held = holdSyncs(t);
    const dataSync = new DataSync(1);
    const ended: string[] = [];
    const sync = (name: string): Promise<unknown> => dataSync.sync().then(() => ended.push(name));
    const first = sync('first');
    assert.equal(held.length, 1);
    const others = [sync('second'), sync('third')];
    assert.equal(held.length, 1);
    endOne(held);
    await first;
    assert.deepEqual(ended, ['first']);
    assert.equal(held.length, 1, 'the others share one new sync');
    const fourth = sync('fourth');
    endOne(held);
    await Promise.all(others);
    assert.deepEqual(ended, ['first', 'second', 'third']);
    endOne(held);
    await fourth;
    assert.equal(held.length, 0);
  });

  test('one that fails fails those that wait and all later ones', async (t) => {
    const held = holdSyncs(t);
    const dataSync = new DataSync(1);
    const failure = { name: 'NbdError', code: 'EIO' };
    const first = assert.rejects(dataSync.sync(), failure);
    const second = assert.rejects(dataSync.sync(), failure);
    endOne(held, systemError('EIO'));
    await Promise.all([first, second]);
    await assert.rejects(dataSync.sync(), failure);
    assert.equal(held.length, 0);
  });

  test('FUA syncs after the write, and only then is it answered', async (t) => {
    const path = await makeFile(t, 1000);
    const disk = requireWritable(await openFile(path));
    const started = new Promise<Callback>((resolve) => {
      replace(t, 'fdatasync', (_fd: number, callback: Callback) => {
        assertSame(fs.readFileSync(path).subarray(10, 20), pattern(10, 1));
        resolve(callback);
      });
    });
    let answered = false;
    const answer = Promise.resolve(disk.write(10, pattern(10, 1), { fua: true })).then(() => {
      answered = true;
    });
    const end = await started;
    assert.equal(answered, false);
    end(null);
    await answer;
    await disk.close?.();
  });

  test('without FUA nothing is synced', async (t) => {
    const disk = requireWritable(await openFile(await makeFile(t, 10_000)));
    const held = holdSyncs(t);
    await disk.write(0, pattern(10, 1), { fua: false });
    await disk.writeZeroes(0, 10, { fua: false, noHole: false, fast: false });
    await disk.trim(0, 8192, { fua: false });
    assert.equal(held.length, 0);
    await disk.close?.();
  });
});

describe('closing', () => {
  test('waits for a write, and refuses what comes later', async (t) => {
    const path = await makeFile(t, 1000);
    const disk = requireWritable(await openFile(path));
    const held: (() => void)[] = [];
    const real: Transfer = fs.write;
    replace(t, 'write', (...args: Parameters<Transfer>) => held.push(() => real(...args)));
    const written = disk.write(0, pattern(10, 1), { fua: false });
    let closed = false;
    const closing = Promise.resolve(disk.close?.()).then(() => {
      closed = true;
    });
    const refused = { name: 'NbdError', code: 'ESHUTDOWN' };
    assert.throws(() => disk.read(0, 1), refused);
    assert.throws(() => disk.write(0, pattern(1, 1), { fua: false }), refused);
    assert.throws(() => disk.flush(), refused);
    await new Promise(setImmediate);
    assert.equal(closed, false);
    for (const go of held) go();
    await written;
    await closing;
    assertSame(fs.readFileSync(path).subarray(0, 10), pattern(10, 1));
  });

  test('cuts long zeroing short', async (t) => {
    const disk = requireWritable(await openFileWith(await makeFile(t, 4 * 2 ** 20), {}, {}));
    const zeroed = disk.writeZeroes(0, 4 * 2 ** 20, { fua: false, noHole: true, fast: false });
    const cut = assert.rejects(async () => zeroed, { name: 'NbdError', code: 'ESHUTDOWN' });
    await disk.close?.();
    await cut;
  });

  test('cuts caching short, and what waits for it', async (t) => {
    const disk = await openFileWith(await makeFile(t, 4 * 2 ** 20), {}, {});
    const refused = { name: 'NbdError', code: 'ESHUTDOWN' };
    const cut = [0, 1].map(() => assert.rejects(disk.cache(0, 4 * 2 ** 20), refused));
    await disk.close();
    await Promise.all(cut);
  });

  test('what was cached is still the disk', async (t) => {
    const path = await makeFile(t, 0);
    fs.writeFileSync(path, pattern(600_000, 1));
    const disk = await openFileWith(path, {}, {});
    await Promise.all([disk.cache(0, 600_000), disk.cache(599_999, 1), disk.read(0, 10)]);
    assertSame(joined(await disk.read(0, 600_000)), pattern(600_000, 1));
    await disk.close();
  });
});

test('why a file cannot be opened is told even where it cannot be closed either', async (t) => {
  const path = await makeFile(t, 1000);
  const closed: number[] = [];
  replace(t, 'close', (fd: number, callback: Callback) => {
    fs.closeSync(fd);
    closed.push(fd);
    callback(systemError('EIO'));
  });
  const native = {
    get preadNoWait(): never {
      throw systemError('ENOMEM');
    },
  };
  await assert.rejects(openFileWith(path, {}, native), { code: 'ENOMEM' });
  assert.equal(closed.length, 1);
});
