import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { MemoryBackend } from '../../../lib/backend/memory/memory-backend.js';
import { assertSame, joined, pattern } from '../support/bytes.js';
import { backendContract } from '../support/contract.js';

const mebibyte = 2 ** 20;
const sizeMax = Number.MAX_SAFE_INTEGER;
const holes = { fua: false, noHole: false, fast: false };
const noHoles = { fua: false, noHole: true, fast: false };

backendContract('memory', {
  make: (_, size) => Promise.resolve(new MemoryBackend(size, { chunkBytes: mebibyte })),
  sizes: [0, 1, 1000, mebibyte, 2 * mebibyte + 1000],
  runs: 20,
});

backendContract('memory in small chunks', {
  make: (_, size) => Promise.resolve(new MemoryBackend(size, { chunkBytes: 4096 })),
  sizes: [4095, 4096, 50_000, 65_536],
  runs: 100,
});

backendContract('memory in chunks longer than the zero page', {
  make: (_, size) => Promise.resolve(new MemoryBackend(size, { chunkBytes: 4 * mebibyte })),
  sizes: [5 * mebibyte + 17],
  runs: 5,
});

describe('a memory disk does not copy', () => {
  test('reads: they are views of the memory that payloads are received into', () => {
    const disk = new MemoryBackend(8 * mebibyte, { chunkBytes: mebibyte });
    const target = disk.writeTarget(mebibyte + 4096, 4096);
    assert.ok(target);
    const bytes = disk.read(mebibyte + 8000, 100);
    assert.ok(bytes instanceof Uint8Array);
    assert.equal(bytes.buffer, target.buffer);
    target[4000] = 7;
    assert.equal(bytes[4000 - (8000 - 4096)], 7);
  });

  test('payloads that were received in place', (t) => {
    const disk = new MemoryBackend(mebibyte, { chunkBytes: mebibyte });
    const target = disk.writeTarget(100, 5000);
    assert.ok(target);
    const data = pattern(5000, 1);
    target.set(data);
    const set = t.mock.method(Uint8Array.prototype, 'set');
    disk.write(100, target);
    assert.equal(set.mock.callCount(), 0);
    disk.write(0, Uint8Array.of(1));
    assert.equal(set.mock.callCount(), 1);
    set.mock.restore();
    assertSame(joined(disk.read(100, 5000)), data);
  });

  test('reads of several chunks: they are a view of each', () => {
    const disk = new MemoryBackend(65_536, { chunkBytes: 4096 });
    const data = pattern(12_000, 2);
    disk.write(1000, data);
    const pieces = disk.read(1000, 12_000);
    assert.ok(!(pieces instanceof Uint8Array));
    assert.deepEqual(
      pieces.map(({ length }) => length),
      [3096, 4096, 4096, 712],
    );
    assertSame(joined(pieces), data);
  });

  test('slices: they refer to the same object every time', () => {
    const disk = new MemoryBackend(8 * mebibyte, { chunkBytes: mebibyte });
    disk.write(mebibyte, pattern(2000, 3));
    const first = { memory: new Uint8Array(0), start: 0 };
    const second = { memory: new Uint8Array(0), start: 0 };
    assert.equal(disk.readSlice(mebibyte, 1000, first), true);
    assert.equal(disk.readSlice(mebibyte + 1000, 1000, second), true);
    assert.equal(first.memory, second.memory);
    assert.deepEqual([first.start, second.start], [0, 1000]);
    assert.equal(disk.readSlice(2 * mebibyte - 1, 2, second), false);
  });

  test('holes: all disks share one page of zeros', () => {
    const first = new MemoryBackend(2 ** 40, { chunkBytes: mebibyte }).read(2 ** 39, 4096);
    const second = new MemoryBackend(2 ** 20, { chunkBytes: mebibyte }).read(17, 300);
    assert.ok(first instanceof Uint8Array && second instanceof Uint8Array);
    assert.equal(first.buffer, second.buffer);
  });
});

describe('a memory disk is sparse', () => {
  test('a read allocates nothing, a write its chunk', () => {
    const disk = new MemoryBackend(2 ** 50, { chunkBytes: mebibyte });
    disk.read(2 ** 49, 32 * mebibyte);
    assert.equal(disk.allocatedBytes, 0);
    disk.write(2 ** 49 + 5, Uint8Array.of(1));
    assert.equal(disk.allocatedBytes, mebibyte);
    disk.write(2 ** 49 + 6, Uint8Array.of(1));
    assert.equal(disk.allocatedBytes, mebibyte);
  });

  for (const [name, clear] of [
    ['trim', (disk, offset, length) => disk.trim(offset, length)],
    ['writeZeroes', (disk, offset, length) => disk.writeZeroes(offset, length, holes)],
  ] satisfies [string, (disk: MemoryBackend, offset: number, length: number) => unknown][]) {
    test(`${name} frees whole chunks and zeros the rest`, async () => {
      const disk = new MemoryBackend(10_000, { chunkBytes: 4096 });
      const data = pattern(10_000, 1);
      disk.write(0, data);
      assert.equal(disk.allocatedBytes, 10_000);
      await clear(disk, 4095, 4098);
      assert.equal(disk.allocatedBytes, 10_000 - 4096);
      assertSame(joined(disk.read(0, 10_000)), data.fill(0, 4095, 8193));
      // The last chunk is short, and whole all the same.
      await clear(disk, 8192, 10_000 - 8192);
      assert.equal(disk.allocatedBytes, 4096);
      await clear(disk, 0, 10_000);
      assert.equal(disk.allocatedBytes, 0);
    });
  }

  test('zeroing without holes allocates the range', async () => {
    const disk = new MemoryBackend(64 * mebibyte, { chunkBytes: mebibyte });
    disk.write(3 * mebibyte, pattern(100, 1));
    await disk.writeZeroes(mebibyte + 1, 40 * mebibyte, noHoles);
    assert.equal(disk.allocatedBytes, 41 * mebibyte);
    assertSame(joined(disk.read(3 * mebibyte, 100)), Buffer.alloc(100));
    disk.close();
    assert.equal(disk.allocatedBytes, 0);
  });

  test('a payload that was received into a chunk survives a trim of the chunk', async () => {
    const disk = new MemoryBackend(mebibyte, { chunkBytes: mebibyte });
    const target = disk.writeTarget(0, 4096);
    assert.ok(target);
    const data = pattern(4096, 4);
    target.set(data);
    await disk.trim(0, mebibyte);
    disk.write(0, target);
    assertSame(joined(disk.read(0, 4096)), data);
  });

  test('bytes that were read survive a trim of their chunk', async () => {
    const disk = new MemoryBackend(mebibyte, { chunkBytes: mebibyte });
    const data = pattern(4096, 5);
    disk.write(0, data);
    const bytes = disk.read(0, 4096);
    await disk.trim(0, mebibyte);
    assertSame(joined(bytes), data);
  });
});

describe('the largest memory disk', () => {
  test('has a last byte', () => {
    const disk = new MemoryBackend(sizeMax, { chunkBytes: mebibyte });
    disk.write(sizeMax - 3, Uint8Array.of(1, 2, 3));
    assertSame(joined(disk.read(sizeMax - 5, 5)), Uint8Array.of(0, 0, 1, 2, 3));
    const target = disk.writeTarget(sizeMax - 1, 1);
    assert.ok(target);
    target[0] = 9;
    disk.write(sizeMax - 1, target);
    assertSame(joined(disk.read(sizeMax - 2, 2)), Uint8Array.of(2, 9));
    // The last chunk ends where the disk does.
    assert.equal(disk.allocatedBytes, mebibyte - 1);
  });

  test('can be trimmed and zeroed as a whole', async () => {
    const disk = new MemoryBackend(sizeMax, { chunkBytes: mebibyte });
    for (const clear of [
      () => disk.trim(0, sizeMax),
      () => disk.trim(1, sizeMax - 1),
      () => disk.writeZeroes(0, sizeMax, holes),
    ]) {
      for (const offset of [0, 2 ** 32, 2 ** 52, sizeMax - 1]) disk.write(offset, Uint8Array.of(1));
      await clear();
      assertSame(joined(disk.read(1, 10)), Buffer.alloc(10));
      for (const offset of [2 ** 32, 2 ** 52, sizeMax - 1]) {
        assertSame(joined(disk.read(offset, 1)), Uint8Array.of(0));
      }
    }
    assert.equal(disk.allocatedBytes, 0);
  });
});

describe('a memory disk is bounded', () => {
  test('chunks past the limit fail with ENOMEM', async () => {
    const disk = new MemoryBackend(mebibyte, { chunkBytes: 4096, chunksMax: 2 });
    disk.write(0, pattern(8192, 1));
    const outOfMemory = { name: 'NbdError', code: 'ENOMEM' };
    assert.throws(() => disk.write(8192, Uint8Array.of(1)), outOfMemory);
    await assert.rejects(async () => disk.writeZeroes(8192, 1, noHoles), outOfMemory);
    assert.equal(disk.writeTarget(8192, 1), undefined);
    assertSame(joined(disk.read(0, 8192)), pattern(8192, 1));
    await disk.trim(0, 4096);
    disk.write(8192, Uint8Array.of(1));
    assertSame(
      joined(disk.read(8191, 2)),
      Uint8Array.of(0, 1).fill(pattern(8192, 1)[8191] ?? 0, 0, 1),
    );
  });

  test('zeroing without holes fails at once where it exceeds all memory', () => {
    const disk = new MemoryBackend(2 ** 50);
    assert.throws(() => disk.writeZeroes(0, 2 ** 50, noHoles), { code: 'ENOSPC' });
    assert.equal(disk.allocatedBytes, 0);
  });

  test('a closed disk allocates no chunks', async () => {
    const disk = new MemoryBackend(512 * mebibyte, { chunkBytes: mebibyte });
    const zeroed = disk.writeZeroes(0, 512 * mebibyte, noHoles);
    disk.close();
    await assert.rejects(async () => zeroed, { code: 'ESHUTDOWN' });
    assert.equal(disk.allocatedBytes, 0);
  });

  const limited = process.platform === 'linux' ? false : 'sh has no ulimit -v here';
  test('memory that runs out fails the request, not the process', { skip: limited }, () => {
    const url = new URL('../../../lib/backend/memory/memory-backend.js', import.meta.url).href;
    const script = `
      import { MemoryBackend } from ${JSON.stringify(url)};
      const chunkBytes = 2 ** 26;
      const disk = new MemoryBackend(2 ** 50, { chunkBytes });
      const write = (number) => disk.write(number * chunkBytes, Uint8Array.of(number + 1));
      let count = 0;
      let code;
      while (code === undefined) {
        try {
          write(count++);
        } catch (error) {
          code = error.code;
        }
      }
      const lost = disk.writeTarget(count * chunkBytes, 1) !== undefined;
      const first = disk.read(0, 1)[0];
      console.log(code, lost, first, count);`;
    const command = 'ulimit -v 16777216 && exec "$0" --input-type=module --eval "$1"';
    const child = spawnSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
    assert.equal(child.status, 0, child.stderr);
    assert.match(child.stdout, /^ENOMEM false 1 \d+\n$/);
    const count = Number(child.stdout.split(' ')[3]);
    // 16 GiB of addresses hold fewer than 256 chunks of 64 MiB.
    assert.ok(count > 1 && count <= 256, `${count} chunks`);
  });

  for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    test(`a size of ${size} is refused`, () => {
      assert.throws(() => new MemoryBackend(size, { chunkBytes: mebibyte }), {
        name: 'NbdError',
        code: 'NBDCORK_BAD_SIZE',
      });
    });
  }

  for (const chunkBytes of [0, 1, 2048, 5000, 4096.5, 2 ** 27, NaN]) {
    test(`chunks of ${chunkBytes} bytes are refused`, () => {
      assert.throws(() => new MemoryBackend(1, { chunkBytes }), {
        name: 'NbdError',
        code: 'NBDCORK_BAD_CHUNK_SIZE',
      });
    });
  }

  for (const chunksMax of [-1, 0, 1.5, NaN, Infinity, 2 ** 53]) {
    test(`at most ${chunksMax} chunks are refused`, () => {
      assert.throws(() => new MemoryBackend(1, { chunksMax }), {
        name: 'NbdError',
        code: 'NBDCORK_BAD_CHUNK_SIZE',
      });
    });
  }
});

test('a disk that shrank and grows again has zeros past what it kept', () => {
  const disk = new MemoryBackend(5000, { chunkBytes: 4096 });
  disk.write(4096, pattern(904, 1));
  for (const size of [4500, 4800, 6000]) disk.resize(size);
  assert.equal(disk.size, 6000);
  const kept = pattern(904, 1).subarray(0, 404);
  assertSame(joined(disk.read(4096, 1904)), Buffer.concat([kept, Buffer.alloc(1500)]));
});
