/** Warnings of what is allowed and seldom meant. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { warnOfExposure, warnOfStrategy } from '../../lib/cli/warnings.js';
import { temporaryFolder } from '../support/folder.js';
import { Log } from '../support/log.js';
import { serve } from '../support/program.js';

async function warningsOf(args: readonly string[], t: Parameters<typeof serve>[0]) {
  const { server } = await serve(t, args);
  await server.stop();
  return server.stderr.text.split('\n').filter((line) => line.includes('WARN'));
}

test('a disk that is empty, or no multiple of 512 bytes, causes one warning each', async (t) => {
  const folder = await temporaryFolder(t);
  const [empty, odd, even] = ['empty', 'odd', 'even'].map((name) => join(folder, name));
  assert.ok(empty !== undefined && odd !== undefined && even !== undefined);
  await writeFile(empty, '');
  await writeFile(odd, Buffer.alloc(1025));
  await writeFile(even, Buffer.alloc(1024));
  const sources = [`a=${empty}`, `b=${odd}`, `c=${even}`];
  const found = await warningsOf(['--port', '0', ...sources], t);
  assert.equal(found.length, 2, found.join('\n'));
  assert.match(found[0] ?? '', /"a" is empty/);
  assert.match(found[1] ?? '', /"b" is no multiple of 512.*last 1 bytes/);
});

describe('listening beyond this machine', () => {
  const open = ['--host', '0.0.0.0', '--port', '0', 'memory:1M'];

  test('causes a warning without TLS and access rules', async (t) => {
    const found = await warningsOf(open, t);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', /0\.0\.0\.0.*--tls require.*--allow/);
  });

  test('causes none with access rules, nor does the loopback address', async (t) => {
    assert.deepEqual(await warningsOf(['--allow', 'address:127.0.0.1', ...open], t), []);
    assert.deepEqual(await warningsOf(['--port', '0', 'memory:1M'], t), []);
  });

  for (const [host, warnings] of Object.entries({
    '::': 1,
    '::1': 0,
    '::ffff:127.0.0.1': 0,
    '127.9.9.9': 0,
    '192.0.2.1': 1,
    '2001:db8::1': 1,
  })) {
    test(`on ${host} causes ${warnings} warnings`, () => {
      const log = new Log();
      const protection = { tls: undefined, hasRules: false };
      warnOfExposure([{ host, port: 10809 }, { path: '/run/nbd.sock' }], protection, log);
      assert.equal(log.shown.length, warnings);
    });
  }
});

describe('--transmit', () => {
  const unix = { path: '/run/nbd.sock' };
  const tcp = { host: '127.0.0.1', port: 10809 };

  test('cork causes a warning on Unix sockets', () => {
    const log = new Log();
    warnOfStrategy([tcp], 'cork', log, true);
    for (const strategy of ['auto', 'plain', 'stream', 'more', 'vectored', 'batched'] as const) {
      warnOfStrategy([tcp, unix], strategy, log, true);
    }
    assert.equal(log.shown.length, 0);
    warnOfStrategy([tcp, unix], 'cork', log, true);
    assert.match(log.shown[0]?.message ?? '', /cork needs TCP.*plain/);
  });

  test('vectored causes a warning without the addon', () => {
    const log = new Log();
    warnOfStrategy([tcp], 'vectored', log, false);
    assert.match(log.shown[0]?.message ?? '', /needs the addon.*stream/);
  });
});
