import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { test } from 'node:test';
import { MemoryFile } from '../../../lib/backend/memory/memory-file.js';
import { ZeroBackend } from '../../../lib/backend/memory/zero-backend.js';
import { memoryBytesMax } from '../../../lib/memory/pages.js';
import { withoutAddon } from '../../native/support/native.js';
import { assertSame, joined, pattern } from '../support/bytes.js';
import { backendContract } from '../support/contract.js';

backendContract('a file in memory', {
  make: (_t, size) => Promise.resolve(MemoryFile.create(size)),
  sizes: [0, 1, 100_000],
  runs: 20,
  skip: withoutAddon === false ? undefined : withoutAddon,
});

/** The same disk, opened a second time as another thread would. */
function openAgain(disk: MemoryFile): MemoryFile {
  const source = disk.threadSource;
  assert.ok(source.kind === 'memory');
  return MemoryFile.open(source.fd);
}

test('a file in memory that is opened again is the same disk', { skip: withoutAddon }, async () => {
  const disk = MemoryFile.create(2 ** 20);
  const other = openAgain(disk);
  assert.equal(other.size, 2 ** 20);
  await disk.write(100, pattern(5000, 1), { fua: false });
  assertSame(joined(await other.read(100, 5000)), pattern(5000, 1));
  await disk.close();
  assertSame(joined(await other.read(100, 5000)), pattern(5000, 1));
  await other.close();
});

test(
  'a file in memory refuses zeros for which no machine has memory',
  { skip: withoutAddon },
  async () => {
    const disk = MemoryFile.create(2 ** 50);
    const options = { fua: false, noHole: true, fast: false };
    const tooMuch = memoryBytesMax() + 1;
    await assert.rejects(disk.writeZeroes(0, tooMuch, options), { code: 'ENOSPC' });
    await disk.writeZeroes(0, 2 ** 50, { ...options, noHole: false });
    await disk.close();
  },
);

test(
  'a file in memory allocates zeros without holes, fast too',
  { skip: withoutAddon },
  async () => {
    const disk = MemoryFile.create(2 ** 20);
    await disk.write(0, pattern(2 ** 20, 1), { fua: false });
    await disk.trim(0, 2 ** 20, { fua: false });
    await disk.writeZeroes(4096, 100_000, { fua: false, noHole: true, fast: true });
    const source = disk.threadSource;
    assert.ok(source.kind === 'memory');
    const allocated = fstatSync(source.fd).blocks * 512;
    assert.ok(allocated >= 100_000 && allocated < 2 ** 18, `${allocated}`);
    assertSame(joined(await disk.read(4096, 100_000)), Buffer.alloc(100_000));
    await disk.close();
  },
);

test('zeros can be opened by any thread', () => {
  assert.deepEqual(new ZeroBackend(4096).threadSource, { kind: 'zeros', size: 4096 });
});
