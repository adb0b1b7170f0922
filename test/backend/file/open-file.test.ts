import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import { assertSame, joined, pattern } from '../support/bytes.js';
import { makeFile, makeFileAt, makeFileSystem, makeFolder, mountSkip } from '../support/disks.js';
import { replace, systemError, type Callback } from '../support/replace-fs.js';

const mebibyte = 2 ** 20;

describe('a file opened read-only', () => {
  test('has no member that writes', async (t) => {
    const path = await makeFile(t, 0);
    await writeFile(path, pattern(5000, 1));
    const disk = await openFile(path, { readOnly: true });
    for (const member of ['write', 'writeTarget', 'trim', 'writeZeroes', 'flush', 'fua']) {
      assert.equal(member in disk, false, member);
    }
    assertSame(joined(await disk.read(1000, 4000)), pattern(5000, 1).subarray(1000));
    await disk.cache(0, 5000);
    await disk.close();
  });

  test('may be on a read-only file system', { skip: mountSkip }, async (t) => {
    const folder = await makeFileSystem(t, mebibyte);
    const path = join(folder, 'disk.img');
    await makeFileAt(path, 4096);
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    await assert.rejects(openFile(path), {
      name: 'NbdError',
      code: 'NBDCORK_NO_PERMISSION',
      message: /read-only/,
    });
    const disk = await openFile(path, { readOnly: true });
    assertSame(joined(await disk.read(0, 4096)), Buffer.alloc(4096));
    await disk.close();
  });
});

describe('openFile refuses', () => {
  test('a path that does not exist', async (t) => {
    const folder = await makeFolder(t);
    const refusal = { name: 'NbdError', code: 'NBDCORK_NOT_FOUND', message: /disk\.img/ };
    await assert.rejects(openFile(join(folder, 'disk.img')), refusal);
    await makeFileAt(join(folder, 'file'), 0);
    await assert.rejects(openFile(join(folder, 'file', 'disk.img')), refusal);
  });

  const notADisk = (message: RegExp) => ({ name: 'NbdError', code: 'NBDCORK_NOT_A_DISK', message });

  test('a directory', async (t) => {
    const folder = await makeFolder(t);
    await assert.rejects(openFile(folder), notADisk(/a directory/));
    await assert.rejects(openFile(folder, { readOnly: true }), notADisk(/a directory/));
  });

  test('a pipe, without waiting for a writer', async (t) => {
    const path = join(await makeFolder(t), 'pipe');
    execFileSync('mkfifo', [path]);
    await assert.rejects(openFile(path, { readOnly: true }), notADisk(/a pipe/));
  });

  test('a socket', async (t) => {
    const path = join(await makeFolder(t), 'socket');
    const server = createServer().listen(path);
    await once(server, 'listening');
    t.after(() => server.close());
    await assert.rejects(openFile(path), notADisk(/a socket/));
  });

  test('a character device', async () => {
    await assert.rejects(openFile('/dev/null'), notADisk(/a character device/));
  });

  test('a loop of symbolic links', async (t) => {
    const path = join(await makeFolder(t), 'link');
    execFileSync('ln', ['-s', path, path]);
    await assert.rejects(openFile(path), { name: 'NbdError', code: 'NBDCORK_OPEN_FAILED' });
  });
});

test('an error while opening is reported even if closing fails too', async (t) => {
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
