/** What --allow and --deny do where they cannot tell who a client is. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { serve } from '../support/program.js';

const nobody = 4_294_967_294;

describe('without the addon', () => {
  const env = { NBDCORK_NO_NATIVE: '1' };

  for (const rule of [`--deny=user:${nobody}`, `--deny=group:${nobody}`, '--allow=user:0']) {
    test(`${rule} keeps Unix clients out, and the log says why`, async (t) => {
      const path = join(await temporaryFolder(t), 'nbd.sock');
      const { server, uri } = await serve(t, ['--unix', path, rule, 'memory:1M'], { env });
      const client = await connectTo(t, uri);
      assert.equal((await client.closed).length, 0);
      await server.stderr.match(/WARN: Without the addon nobody can tell who comes/);
      await server.stderr.match(/connection refused: it is not allowed; who .* without the addon/);
    });
  }

  test('a TCP client is no user and in no group', async (t) => {
    const args = ['--port', '0', `--deny=user:${nobody}`, '--deny=group:0', 'memory:1M'];
    const { uri } = await serve(t, args, { env });
    assert.equal((await openExport(t, uri)).size, 2 ** 20);
  });
});
