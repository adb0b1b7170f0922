/** --allow and --deny without known credentials, exports or TLS. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { runProgram, serve } from '../support/program.js';

const nobody = 4_294_967_294;

describe('without the addon', () => {
  const env = { NBDCORK_NO_NATIVE: '1' };

  for (const rule of [`--deny=user:${nobody}`, `--deny=group:${nobody}`, '--allow=user:0']) {
    test(`${rule} rejects Unix clients, and the log has the reason`, async (t) => {
      const path = join(await temporaryFolder(t), 'nbd.sock');
      const { server, uri } = await serve(t, ['--unix', path, rule, 'memory:1M'], { env });
      const client = await connectTo(t, uri);
      assert.equal((await client.closed).length, 0);
      await server.stderr.match(/WARN: Peer credentials are unavailable/);
      await server.stderr.match(/connection refused: .*without the addon/);
    });
  }

  test('a TCP client has no user and no group', async (t) => {
    const args = ['--port', '0', `--deny=user:${nobody}`, '--deny=group:0', 'memory:1M'];
    const { uri } = await serve(t, args, { env });
    assert.equal((await openExport(t, uri)).size, 2 ** 20);
  });
});

describe('a rule about an unknown export exits with 2', () => {
  for (const args of [
    ['--deny', 'secrt=any', 'secret=memory:1M'],
    ['--deny', 'any', '--allow', 'secrt=any', 'secret=memory:1M'],
    ['--default-export', 'a', '--deny', '=any', 'a=memory:1M'],
  ]) {
    test(args.join(' '), async (t) => {
      const { status, stderr } = await runProgram(t, ['serve', '--port', '0', ...args]);
      assert.equal(status, 2);
      assert.match(stderr, /Unknown export .*\(NBDCORK_BAD_RULE\)/);
    });
  }
});

describe('rules that need TLS', () => {
  for (const rule of ['--allow', '--deny'].flatMap((flag) => [
    `${flag}=certificate:CN=backup`,
    `${flag}=psk:alice`,
  ])) {
    test(`${rule} exits with 2 without it`, async (t) => {
      const { status, stderr } = await runProgram(t, ['serve', '--port', '0', rule, 'memory:1M']);
      assert.equal(status, 2);
      assert.match(stderr, /No client can match it.*NBDCORK_BAD_RULE/);
    });
  }

  test('--deny=psk:alice exits with 2 unless TLS is required', async (t) => {
    const keys = join(await temporaryFolder(t), 'keys.psk');
    await writeFile(keys, `alice:${'61'.repeat(32)}\n`);
    const args = ['--port', '0', '--tls-psk', keys, '--deny=psk:alice', 'memory:1M'];
    const { status, stderr } = await runProgram(t, ['serve', ...args]);
    assert.equal(status, 2);
    assert.match(stderr, /bypass.*NBDCORK_BAD_RULE/);
    await serve(t, ['--tls', 'require', ...args]);
  });
});
