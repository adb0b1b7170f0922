/** close(): what is in progress is answered, nothing is left behind. */
import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { createServer, NbdError, type Backend } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';

import {
  ByteClient,
  goData,
  headerKinds,
  optionBytes,
  requestBytes,
} from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd, err, opt, rep } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn, until } from '../support/server.js';

const content = pattern(100_000);

for (const kind of connectionKinds) {
  describe(`close() on ${kind}`, () => {
    test('disconnects idle clients, in the negotiation and after', async (t) => {
      const disk = new BufferDisk(content);
      const { server, connect, open } = await startServer(t, { exports: { '': disk } }, kind);
      const greeted = await connect();
      await greeted.greet();
      const opened = await open();
      await opened.call({ type: cmd.read, length: 1 });
      await server.close();
      assert.equal((await greeted.closed).length, 0);
      assert.equal((await opened.closed).length, 0);
      assert.equal(server.connectionCount, 0);
    });

    for (const headers of headerKinds) {
      test(`waits for requests in progress, with ${headers} headers`, async (t) => {
        const disk = new SlowDisk(t, Buffer.from(content));
        const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
        const client = await open(headers);
        const read = client.request({ type: cmd.read, offset: 9, length: 90 });
        const write = client.request({ type: cmd.write, payload: Buffer.alloc(5, 1) });
        await disk.callsStarted(2);
        let closed = false;
        const closing = server.close().then(() => (closed = true));
        for (let count = 0; count < 20; count++) await eventLoopTurn();
        assert.equal(closed, false);
        disk.finish();
        const reply = await client.reply();
        assert.equal(reply.cookie, read);
        assert.deepEqual(reply.data, content.subarray(9, 99));
        assert.equal(closed, false);
        assert.equal(disk.closed, 0);
        disk.finish();
        assert.deepEqual((await client.reply()).cookie, write);
        assert.equal((await client.closed).length, 0);
        disk.release();
        await closing;
        assert.equal(disk.closed, 1);
      });

      // "The error value issued in respect of [...] any subsequently received requests"
      test(`refuses requests while it waits, with ${headers} headers`, async (t) => {
        const disk = new SlowDisk(t, Buffer.from(content));
        const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
        const client = await open(headers);
        const read = client.request({ type: cmd.read, offset: 9, length: 90 });
        await disk.callsStarted(1);
        const closing = server.close();
        for (const fields of [
          { type: cmd.read, length: 10 },
          { type: cmd.write, payload: Buffer.alloc(50_000) },
          { type: cmd.flush },
        ]) {
          assert.equal((await client.call(fields)).error, err.ESHUTDOWN);
        }
        assert.equal(disk.started, 1);
        disk.finish();
        assert.equal((await client.reply()).cookie, read);
        assert.equal((await client.closed).length, 0);
        disk.release();
        await closing;
      });
    }

    test('is not held up by a client that never stops asking', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      const fields = { type: cmd.read, length: 10 };
      const cookie = client.request(fields);
      await disk.callsStarted(1);
      const closing = server.close();
      for (let count = 0; count < 10; count++) {
        assert.equal((await client.call(fields)).error, err.ESHUTDOWN);
      }
      disk.finish();
      assert.equal((await client.reply()).cookie, cookie);
      await until(() => {
        const over = client.stream.readableEnded;
        if (!over) client.request(fields);
        return over;
      });
      disk.release();
      await closing;
      assert.equal(disk.callsPeak, 1);
    });

    test('sends replies that a client has not read yet', async (t) => {
      const disk = new BufferDisk(content);
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      client.stream.pause();
      const reads = Array.from({ length: 64 }, () =>
        client.expectReply({ type: cmd.read, length: 100_000 }),
      );
      client.send(...reads.map((read) => requestBytes('simple', read)));
      await until(() => disk.calls.length > 0);
      const closing = server.close();
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      client.stream.resume();
      let read = 0;
      for (const { cookie } of reads) {
        const { error, data, ...reply } = await client.reply();
        assert.equal(reply.cookie, cookie);
        // What no room was left for had not begun.
        if (error === err.ESHUTDOWN) continue;
        assert.ok(data.equals(content));
        read++;
      }
      await closing;
      assert.equal((await client.closed).length, 0);
      assert.deepEqual(disk.calls, [
        ...Array.from({ length: read }, () => 'read 0 100000'),
        'flush',
        'close',
      ]);
    });

    test('executes no request that follows, and sends the replies', async (t) => {
      const disk = new BufferDisk(pattern(16 * 2 ** 20));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      client.stream.pause();
      client.request({ type: cmd.read, length: disk.size });
      await until(() => disk.calls.length === 1);
      const closing = server.close();
      for (let count = 0; count < 10; count++) {
        client.request({ type: cmd.writeZeroes, length: 100 });
        await eventLoopTurn();
      }
      client.stream.resume();
      assert.ok((await client.reply()).data.equals(pattern(disk.size)));
      const rest = await client.closed;
      for (let at = 0; at < rest.length; at += 16) {
        assert.equal(rest.readUInt32BE(at + 4), err.ESHUTDOWN);
      }
      await closing;
      assert.deepEqual(disk.calls, [`read 0 ${disk.size}`, 'flush', 'close']);
    });

    test('closes connections and backends after shutdownTimeoutMs', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const disk = Object.assign(new SlowDisk(t, Buffer.from(content)), { flush: () => undefined });
      const options = { exports: { '': disk }, limits: { shutdownTimeoutMs: 7000 } };
      const { server, open } = await startServer(t, options, kind, {
        expectCloseError: 'NBDCORK_SHUTDOWN_TIMEOUT',
      });
      const client = await open();
      client.request({ type: cmd.read, length: 10 });
      await disk.callsStarted(1);
      const closing = server.close();
      // Four fifths are for clients, the rest for backends.
      t.mock.timers.tick(5599);
      for (let count = 0; count < 20; count++) await eventLoopTurn();
      assert.equal(server.connectionCount, 1);
      t.mock.timers.tick(1);
      assert.equal((await client.closed).length, 0);
      await until(() => server.connectionCount === 0);
      for (let count = 0; count < 20; count++) await eventLoopTurn();
      assert.equal(disk.closed, 0);
      // The backend does not answer either: it is closed all the same, and given up.
      t.mock.timers.tick(700);
      await assert.rejects(closing, { code: 'NBDCORK_SHUTDOWN_TIMEOUT' });
      assert.equal(disk.closed, 1);
      // The answer comes too late for anybody.
      disk.finish();
      await eventLoopTurn();
    });

    test('closes the connection of a client that does not read', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const disk = new BufferDisk(pattern(2 ** 20));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      client.stream.pause();
      for (let count = 0; count < 100; count++) {
        client.request({ type: cmd.read, length: 2 ** 20 });
      }
      await until(() => disk.calls.length > 0);
      const closing = server.close();
      for (let count = 0; count < 20; count++) await eventLoopTurn();
      t.mock.timers.tick(8000);
      await closing;
      assert.equal(server.connectionCount, 0);
    });
  });
}

describe('close()', () => {
  test('refuses options of negotiating clients while requests of others are in progress', async (t) => {
    const disk = new SlowDisk(t, Buffer.from(content));
    const { server, open, connect } = await startServer(t, { exports: { '': disk } });
    const [busy, asking, old, leaving] = [
      await open(),
      await connect(),
      await connect(),
      await connect(),
    ];
    for (const client of [asking, old, leaving]) await client.greet();
    busy.request({ type: cmd.read, length: 10 });
    await disk.callsStarted(1);
    const closing = server.close();
    const [reply] = await asking.option(opt.go, goData(''));
    assert.equal(reply?.type, 0x80000007); // NBD_REP_ERR_SHUTDOWN
    assert.match(reply.data.toString(), /the server is stopping/);
    // "If the client receives NBD_REP_ERR_SHUTDOWN it MUST initiate a soft disconnect."
    assert.equal((await asking.option(opt.list)).at(-1)?.type, 0x80000007);
    assert.deepEqual(await asking.option(opt.abort), [{ type: rep.ack, data: Buffer.alloc(0) }]);
    assert.equal((await asking.closed).length, 0);
    assert.equal((await leaving.option(opt.abort)).at(-1)?.type, rep.ack);
    old.send(optionBytes(opt.exportName));
    assert.equal((await old.closed).length, 0);
    disk.release();
    assert.equal((await busy.reply()).error, 0);
    await closing;
  });

  test('waits for requests of clients that are gone', async (t) => {
    const disk = new SlowDisk(t, Buffer.from(content));
    const { server, open } = await startServer(t, { exports: { '': disk } }, 'TCP');
    const client = await open();
    client.request({ type: cmd.write, payload: Buffer.alloc(512) });
    await disk.callsStarted(1);
    assert.ok(client.stream instanceof Socket);
    client.stream.resetAndDestroy();
    await until(() => server.connectionCount === 0);
    const closing = server.close();
    for (let count = 0; count < 20; count++) await eventLoopTurn();
    assert.equal(disk.closed, 0);
    disk.release();
    await closing;
    assert.equal(disk.closed, 1);
  });

  test('gives up a backend that never closes', async () => {
    const disk: Backend = {
      size: 512,
      read: () => content,
      close: () => new Promise<void>(() => undefined),
    };
    const server = createServer({ exports: { '': disk }, limits: { shutdownTimeoutMs: 30 } });
    await assert.rejects(server.close(), { code: 'NBDCORK_SHUTDOWN_TIMEOUT' });
  });

  test('of an idle server ends at once, as often as it is called', async () => {
    const disk = new BufferDisk(content);
    const server = createServer({ exports: { '': disk } });
    const closing = server.close();
    assert.equal(server.close(), closing);
    await closing;
    await server.close();
    assert.deepEqual(disk.calls, ['flush', 'close']);
  });

  test('flushes and closes every backend once, though it has several names', async () => {
    const [first, second] = [new BufferDisk(content), new BufferDisk(content)];
    const server = createServer({
      exports: { a: first, b: { backend: first, readOnly: true }, c: second },
    });
    await server.listen({ port: 0 });
    await server.close();
    assert.deepEqual(first.calls, ['flush', 'close']);
    assert.deepEqual(second.calls, ['flush', 'close']);
  });

  test('closes a backend that fails to flush', async () => {
    let closed = 0;
    const disk: Backend = {
      size: 512,
      read: () => content,
      write: () => undefined,
      flush: () => Promise.reject(new Error('no room')),
      close: () => {
        closed++;
      },
    };
    const lost = { code: 'NBDCORK_DATA_LOST', message: /no room/ };
    await assert.rejects(createServer({ exports: { '': disk } }).close(), lost);
    assert.equal(closed, 1);
  });

  test('flushes and closes open backends while others are still opening', async (t) => {
    const late = new BufferDisk(content);
    let arrive: () => void = () => undefined;
    const opening = new Promise<void>((resolve) => (arrive = resolve));
    let asked = false;
    const backend = async (): Promise<Backend> => {
      asked = true;
      await opening;
      return late;
    };
    const ready = new BufferDisk(content);
    const readyClosed = new Promise<void>((resolve) => (ready.close = resolve));
    const exports = { a: ready, b: { backend } };
    const { server, connect } = await startServer(t, { exports });
    const client = await connect();
    await client.greet();
    client.send(optionBytes(opt.go, goData('b')));
    await until(() => asked);
    const closing = server.close();
    await Promise.race([readyClosed, closing]);
    assert.deepEqual(ready.calls, ['flush']);
    assert.deepEqual(late.calls, []);
    arrive();
    await closing;
    assert.deepEqual(late.calls, ['flush', 'close']);
  });

  test('does not wait for a finder', async (t) => {
    let asked = false;
    const find = (): Promise<Backend> => {
      asked = true;
      return new Promise(() => undefined);
    };
    const { server, connect } = await startServer(t, { exports: { find } });
    const client = await connect();
    await client.greet();
    client.send(optionBytes(opt.go, goData('a')));
    await until(() => asked);
    await server.close();
  });

  test('does not flush a backend that cannot be written', async () => {
    const calls: string[] = [];
    const backend: Backend = {
      size: 1,
      read: () => new Uint8Array(1),
      flush: () => void calls.push('flush'),
      close: () => void calls.push('close'),
    };
    await createServer({ exports: { '': backend } }).close();
    assert.deepEqual(calls, ['close']);
  });

  test('reports backends that fail, and closes the others', async () => {
    const errors: object[] = [];
    const quiet = () => undefined;
    const logger = {
      debug: quiet,
      info: quiet,
      warn: quiet,
      error: (details: object) => errors.push(details),
    };
    const failing = (when: 'flush' | 'close', how: () => never | Promise<never>): Backend =>
      Object.assign(new BufferDisk(content), { [when]: how });
    const good = new BufferDisk(content);
    const refuse = () => Promise.reject(new Error('no'));
    const raise = () => {
      throw new Error('no');
    };
    const exports = {
      a: failing('flush', refuse),
      b: failing('close', raise),
      c: failing('close', refuse),
      d: good,
    };
    await assert.rejects(createServer({ exports, logger }).close(), (error) => {
      assert.ok(error instanceof NbdError && error.code === 'NBDCORK_DATA_LOST');
      assert.ok(error.cause instanceof AggregateError);
      assert.equal(error.cause.errors.length, 3);
      return true;
    });
    assert.equal(errors.length, 3);
    assert.deepEqual(good.calls, ['flush', 'close']);
  });

  test('removes the file of its Unix socket', async (t) => {
    const { server } = await startServer(t, { exports: { '': new BufferDisk(content) } });
    const [address] = server.addresses;
    assert.ok(address !== undefined && 'path' in address);
    await access(address.path);
    await server.close();
    await assert.rejects(access(address.path));
  });

  test('accepts no further clients', async (t) => {
    const disk = new SlowDisk(t, content);
    const { server, open } = await startServer(t, { exports: { '': disk } }, 'TCP');
    const client = await open();
    client.request({ type: cmd.read, length: 1 });
    await disk.callsStarted(1);
    const closing = server.close();
    const [near, far] = duplexPair();
    const serving = server.serve(far);
    assert.ok(far.destroyed);
    await serving;
    near.destroy();
    disk.release();
    await closing;
  });
});

test('close() flushes and settles although a stream passed to the server never closes', async (t) => {
  const disk = new BufferDisk(Buffer.from(content));
  const options = { exports: { '': disk }, limits: { shutdownTimeoutMs: 100 } };
  const { server } = await startServer(t, options, 'duplex', {
    expectCloseError: 'NBDCORK_SHUTDOWN_TIMEOUT',
  });
  const [near, far] = duplexPair();
  far._destroy = () => undefined;
  void server.serve(far);
  const client = new ByteClient(near);
  await client.open();
  await assert.rejects(server.close(), { code: 'NBDCORK_SHUTDOWN_TIMEOUT' });
  assert.deepEqual(disk.calls, ['flush', 'close']);
  near.destroy();
});
