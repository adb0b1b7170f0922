/** What is asked of all servers by `npm run conformance`, nbdcork does. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Case } from './case.js';
import { cases } from './cases/index.js';
import { NotOffered, type Client } from './client.js';
import { judge } from './judge.js';
import { Subject } from './servers.js';

describe('nbdcork does what the specification asks', () => {
  const subject = Subject.nbdcork();
  after(() => subject.stop());

  for (const { section, title, disk = 'writable', check } of cases) {
    test(`${section}: ${title}`, async () => {
      const clients: Client[] = [];
      try {
        await check(async () => {
          const client = await subject.connect(disk);
          clients.push(client);
          return client;
        });
      } finally {
        for (const client of clients) client.leave();
      }
      assert.ok(!subject.hasEnded(disk));
    });
  }
});

describe('a server', () => {
  const subject = Subject.nbdcork();
  after(() => subject.stop());
  const asks = (check: Case['check']): Case => ({ section: '', level: 'MUST', title: '', check });

  test('that does as it is asked is told so', async () => {
    const greets = asks(async (connect) => assert.equal(await (await connect()).greet(), 3));
    // No time is long enough that a machine could not be too slow for it.
    assert.equal((await judge(greets, subject, 2 ** 31 - 1)).is, 'yes');
  });

  test('that does otherwise is told why', async () => {
    const fails = asks(async (connect) => assert.equal((await (await connect()).take(2))[0], 1));
    const { is, why } = await judge(fails, subject, 2 ** 31 - 1);
    assert.equal(is, 'no');
    assert.match(why, /78 !== 1/);
  });

  test('that does not do what it may do is no culprit either', async () => {
    const differs = asks(async (connect) => assert.equal((await (await connect()).take(2))[0], 1));
    const verdict = await judge({ ...differs, level: 'MAY' }, subject, 2 ** 31 - 1);
    assert.equal(verdict.is, 'differs');
  });

  test('that lacks what it need not have is no culprit', async () => {
    const lacks = asks(() => Promise.reject(new NotOffered('no such thing')));
    const verdict = await judge(lacks, subject, 2 ** 31 - 1);
    assert.deepEqual(verdict, { is: 'lacks', why: 'no such thing' });
  });

  test('that never answers is given up', async () => {
    const waits = asks(async (connect) => {
      await (await connect()).take(1000);
    });
    assert.equal((await judge(waits, subject, 1)).is, 'hangs');
  });
});
