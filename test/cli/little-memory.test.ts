/** A process that may take hardly any more memory. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, err } from '../support/numbers.js';
import { needs } from '../support/peers.js';
import { serve } from '../support/program.js';

const mebibyte = 2 ** 20;

/** The process gets so much address space beyond what it has. */
function limitMemory(pid: number, bytes: number): void {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const used = Number(/^VmSize:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  execFileSync('prlimit', [`--pid=${pid}`, `--as=${used + bytes}`]);
}

describe('with little memory', { skip: process.platform !== 'linux' }, () => {
  test('requests that cannot be stored are ENOMEM, and the connection goes on', async (t) => {
    if (!needs(t, 'prlimit')) return;
    const path = join(await temporaryFolder(t), 'disk.img');
    writeFileSync(path, '');
    truncateSync(path, 64 * mebibyte);
    const { server, uri } = await serve(t, ['--port', '0', '--memory-max', '1G', path]);
    const { client } = await openExport(t, uri);
    const payload = Buffer.alloc(4096, 1);
    const small = async (): Promise<void> => {
      assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
      const { error, data } = await client.call({ type: cmd.read, length: 4096 });
      assert.equal(error, 0);
      assert.ok(data.equals(payload));
    };
    await small();
    limitMemory(server.pid, 24 * mebibyte);
    for (let round = 0; round < 3; round++) {
      const large = { type: cmd.write, payload: Buffer.alloc(48 * mebibyte) };
      assert.equal((await client.call(large)).error, err.ENOMEM);
      // A range that is not cached: it cannot be sent from the cache.
      const read = { type: cmd.read, offset: mebibyte, length: 48 * mebibyte };
      const { error } = await client.call(read);
      assert.ok(error === err.ENOMEM || error === 0, String(error));
      await small();
    }
    await server.stderr.match(/WARN: NBD_CMD_WRITE failed: Array buffer allocation failed/);
  });
});
