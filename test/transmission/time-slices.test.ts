/** A client cannot occupy the event loop, however expensive its requests are. */
import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import type { Backend, Extent, ServerOptions } from '../../lib/index.js';
import { timeSliceBytesMax, timeSliceMs } from '../../lib/transmission/time-slice.js';
import { ByteClient, type RequestFields, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import {
  connectionKinds,
  startServer,
  eventLoopTurn,
  until,
  type ConnectionKind,
  type TestServer,
} from '../support/server.js';
import { createAuthority, issueCertificate, startTls } from '../support/tls.js';

const content = pattern(10_000);
const ours = await createAuthority();
const certificate = await issueCertificate(ours, 'localhost');

/** Answers at once, on a clock on which every call takes `callMs`. */
class SlowDisk implements Backend {
  readonly size = content.length;
  readonly fua = true;
  calls = 0;
  private readonly callMs: number;
  private nowMs = 1000;

  constructor(t: TestContext, callMs: number) {
    this.callMs = callMs;
    t.mock.method(performance, 'now', () => this.nowMs);
  }

  read(offset: number, length: number): Uint8Array {
    return content.subarray(offset, offset + length);
  }

  write(): void {
    // Not used by these tests.
  }

  flush(): void {
    this.work();
  }

  trim(): void {
    this.work();
  }

  writeZeroes(): void {
    this.work();
  }

  cache(): void {
    this.work();
  }

  *extents(_offset: number, length: number): Generator<Extent, void> {
    this.work();
    yield { length, hole: false, zero: false };
  }

  private work(): void {
    this.calls++;
    this.nowMs += this.callMs;
  }
}

const commands: Readonly<Record<string, RequestFields>> = {
  FLUSH: { type: cmd.flush },
  TRIM: { type: cmd.trim, length: 10 },
  WRITE_ZEROES: { type: cmd.writeZeroes, length: 10, flags: cmdFlag.noHole },
  CACHE: { type: cmd.cache, length: 10 },
  BLOCK_STATUS: { type: cmd.blockStatus, length: 10, flags: cmdFlag.reqOne },
};

/** As many as fit one TLS record. */
const count = 300;

async function openClient({ connect }: TestServer, kind: Where, name: string): Promise<ByteClient> {
  const client = await connect();
  await client.greet();
  const ready = kind === 'TLS' ? await startTls(client, { ca: ours.cert }) : client;
  await ready.negotiate('structured', name, ['base:allocation']);
  return ready;
}

type Where = ConnectionKind | 'TLS';

/** A server with the slow disk and an ordinary one, and a client of each. */
async function startScene(t: TestContext, kind: Where, callMs: number) {
  const disk = new SlowDisk(t, callMs);
  const options: ServerOptions = {
    exports: { '': disk, ordinary: new BufferDisk(Buffer.from(content)) },
    busyPollMicroseconds: 0,
    ...(kind === 'TLS' && { tls: { certificate: certificate.cert, key: certificate.key } }),
  };
  const serving = await startServer(t, options, kind === 'TLS' ? 'TCP' : kind);
  const ordinary = await openClient(serving, kind, 'ordinary');
  const greedy = await openClient(serving, kind, '');
  return { disk, greedy, ordinary, server: serving.server };
}

/** Many requests that arrive together. */
function flood(client: ByteClient, fields: RequestFields): bigint[] {
  const asked = Array.from({ length: count }, () => client.expectReply({ ...fields }));
  client.send(...asked.map((request) => requestBytes(client.headers, request)));
  return asked.map(({ cookie }) => cookie);
}

for (const kind of [...connectionKinds, 'TLS'] as const) {
  describe(`a client with expensive requests, on ${kind}`, () => {
    for (const [name, fields] of Object.entries(commands)) {
      test(`${name} lets other clients proceed, and all are answered in order`, async (t) => {
        const { disk, greedy, ordinary } = await startScene(t, kind, timeSliceMs / 2);
        const cookies = flood(greedy, fields);
        await until(() => disk.calls > 0);
        const { data } = await ordinary.call({ type: cmd.read, offset: 5, length: 100 });
        assert.deepEqual(data, content.subarray(5, 105));
        assert.ok(disk.calls < count, 'the ordinary client had to wait for all of it');
        for (const cookie of cookies) {
          const reply = await greedy.reply();
          assert.equal(reply.cookie, cookie);
          assert.equal(reply.error, 0);
        }
        assert.equal(disk.calls, count);
        // And it may go on.
        assert.equal((await greedy.call({ type: cmd.read, length: 10 })).error, 0);
      });
    }

    test('gets all replies after it has half-closed the connection', async (t) => {
      const { disk, greedy } = await startScene(t, kind, timeSliceMs);
      const cookies = flood(greedy, { type: cmd.trim, length: 10 });
      await until(() => disk.calls > 0);
      greedy.stream.end();
      for (const cookie of cookies) assert.equal((await greedy.reply()).cookie, cookie);
      assert.equal((await greedy.closed).length, 0);
      assert.equal(disk.calls, count);
    });

    test('has the rest refused when the server stops', async (t) => {
      const { disk, greedy, server } = await startScene(t, kind, timeSliceMs);
      const cookies = flood(greedy, { type: cmd.trim, length: 10 });
      await until(() => disk.calls > 0);
      const closing = server.close();
      const done = disk.calls;
      for (const [index, cookie] of cookies.entries()) {
        const reply = await greedy.reply();
        assert.equal(reply.cookie, cookie);
        assert.equal(reply.error, index < done ? 0 : err.ESHUTDOWN);
      }
      assert.equal((await greedy.closed).length, 0);
      await closing;
      assert.ok(done < count);
    });

    test('has no further time slice after it has disconnected', async (t) => {
      const { disk, greedy, server } = await startScene(t, kind, timeSliceMs);
      flood(greedy, { type: cmd.trim, length: 10 });
      await until(() => disk.calls > 0);
      greedy.stream.destroy();
      await until(() => server.connectionCount === 1);
      const { calls } = disk;
      assert.ok(calls < count);
      for (let turns = 0; turns < 5; turns++) await eventLoopTurn();
      assert.equal(disk.calls, calls);
    });
  });
}

describe('a client with cheap requests', () => {
  test('has them answered in one time slice', async (t) => {
    const { disk, greedy } = await startScene(t, 'Unix', timeSliceMs / count / 2);
    const cookies = flood(greedy, { type: cmd.flush });
    await until(() => disk.calls > 0);
    assert.equal(disk.calls, count);
    for (const cookie of cookies) assert.equal((await greedy.reply()).cookie, cookie);
  });

  test('has a new time slice in every turn of the event loop', async (t) => {
    const { disk, greedy } = await startScene(t, 'Unix', timeSliceMs / 20);
    // Together they are more than a turn.
    const before = 25;
    for (let rounds = 0; rounds < before; rounds++) {
      assert.equal((await greedy.call({ type: cmd.flush })).error, 0);
    }
    const requests = Array.from({ length: 10 }, () => greedy.expectReply({ type: cmd.flush }));
    greedy.send(...requests.map((request) => requestBytes('simple', request)));
    await until(() => disk.calls > before);
    assert.equal(disk.calls, before + requests.length);
  });
});

for (const [how, options] of Object.entries({
  'without backpressure': { highWaterMark: 2 ** 30 },
  'with immediate drain': {},
})) {
  test(`a client that reads as fast as replies are sent, ${how}, gets at most timeSliceBytesMax in a slice`, async (t) => {
    const data = pattern(2 ** 20);
    let reads = 0;
    const disk: Backend = { size: data.length, read: () => (reads++, data) };
    const { server } = await startServer(t, { exports: { '': disk } }, 'duplex');
    const [near, far] = duplexPair(options);
    t.after(() => near.destroy());
    far._write = (chunk: Buffer, _encoding, done) => {
      done();
      near.push(chunk);
    };
    void server.serve(far);
    const client = new ByteClient(near);
    await client.open();
    const turns = 6;
    const inTurn = timeSliceBytesMax / data.length;
    const asked = Array.from({ length: turns * inTurn }, () =>
      client.expectReply({ type: cmd.read, length: data.length }),
    );
    client.send(...asked.map((request) => requestBytes('simple', request)));
    const steps: number[] = [];
    let seen = 0;
    await until(() => {
      steps.push(reads - seen);
      seen = reads;
      return reads === asked.length;
    });
    // Between two looks the server may have had two.
    assert.ok(Math.max(...steps) <= 2 * inTurn, String(steps));
    for (const { cookie } of asked) assert.equal((await client.reply()).cookie, cookie);
  });
}
