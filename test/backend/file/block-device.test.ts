import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { isRotational } from '../../../lib/backend/file/block-device.js';
import { blockSizeFor } from '../../../lib/backend/file/block-size.js';
import { openFile } from '../../../lib/backend/file/open-file.js';
import { addon } from '../../../lib/native/load.js';
import { joined } from '../support/bytes.js';
import { blockDeviceSkip, makeBlockDevice, makeFile, makeFolder } from '../support/disks.js';

/** Of device 8:1, whose numbers are these in `st_rdev`. */
const device = 0x801;

describe('whether a block device is rotational', () => {
  for (const [what, folder] of [
    ['the disk', 'devices/sda'],
    ['the disk of a partition', 'devices/sda/sda1'],
  ] as const) {
    test(`is read from the queue of ${what}`, async (t) => {
      const sysfs = await makeFolder(t);
      for (const made of [folder, 'devices/sda/queue', 'dev/block']) {
        await mkdir(join(sysfs, made), { recursive: true });
      }
      await symlink(`../../${folder}`, join(sysfs, 'dev/block/8:1'));
      for (const [text, rotational] of [
        ['1\n', true],
        ['0\n', false],
      ] as const) {
        await writeFile(join(sysfs, 'devices/sda/queue/rotational'), text);
        assert.equal(await isRotational(device, sysfs), rotational);
      }
    });
  }

  test('is false where sysfs does not say', async (t) => {
    assert.equal(await isRotational(device, await makeFolder(t)), false);
  });

  test('is what the kernel reports', { skip: blockDeviceSkip }, async (t) => {
    const path = await makeBlockDevice(t, await makeFile(t, 2 ** 20));
    const told = await readFile(`/sys/block/${basename(path)}/queue/rotational`, 'ascii');
    for (const readOnly of [false, true]) {
      const disk = await openFile(path, { readOnly });
      assert.equal(disk.rotational, told === '1\n');
      await disk.close();
    }
  });

  test('is absent for a regular file', async (t) => {
    const path = await makeFile(t, 512);
    assert.ok((await stat(path)).isFile());
    const disk = await openFile(path);
    assert.equal('rotational' in disk, false);
    await disk.close();
  });
});

test(
  'a block device that has become shorter must be opened again',
  { skip: blockDeviceSkip },
  async (t) => {
    const file = await makeFile(t, 2 ** 20);
    const path = await makeBlockDevice(t, file);
    const disk = await openFile(path, { readOnly: true });
    await disk.read(0, 4096);
    assert.equal(disk.mustReopen, false);
    await truncate(file, 2 ** 19);
    execFileSync('losetup', ['--set-capacity', path]);
    await assert.rejects(async () => disk.read(2 ** 19, 4096), { code: 'EIO' });
    assert.equal(disk.mustReopen, true);
    await disk.close();
    const again = await openFile(path, { readOnly: true });
    assert.equal(again.size, 2 ** 19);
    await again.close();
  },
);

test('a block device that grows is measured again', { skip: blockDeviceSkip }, async (t) => {
  const file = await makeFile(t, 2 ** 20);
  const path = await makeBlockDevice(t, file);
  const disk = await openFile(path);
  await truncate(file, 2 ** 21);
  execFileSync('losetup', ['--set-capacity', path]);
  assert.equal(disk.size, 2 ** 20);
  await disk.measure();
  assert.equal(disk.size, addon === undefined ? 2 ** 20 : 2 ** 21);
  await disk.close();
});

test('a block device accepts any range, in the cache', { skip: blockDeviceSkip }, async (t) => {
  const path = await makeBlockDevice(t, await makeFile(t, 2 ** 20), 4096);
  const disk = await openFile(path);
  assert.equal(disk.blockSize?.minimum ?? 1, 1);
  assert.equal(disk.blockSize?.preferred ?? 4096, 4096);
  assert.equal(joined(await disk.read(1, 1)).length, 1);
  await disk.close();
});

test('the physical blocks of a device are preferred', () => {
  const blocks = { logical: 512, physical: 16_384, direct: 512 };
  assert.equal(blockSizeFor(blocks, undefined)?.preferred, 16_384);
  assert.equal(blockSizeFor({ ...blocks, physical: 512 }, 512)?.preferred, 4096);
  // Such as the stripes of a RAID.
  assert.equal(blockSizeFor({ ...blocks, physical: 12_288 }, undefined)?.preferred, 4096);
});
