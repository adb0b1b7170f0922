/** The contract on files and block devices, with the addon, without it, and with one that fails. */
import { readSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import type { TestContext } from 'node:test';
import type { Backend } from '../../../lib/backend/backend.js';
import { openFileWith, type OpenFileOptions } from '../../../lib/backend/file/open-file.js';
import type { FileNative } from '../../../lib/backend/file/io/file-io.js';
import { addon } from '../../../lib/native/load.js';
import { fallocate } from '../../native/support/file-work.js';
import { pattern } from '../support/bytes.js';
import { backendContract, readOnlyContract } from '../support/contract.js';
import { blockDeviceSkip, makeBlockDevice, makeFile } from '../support/disks.js';
import { addonSkip, directSkip } from './support/direct.js';

const fileSizes = [0, 1, 1000, 4096, 70_000, 2 ** 21 + 1000];
const deviceSizes = [512 * 19, 2 ** 20];
const { EAGAIN, EINTR, EIO, EOPNOTSUPP } = constants.errno;

function inFile(native?: FileNative, options: OpenFileOptions = {}) {
  return async (t: TestContext, size: number): Promise<Backend> =>
    openFileWith(await makeFile(t, size), options, native);
}

function onDevice(native?: FileNative, options: OpenFileOptions = {}) {
  return async (t: TestContext, size: number): Promise<Backend> => {
    const device = await makeBlockDevice(t, await makeFile(t, size));
    return openFileWith(device, options, native);
  };
}

backendContract('a file', { make: inFile(), sizes: fileSizes, runs: 20 });

backendContract('a file without the addon', { make: inFile({}), sizes: fileSizes, runs: 10 });

backendContract('a file on a system without fallocate and RWF_NOWAIT', {
  make: inFile({
    preadNoWait: () => -EOPNOTSUPP,
    fallocate: () => Promise.resolve(-EOPNOTSUPP),
  }),
  sizes: [1000, 70_000],
  runs: 10,
});

backendContract('a file that is cached in part', {
  make: inFile(partlyCached()),
  sizes: [1000, 70_000],
  runs: 20,
});

backendContract('a block device', {
  make: onDevice(),
  sizes: deviceSizes,
  runs: 5,
  skip: blockDeviceSkip,
});

backendContract('a block device without the addon', {
  make: onDevice({}),
  sizes: [512 * 19],
  runs: 3,
  skip: blockDeviceSkip,
});

backendContract('a file opened for direct I/O', {
  make: inFile(undefined, { direct: true }),
  sizes: [4096, 4096 * 19, 2 ** 21],
  blockBytes: 4096,
  runs: 10,
  skip: directSkip,
});

backendContract('a block device opened for direct I/O', {
  make: onDevice(undefined, { direct: true }),
  sizes: [4096 * 19],
  blockBytes: 4096,
  runs: 5,
  skip: directSkip ?? blockDeviceSkip,
});

backendContract('a file that leaves the cache', {
  make: inFile(undefined, { dropCache: true }),
  sizes: [1000, 2 ** 24 + 1000],
  runs: 3,
  skip: addonSkip,
});

readOnlyContract('a file opened read-only', async (t) => {
  const path = await makeFile(t, 0);
  const content = pattern(70_000, 1);
  await writeFile(path, content);
  return { disk: await openFileWith(path, { readOnly: true }), content };
});

/** Reads whole, in part, not at all and with errors in turn; the real fallocate after a signal. */
function partlyCached(): FileNative {
  let turn = 0;
  let interrupted = false;
  return {
    preadNoWait(fd, bytes, at, length, position) {
      turn = (turn + 1) % 4;
      if (turn === 0) return -EAGAIN;
      if (turn === 1) return -EIO;
      return readSync(fd, bytes, at, turn === 2 ? length : Math.ceil(length / 2), position);
    },
    ...(addon !== undefined && {
      fallocate: (fd, mode, offset, length) => {
        interrupted = !interrupted;
        return interrupted ? Promise.resolve(-EINTR) : fallocate(fd, mode, offset, length);
      },
    }),
  };
}
