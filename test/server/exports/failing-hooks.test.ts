/** What a program gives the server to ask in the handshake, and fails: `find`, `list`, `allow`, `measure`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServerOptions } from '../../../lib/index.js';
import { goData, optionBytes } from '../../support/byte-client.js';
import { BufferDisk, pattern } from '../../support/disks.js';
import { opt, rep } from '../../support/numbers.js';
import { startServer } from '../../support/server.js';
import { Log } from '../../support/log.js';

const content = pattern(8192);

describe('a failure in the negotiation is an error reply, and an error in the log', () => {
  const reason = Object.assign(new Error('the database is gone'), { code: 'EDATABASE' });
  const ways: Readonly<Record<string, () => never | Promise<never>>> = {
    throws: () => {
      throw reason;
    },
    rejects: () => Promise.reject(reason),
  };
  const disk = new BufferDisk(content);
  const read = (): Buffer => content;
  type Fail = () => never | Promise<never>;
  const cases: Readonly<Record<string, [(fail: Fail) => ServerOptions, number, number]>> = {
    find: [(find) => ({ exports: { find } }), opt.go, rep.errUnknown],
    list: [(list) => ({ exports: { find: () => disk, list } }), opt.list, rep.errPolicy],
    'allow of an export': [
      (fail) => ({ exports: { '': disk }, allow: (_, name) => name === undefined || fail() }),
      opt.go,
      rep.errPolicy,
    ],
    measure: [
      (measure) => ({ exports: { '': { size: 8192, read, measure } } }),
      opt.info,
      rep.errUnknown,
    ],
    'the size that is measured': [
      () => {
        const backend = { size: 8192, read, measure: () => void (backend.size = Number.NaN) };
        return { exports: { '': backend } };
      },
      opt.go,
      rep.errUnknown,
    ],
  };
  for (const [what, [options, option, expected]] of Object.entries(cases)) {
    for (const [how, fail] of Object.entries(ways)) {
      test(`${what} ${how}`, async (t) => {
        const logger = new Log();
        const { connect } = await startServer(t, { ...options(fail), logger });
        const client = await connect();
        await client.greet();
        const data = option === opt.list ? undefined : goData('');
        const replies = await client.option(option, data);
        assert.deepEqual(
          replies.map(({ type }) => type),
          [expected],
        );
        assert.doesNotMatch(String(replies[0]?.data), /database/, 'why is for the log only');
        assert.deepEqual(
          logger.shown.map(({ level }) => level),
          ['error'],
        );
        const told = logger.shown[0]?.details['err'];
        assert.ok(what.startsWith('the size') ? told instanceof Error : told === reason);
        const [acknowledged] = await client.option(opt.structuredReply);
        assert.equal(acknowledged?.type, rep.ack, 'the connection goes on');
      });
    }
  }

  for (const [how, fail] of Object.entries(ways)) {
    test(`allow ${how} of one export, which leaves only that out of the list`, async (t) => {
      const logger = new Log();
      const { connect } = await startServer(t, {
        exports: { first: disk, second: disk },
        allow: (_, name) => name !== 'second' || fail(),
        logger,
      });
      const client = await connect();
      await client.greet();
      const replies = await client.option(opt.list);
      assert.deepEqual(
        replies.map(({ type }) => type),
        [rep.server, rep.ack],
      );
      assert.match(String(replies[0]?.data), /first/);
      assert.equal(logger.shown[0]?.details['err'], reason);
    });
  }

  for (const [how, measure] of Object.entries(ways)) {
    test(`measure ${how}, which closes where the option has no reply`, async (t) => {
      const logger = new Log();
      const exports = { '': { size: 8192, read, measure } };
      const client = await (await startServer(t, { exports, logger })).connect();
      await client.greet();
      client.send(optionBytes(opt.exportName));
      assert.equal((await client.closed).length, 0);
      assert.deepEqual(
        logger.shown.map(({ level, details }) => [level, details['code']]),
        [
          ['error', undefined],
          ['warn', 'NBDCORK_EXPORT_REFUSED'],
        ],
      );
    });
  }
});
