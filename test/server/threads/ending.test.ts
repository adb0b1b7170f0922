/** Threads that end: all of them with the server, or one by a fault. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { openSource } from '../../../lib/index.js';
import { withoutAddon } from '../../native/support/native.js';
import { requestBytes, type Reply } from '../../support/byte-client.js';
import { pattern } from '../../support/disks.js';
import { canMakeFaultyFiles, slowFile } from '../../support/faulty-file.js';
import { Log } from '../../support/log.js';
import { cmd } from '../../support/numbers.js';
import { startServer, until } from '../../support/server.js';
import { newFile, watchThreads } from './support/threads.js';

const threads = 2;

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('close()', { skip: withoutAddon }, () => {
  test('answers the requests in progress on all threads', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const disk = await openSource(await slowFile(t, 'delay-write=300ms'), { direct: true });
    const log = new Log();
    const options = { exports: { '': disk }, threads, logger: log };
    const { server, open } = await startServer(t, options);
    const clients = [await open(), await open()];
    const cookies = clients.map((client, index) =>
      client.request({ type: cmd.write, offset: index * 4096, payload: pattern(4096) }),
    );
    // Refused at once, after the write has begun: there is one order on a connection.
    const invalid = clients.map((client) =>
      client.request({ type: cmd.read, offset: 2 ** 40, length: 1 }),
    );
    const replies = await Promise.all(clients.map((client) => client.reply()));
    assert.deepEqual(
      replies.map(({ cookie }) => cookie),
      invalid,
      'the writes are in progress',
    );
    const closing = server.close();
    const written: Reply[] = await Promise.all(clients.map((client) => client.reply()));
    assert.deepEqual(
      written.map(({ cookie, error }) => [cookie, error]),
      cookies.map((cookie) => [cookie, 0]),
      JSON.stringify(log.shown),
    );
    await closing;
    for (const client of clients) assert.equal((await client.closed).length, 0);
  });

  test('keeps what was answered, and leaves no descriptor and no thread behind', async (t) => {
    const before = openDescriptors();
    const workers = watchThreads(t);
    const path = await newFile(t);
    const exports = { '': await openSource(path) };
    const { server, open } = await startServer(t, { exports, threads }, 'TCP');
    const exits = workers.map((worker) => once(worker, 'exit'));
    for (let count = 0; count < 4; count++) {
      const client = await open();
      const payload = pattern(4096, count);
      const offset = count * 4096;
      assert.equal((await client.call({ type: cmd.write, offset, payload })).error, 0);
      client.stream.destroy();
    }
    await server.close();
    await Promise.all(exits);
    await until(() => openDescriptors() <= before);
    const content = await readFile(path);
    for (let count = 0; count < 4; count++) {
      assert.deepEqual(content.subarray(count * 4096, (count + 1) * 4096), pattern(4096, count));
    }
  });
});

describe('a thread that ends', { skip: withoutAddon }, () => {
  test('takes its connections along and nothing else, and is replaced', async (t) => {
    const workers = watchThreads(t);
    const path = await newFile(t);
    const log = new Log();
    const exports = {
      '': await openSource(path),
      memory: await openSource('memory:1M', { shared: true }),
    };
    const { server, open } = await startServer(t, { exports, threads, logger: log });
    const [first, second] = [await open('simple', 'memory'), await open('simple', 'memory')];
    const payload = pattern(4096);
    assert.equal((await first.call({ type: cmd.write, payload })).error, 0);
    // The file at the path is not the disk any more.
    await rm(path);
    await workers[0]?.terminate();
    const entry = await log.find(({ level }) => level === 'error');
    assert.match(entry.message, /^a thread has ended, and its connections with it/);
    await first.closed;
    await until(() => server.connectionCount === 1);
    assert.deepEqual((await second.call({ type: cmd.read, length: 4096 })).data, payload);
    const replacement = workers[2];
    assert.ok(replacement !== undefined);
    await once(replacement, 'message');
    const [third, fourth] = [await open('simple', 'memory'), await open()];
    assert.deepEqual((await third.call({ type: cmd.read, length: 4096 })).data, payload);
    assert.deepEqual((await fourth.call({ type: cmd.read, length: 9 })).data, Buffer.alloc(9));
    assert.equal(server.connectionCount, 3);
  });

  test('closes also the connections that it had not taken over', async (t) => {
    const workers = watchThreads(t);
    const exports = { '': await openSource(await newFile(t)) };
    const { server, connect } = await startServer(t, { exports, threads });
    const ended = workers.map((worker) => worker.terminate());
    const client = await connect();
    await client.closed;
    await Promise.all(ended);
    await until(() => server.connectionCount === 0);
  });

  test('is reported with its error, and one that meets garbage on a connection goes on', async (t) => {
    const exports = { '': await openSource(await newFile(t)) };
    const log = new Log();
    const { open } = await startServer(t, { exports, threads, logger: log });
    const [bad, good] = [await open(), await open()];
    bad.send(Buffer.alloc(28, 0xee));
    await bad.closed;
    good.send(requestBytes('simple', good.expectReply({ type: cmd.read, length: 512 })));
    assert.equal((await good.reply()).error, 0);
    await log.find(
      ({ level, message }) => level === 'warn' && message.startsWith('connection closed'),
    );
  });
});
