/** Programs receive the correct extents, and sparse disks stay sparse when they are copied. */
import assert from 'node:assert/strict';
import { open, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { temporaryFolder } from '../support/folder.js';
import { needs, pythonWithNbd, succeed } from '../support/peers.js';
import { serve } from '../support/program.js';

const mebibyte = 2 ** 20;
const diskBytes = 256 * mebibyte;
const withoutAddon = addon === undefined && 'without the addon a file is all data';

/** 256 MiB with data from 64 MiB to 65 MiB and from 128 MiB to 129 MiB. */
async function sparseFile(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'sparse.img');
  await writeFile(path, '');
  await truncate(path, diskBytes);
  const file = await open(path, 'r+');
  const data = Buffer.alloc(mebibyte, 'data');
  for (const position of [64, 128]) await file.write(data, 0, data.length, position * mebibyte);
  await file.close();
  return path;
}

async function emptyFile(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'empty.img');
  await writeFile(path, '');
  await truncate(path, diskBytes);
  return path;
}

async function storedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

/** Start, length and whether it is a hole. */
const layout = [
  [0, 64, true],
  [64, 1, false],
  [65, 63, true],
  [128, 1, false],
  [129, 127, true],
].map(([start, length, hole]) => ({
  start: Number(start) * mebibyte,
  length: Number(length) * mebibyte,
  hole,
}));

describe('a sparse file', { skip: withoutAddon }, () => {
  test('is mapped by nbdinfo', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', await sparseFile(t)]);
    const shown: unknown = JSON.parse(await succeed(t, 'nbdinfo', ['--map', '--json', uri]));
    assert.deepEqual(
      shown,
      layout.map(({ start, length, hole }) => ({
        offset: start,
        length,
        type: hole ? 3 : 0,
        description: hole ? 'hole,zero' : 'data',
      })),
    );
    const totals = await succeed(t, 'nbdinfo', ['--map', '--totals', uri]);
    assert.match(totals, /^ +2097152 +0\.8% +0 data$/m);
  });

  test('has base:allocation in nbdinfo', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', await sparseFile(t)]);
    const shown = await succeed(t, 'nbdinfo', ['--json', uri]);
    assert.match(shown, /"contexts": \[\s*"base:allocation"\s*\]/);
  });

  test('is mapped by qemu-img', async (t) => {
    if (!needs(t, 'qemu-img')) return;
    const { uri } = await serve(t, ['--port', '0', await sparseFile(t)]);
    const shown = JSON.parse(
      await succeed(t, 'qemu-img', ['map', '--output=json', '-f', 'raw', uri]),
    ) as readonly Readonly<Record<string, unknown>>[];
    assert.deepEqual(
      shown.map(({ start, length, zero, data }) => ({ start, length, zero, data })),
      layout.map(({ start, length, hole }) => ({ start, length, zero: hole, data: !hole })),
    );
  });

  test('is read by nbdcopy without its holes, into a sparse file', async (t) => {
    if (!needs(t, 'nbdcopy', 'cmp')) return;
    const source = await sparseFile(t);
    const { uri } = await serve(t, ['--port', '0', source]);
    const target = await emptyFile(t);
    await succeed(t, 'nbdcopy', ['--destination-is-zero', uri, target]);
    await succeed(t, 'cmp', [source, target]);
    assert.ok((await storedBytes(target)) < 4 * mebibyte);
  });

  test('is written by nbdcopy into a file that stays sparse', async (t) => {
    if (!needs(t, 'nbdcopy', 'cmp')) return;
    const source = await sparseFile(t);
    const target = await emptyFile(t);
    const { uri, server } = await serve(t, ['--port', '0', target]);
    await succeed(t, 'nbdcopy', [source, uri]);
    await server.stop();
    await succeed(t, 'cmp', [source, target]);
    assert.ok((await storedBytes(target)) < 4 * mebibyte);
  });

  test('is copied by nbdcopy from one server to another', async (t) => {
    if (!needs(t, 'nbdcopy', 'cmp')) return;
    const source = await sparseFile(t);
    const target = await emptyFile(t);
    const from = await serve(t, ['--port', '0', source]);
    const to = await serve(t, ['--port', '0', target]);
    await succeed(t, 'nbdcopy', [from.uri, to.uri]);
    await to.server.stop();
    await succeed(t, 'cmp', [source, target]);
    assert.ok((await storedBytes(target)) < 4 * mebibyte);
  });
});

describe('a sparse memory disk', () => {
  test('of 4 TiB is mapped by nbdinfo at once', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'memory:4T']);
    const shown = await succeed(t, 'nbdinfo', ['--map', '--totals', uri]);
    assert.match(shown, /^ *4398046511104 100\.0% +3 hole,zero$/m);
  });

  test('is written by nbdcopy, and has only the data', async (t) => {
    if (!needs(t, 'nbdcopy', 'nbdinfo')) return;
    const source = await sparseFile(t);
    const { uri } = await serve(t, ['--port', '0', `memory:${diskBytes}`]);
    await succeed(t, 'nbdcopy', [source, uri]);
    const shown = JSON.parse(await succeed(t, 'nbdinfo', ['--map', '--json', uri])) as {
      readonly length: number;
      readonly type: number;
    }[];
    const data = shown.filter(({ type }) => type === 0);
    assert.equal(data.length, 2);
    // Memory is taken in chunks.
    assert.ok(data.every(({ length }) => length <= 16 * mebibyte));
  });

  test("answers libnbd's block_status", async (t) => {
    const python = pythonWithNbd(t);
    if (python === undefined) return;
    const { uri } = await serve(t, ['--port', '0', 'memory:1T']);
    const code = `
import nbd, sys
h = nbd.NBD()
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.add_meta_context('x-none:there')
h.connect_uri(sys.argv[1])
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
assert not h.can_meta_context('x-none:there')
h.pwrite(b'x' * 512, 1 << 39)
seen = []
def extents(context, offset, entries, error):
    assert context == nbd.CONTEXT_BASE_ALLOCATION
    seen.append((offset, entries))
h.block_status(1 << 20, 1 << 30, extents)
h.block_status(4096, (1 << 39) - 2048, extents)
h.block_status(1000, 1 << 39, extents, nbd.CMD_FLAG_REQ_ONE)
(o, hole), (_, edge), (_, one) = seen
assert o == 1 << 30 and hole[0] >= 1 << 20 and hole[1:] == [3], hole
assert edge[:2] == [2048, 3] and edge[2] >= 2048 and edge[3:] == [0], edge
assert one == [1000, 0], one
`;
    await succeed(t, python, ['-c', code, uri]);
  });
});
