/** nbdcork meets the requirements that `npm run conformance` checks on all servers. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Case } from './case.js';
import { cases } from './cases/index.js';
import { NotOffered, type Client } from './client.js';
import { judge } from './judge.js';
import { Subject } from './servers.js';

describe('nbdcork conforms to the specification', () => {
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
        for (const client of clients) client.disconnect();
      }
      assert.ok(!subject.hasEnded(disk));
    });
  }
});

describe('the verdict on a server', () => {
  const subject = Subject.nbdcork();
  after(() => subject.stop());
  const caseOf = (check: Case['check']): Case => ({ section: '', level: 'MUST', title: '', check });

  test('that meets a requirement is yes', async () => {
    const greets = caseOf(async (connect) => assert.equal(await (await connect()).greet(), 3));
    // No timeout, which a slow machine could exceed.
    assert.equal((await judge(greets, subject, 2 ** 31 - 1)).result, 'yes');
  });

  test('that does not meet a requirement is no, with the reason', async () => {
    const fails = caseOf(async (connect) => assert.equal((await (await connect()).take(2))[0], 1));
    const { result, reason } = await judge(fails, subject, 2 ** 31 - 1);
    assert.equal(result, 'no');
    assert.match(reason, /78 !== 1/);
  });

  test('that does not do what it MAY do is differs', async () => {
    const differs = caseOf(async (connect) =>
      assert.equal((await (await connect()).take(2))[0], 1),
    );
    const verdict = await judge({ ...differs, level: 'MAY' }, subject, 2 ** 31 - 1);
    assert.equal(verdict.result, 'differs');
  });

  test('that has no such optional feature is lacks', async () => {
    const lacks = caseOf(() => Promise.reject(new NotOffered('no such thing')));
    const verdict = await judge(lacks, subject, 2 ** 31 - 1);
    assert.deepEqual(verdict, { result: 'lacks', reason: 'no such thing' });
  });

  test('that never answers is hangs', async () => {
    const waits = caseOf(async (connect) => {
      await (await connect()).take(1000);
    });
    assert.equal((await judge(waits, subject, 1)).result, 'hangs');
  });
});
