import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { openFile } from '../../../lib/index.js';
import { pattern } from '../../support/disks.js';
import { temporaryFolder } from '../../support/folder.js';
import { needs } from '../../support/peers.js';
import { makeFile } from '../support/disks.js';

const size = 2 ** 20;

/** A file that begins with `head`, with `tail` at `tailAt`. */
async function fileWith(t: TestContext, head: Buffer, tail = '', tailAt = 0): Promise<string> {
  const path = await makeFile(t, size);
  const bytes = Buffer.alloc(size);
  head.copy(bytes);
  bytes.write(tail, tailAt, 'latin1');
  await writeFile(path, bytes);
  return path;
}

async function isRefused(path: string, name: RegExp): Promise<void> {
  for (const options of [{}, { readOnly: true }]) {
    await assert.rejects(openFile(path, options), (error: Error & { code: string }) => {
      assert.equal(error.code, 'NBDCORK_NOT_RAW');
      assert.match(error.message, name);
      assert.ok(error.message.includes(path));
      return true;
    });
  }
  const before = await readFile(path);
  const disk = await openFile(path, { format: 'raw' });
  assert.deepEqual(Buffer.from((await disk.read(0, 512)) as Uint8Array), before.subarray(0, 512));
  await disk.close();
}

describe('a file that is not a raw disk is refused', () => {
  // Of the specifications of the formats.
  const heads: Record<string, string> = {
    'a qcow image': '514649fb00000001',
    'a qcow2 image': '514649fb00000003',
    'a QED image': '51454400',
    'a VMDK image': '4b444d5601000000',
    'a VHDX image': '7668647866696c65',
    'a VHD image': '636f6e6563746978',
    'compressed by gzip': '1f8b0800',
    'compressed by xz': 'fd377a585a00',
    'compressed by zstd': '28b52ffd',
    'compressed by bzip2': '425a6839314159265359',
    'compressed by lz4': '04224d18',
    'compressed by zip': '504b0304',
  };
  for (const [name, head] of Object.entries(heads)) {
    test(name, async (t) => {
      await isRefused(await fileWith(t, Buffer.from(head, 'hex')), new RegExp(`is ${name}`));
    });
  }

  test('a VMDK image, by its descriptor', async (t) => {
    const descriptor = '# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\n';
    await isRefused(await fileWith(t, Buffer.from(descriptor)), /is a VMDK image/);
  });

  test('a VDI image', async (t) => {
    const head = Buffer.alloc(68);
    head.writeUInt32LE(0xbeda107f, 64);
    await isRefused(await fileWith(t, head), /is a VDI image/);
  });

  test('a VHD image of fixed size, by its footer', async (t) => {
    const path = await fileWith(t, pattern(512, 1), 'conectix', size - 512);
    await isRefused(path, /is a VHD image/);
  });

  for (const format of ['qcow2', 'qed', 'vmdk', 'vdi', 'vhdx', 'vpc', 'parallels']) {
    test(`${format}, as qemu-img makes it`, async (t) => {
      if (!needs(t, 'qemu-img')) return;
      const path = join(await temporaryFolder(t), 'disk.img');
      execFileSync('qemu-img', ['create', '-q', '-f', format, path, '8M']);
      await isRefused(path, / image, not a raw disk/);
    });
  }

  test('gzip, as it is made by zlib', async (t) => {
    await isRefused(await fileWith(t, gzipSync(pattern(5000))), /gzip -dc/);
  });
});

describe('a file is a raw disk', () => {
  const disks: Record<string, Buffer> = {
    'if it is empty': Buffer.alloc(0),
    'if it is shorter than a signature': Buffer.from('QFI'),
    'if it holds zeros': Buffer.alloc(8192),
    'if it has the beginning of bzip2, and no block of it': Buffer.from('BZh9 is a text'),
    'if it has a signature elsewhere': Buffer.from(' vhdxfile'),
    'if the signature of a footer is not in the last sector': Buffer.alloc(8192).fill(
      'conectix',
      4096,
      4104,
    ),
    'if it holds a partition table': Buffer.alloc(8192).fill(Buffer.from('55aa', 'hex'), 510, 512),
    'if it is compressed in a way that has no signature': brotliCompressSync(pattern(5000)),
  };
  for (const [when, bytes] of Object.entries(disks)) {
    test(when, async (t) => {
      const path = await makeFile(t, 0);
      await writeFile(path, bytes);
      const disk = await openFile(path);
      assert.equal(disk.size, bytes.length);
      await disk.close();
    });
  }
});

test('the content decides, with direct I/O as well', async (t) => {
  const path = await fileWith(t, Buffer.from('QED\0'));
  await assert.rejects(openFile(path, { direct: true }), (error: { code: string }) =>
    ['NBDCORK_NOT_RAW', 'NBDCORK_NO_DIRECT_IO'].includes(error.code),
  );
});
