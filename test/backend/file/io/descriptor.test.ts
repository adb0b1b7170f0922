/** Short and failing system calls, with node:fs replaced. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import { readFully, writeFully } from '../../../../lib/backend/file/io/descriptor.js';
import { openFileWith } from '../../../../lib/backend/file/open-file.js';
import { NbdError } from '../../../../lib/errors.js';
import { assertSame, pattern, requireWritable } from '../../support/bytes.js';
import { makeFile } from '../../support/disks.js';
import { replace, systemError, type Transfer } from '../../support/replace-fs.js';

describe('a short transfer is continued', () => {
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

describe('a system error fails the request', () => {
  for (const code of ['EIO', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS']) {
    test(`${code} of a write, with its code and without the path`, async (t) => {
      const path = await makeFile(t, 1000);
      const disk = requireWritable(await openFileWith(path, {}, {}));
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

  test('a write that writes nothing is an error', async (t) => {
    const disk = requireWritable(await openFileWith(await makeFile(t, 1000), {}, {}));
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
