import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { openSource } from '../../lib/sources/open-source.js';
import { assertSame, joined, pattern, requireWritable } from '../backend/support/bytes.js';
import { makeFolder } from '../backend/support/disks.js';

const writers = ['write', 'writeTarget', 'trim', 'writeZeroes'];

describe('memory:SIZE', () => {
  test('is a disk of zeros', async () => {
    const disk = requireWritable(await openSource('memory:1.5M'));
    assert.equal(disk.size, 1_572_864);
    await disk.write(1_572_863, Uint8Array.of(7), { fua: false });
    assertSame(joined(await disk.read(1_572_862, 2)), Uint8Array.of(0, 7));
    await disk.close?.();
  });

  test('cannot be written when it is read-only', async () => {
    const disk = await openSource('memory:64K', { readOnly: true });
    assert.equal(disk.size, 65_536);
    for (const member of writers) assert.equal(member in disk, false, member);
    assertSame(joined(await disk.read(1, 65_535)), Buffer.alloc(65_535));
    assert.equal(await disk.cache?.(0, 1), undefined);
    await disk.close?.();
  });

  for (const text of ['memory:', 'memory:lots', 'memory:-1', 'memory:8E']) {
    test(`${text} is refused`, async () => {
      await assert.rejects(openSource(text), { name: 'NbdError', code: 'NBDCORK_BAD_SIZE' });
    });
  }
});

describe('a path', () => {
  test('is a file, absolute or relative', async (t) => {
    const path = join(await makeFolder(t), 'disk.img');
    await writeFile(path, pattern(5000, 1));
    for (const text of [path, relative(process.cwd(), path), `file:${path}`]) {
      const disk = requireWritable(await openSource(text));
      assertSame(joined(await disk.read(0, 5000)), pattern(5000, 1));
      await disk.close?.();
    }
  });

  test('after file: may look like another source', async (t) => {
    const folder = await makeFolder(t);
    const before = process.cwd();
    t.after(() => process.chdir(before));
    process.chdir(folder);
    for (const name of ['memory:64M', 'file:x', ' ']) {
      await writeFile(join(folder, name), pattern(100, 2));
      const disk = await openSource(`file:${name}`);
      assertSame(joined(await disk.read(0, 100)), pattern(100, 2));
      await disk.close?.();
    }
  });

  test('is opened for reading only when it is read-only', async (t) => {
    const path = join(await makeFolder(t), 'disk.img');
    await writeFile(path, pattern(100, 3));
    const disk = await openSource(path, { readOnly: true });
    for (const member of writers) assert.equal(member in disk, false, member);
    assertSame(joined(await disk.read(0, 100)), pattern(100, 3));
    await disk.close?.();
  });

  test('that does not exist is refused', async (t) => {
    const folder = await makeFolder(t);
    await assert.rejects(openSource(join(folder, 'none')), {
      name: 'NbdError',
      code: 'NBDCORK_NOT_FOUND',
    });
    await assert.rejects(openSource(folder), { name: 'NbdError', code: 'NBDCORK_NOT_A_DISK' });
  });

  for (const text of ['', 'file:', 'disk\0.img']) {
    test(`${JSON.stringify(text)} is refused`, async () => {
      await assert.rejects(openSource(text), { name: 'NbdError', code: 'NBDCORK_BAD_SOURCE' });
    });
  }
});

describe('text that looks like another source', () => {
  const texts: Record<string, RegExp> = {
    'mem:64M': /memory:64M/,
    'RAM=1G': /memory:1G/,
    memory64M: /memory:64M/,
    'nbd://localhost:10809/disk': /NBD server/,
    'nbd+unix:///disk?socket=/run/nbd.sock': /NBD server/,
    'https://example.org/disk.img': /is a URL/,
    's3://bucket/disk.img': /is a URL/,
    '-': /Standard input/,
  };
  for (const [text, words] of Object.entries(texts)) {
    test(`${text} is refused in words of its own`, async () => {
      await assert.rejects(openSource(text), { code: 'NBDCORK_BAD_SOURCE', message: words });
    });
  }

  test('is a path where such a file exists', async (t) => {
    const folder = await makeFolder(t);
    const before = process.cwd();
    t.after(() => process.chdir(before));
    process.chdir(folder);
    await writeFile('mem:64M', pattern(100, 2));
    const disk = await openSource('mem:64M');
    assert.equal(disk.size, 100);
    await disk.close?.();
  });
});
