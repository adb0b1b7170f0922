/** A file that something else truncates while clients read it: errors, no signal, no wrong byte. */
import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFile } from '../../lib/index.js';
import { temporaryFolder } from '../native/support/native.js';
import { pattern } from '../support/disks.js';
import { cmd, err } from '../support/numbers.js';
import { connectionKinds, startServer } from '../support/server.js';

const size = 8 * 2 ** 20;
const content = pattern(size);
const readBytes = 2 ** 20;

for (const kind of connectionKinds) {
  describe(`a file that is truncated, on ${kind}`, () => {
    test('fails the reads past its end, or ends the connection', async (t) => {
      const path = join(temporaryFolder(t), 'disk.img');
      writeFileSync(path, content);
      const { open } = await startServer(t, { exports: { '': await openFile(path) } }, kind);
      const client = await open();
      assert.ok(
        (await client.call({ type: cmd.read, length: readBytes })).data.length === readBytes,
      );
      // Replies to these wait for the client, and are sent from the file as it is then.
      const offsets = new Map<bigint, number>();
      for (let offset = 0; offset < size; offset += readBytes) {
        offsets.set(client.request({ type: cmd.read, offset, length: readBytes }), offset);
      }
      truncateSync(path, size / 2);
      let failed = 0;
      try {
        for (let count = 0; count < offsets.size; count++) {
          const { cookie, error, data } = await client.reply();
          const offset = offsets.get(cookie) ?? 0;
          if (error === 0) assert.ok(data.equals(content.subarray(offset, offset + readBytes)));
          else failed++;
        }
      } catch (error) {
        assert.match(String(error), /the connection closed/);
        failed++;
      }
      assert.ok(failed > 0);
    });

    test('fails the reads of its last page, which is still cached', async (t) => {
      const path = join(temporaryFolder(t), 'disk.img');
      writeFileSync(path, content);
      const { open } = await startServer(t, { exports: { '': await openFile(path) } }, kind);
      truncateSync(path, size - 100);
      const client = await open();
      const offset = size - 4096;
      assert.equal((await client.call({ type: cmd.read, offset, length: 4096 })).error, err.EIO);
    });

    test('serves clients that connect later', async (t) => {
      const path = join(temporaryFolder(t), 'disk.img');
      writeFileSync(path, content);
      const { open } = await startServer(t, { exports: { '': await openFile(path) } }, kind);
      const first = await open();
      await first.call({ type: cmd.read, length: readBytes });
      truncateSync(path, size / 2);
      const client = await open();
      const { error, data } = await client.call({ type: cmd.read, length: readBytes });
      assert.equal(error, 0);
      assert.ok(data.equals(content.subarray(0, readBytes)));
      // The server asks at most every 20 ms what is cached: no event tells when.
      await new Promise((resolve) => setTimeout(resolve, 25));
      const late = await client.call({ type: cmd.read, offset: size - 4096, length: 4096 });
      assert.equal(late.error, err.EIO);
    });
  });
}
