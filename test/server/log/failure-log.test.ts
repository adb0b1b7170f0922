/** How failed requests are logged. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend } from '../../../lib/index.js';
import { warningsMax } from '../../../lib/server/log/failure-log.js';
import { cmd, cmdFlag, err } from '../../support/numbers.js';
import { startServer } from '../../support/server.js';
import { Log } from '../../support/log.js';

function fail(code: string): never {
  throw Object.assign(new Error(`it was ${code}`), { code });
}

const disk: Backend = {
  size: 4096,
  read: () => fail('EIO'),
  write: () => fail('ENOTSUP'),
  writeZeroes: (_offset, _length, { fast }) => fail(fast ? 'ENOTSUP' : 'ENOSPC'),
};

describe('the log of failed requests', () => {
  test('has the peer, the command and the reason', async (t) => {
    const logger = new Log();
    const client = await (await startServer(t, { exports: { '': disk }, logger })).open();
    await client.call({ type: cmd.read, length: 512 });
    const [entry] = logger.shown;
    assert.deepEqual(entry, {
      level: 'warn',
      details: { peer: 'unix', export: '', code: 'EIO' },
      message: 'NBD_CMD_READ failed: it was EIO',
    });
  });

  test('has at debug level that zeroing is not fast', async (t) => {
    const logger = new Log();
    const client = await (await startServer(t, { exports: { '': disk }, logger })).open();
    const zeroes = { type: cmd.writeZeroes, length: 512 };
    const fast = await client.call({ ...zeroes, flags: cmdFlag.fastZero });
    assert.equal(fast.error, err.ENOTSUP);
    assert.deepEqual(logger.shown, []);
    assert.equal(logger.entries.at(-1)?.message, 'NBD_CMD_WRITE_ZEROES failed: it was ENOTSUP');
    await client.call(zeroes);
    await client.call({ type: cmd.write, payload: Buffer.alloc(512) });
    assert.equal(logger.shown.length, 2);
  });

  test('has a limit for each connection, and one warning about it', async (t) => {
    const logger = new Log();
    const { open } = await startServer(t, { exports: { '': disk }, logger });
    const client = await open();
    for (let count = 0; count < warningsMax + 5; count++) {
      await client.call({ type: cmd.read, length: 512 });
    }
    const messages = logger.shown.map(({ message }) => message);
    assert.equal(messages.length, warningsMax + 1);
    assert.match(messages.at(-1) ?? '', /logged at debug level: 10 requests have failed/);
    assert.equal(logger.entries.filter(({ level }) => level === 'debug').length, 1 + 5);
    await (await open()).call({ type: cmd.read, length: 512 });
    assert.equal(logger.shown.length, warningsMax + 2);
  });
});
