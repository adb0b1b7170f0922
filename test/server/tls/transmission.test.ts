/** The transmission phase behind TLS, whose records come when they want to: what is waiting waits in order. */
import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MemoryBackend, type Backend, type TlsOptions } from '../../../lib/index.js';
import { ByteClient, headerKinds, type Headers } from '../../support/byte-client.js';
import { BufferDisk, pattern } from '../../support/disks.js';
import { cmd } from '../../support/numbers.js';
import { startServer } from '../../support/server.js';
import { createAuthority, issueCertificate, startTls } from '../../support/tls.js';

const ours = await createAuthority();
const server = await issueCertificate(ours, 'localhost');
const tls: TlsOptions = { mode: 'require', certificate: server.cert, key: server.key };
const mebibyte = 2 ** 20;

/** Answers a turn of the event loop later, so that requests have to wait for each other. */
class LateDisk extends BufferDisk {
  inProgressMost = 0;
  private inProgress = 0;

  override async read(offset: number, length: number): Promise<Uint8Array> {
    this.inProgressMost = Math.max(this.inProgressMost, ++this.inProgress);
    await nextTurn();
    this.inProgress--;
    return this.bytes.subarray(offset, offset + length);
  }

  override async write(offset: number, data: Uint8Array): Promise<void> {
    this.inProgressMost = Math.max(this.inProgressMost, ++this.inProgress);
    await nextTurn();
    this.inProgress--;
    this.bytes.set(data, offset);
  }
}

async function openSecured(
  t: TestContext,
  backend: Backend,
  headers: Headers,
  requestsInFlightMax = 256,
): Promise<ByteClient> {
  const limits = { requestsInFlightMax };
  const { connect } = await startServer(t, { exports: { '': backend }, tls, limits }, 'TCP');
  const plain = await connect();
  await plain.greet();
  const secured = await startTls(plain, { ca: ours.cert });
  await secured.negotiate(headers);
  return secured;
}

for (const headers of headerKinds) {
  describe(`behind TLS, ${headers} replies`, () => {
    test('many requests of every size, few at a time', async (t) => {
      const disk = new LateDisk(Buffer.alloc(4 * mebibyte));
      const client = await openSecured(t, disk, headers, 3);
      const content = pattern(4 * mebibyte);
      const lengths = [1, 512, 4096, 9000, 16_384, 40_000, 131_072, 200_000];
      const parts: { offset: number; length: number }[] = [];
      for (let offset = 0; offset < content.length;) {
        const wanted = lengths[parts.length % lengths.length] ?? 1;
        const length = Math.min(wanted, content.length - offset);
        parts.push({ offset, length });
        offset += length;
      }
      for (const { offset, length } of parts) {
        const payload = content.subarray(offset, offset + length);
        client.request({ type: cmd.write, offset, payload });
      }
      let unanswered = parts.length;
      while (unanswered-- > 0) assert.equal((await client.reply()).error, 0);
      assert.ok(disk.bytes.equals(content));
      const asked = new Map(
        parts.map((part) => [client.request({ type: cmd.read, ...part }), part] as const),
      );
      while (asked.size > 0) {
        const { cookie, data } = await client.reply();
        const { offset, length } = asked.get(cookie) ?? { offset: 0, length: 0 };
        assert.ok(data.equals(content.subarray(offset, offset + length)));
        asked.delete(cookie);
      }
      assert.ok(disk.inProgressMost <= 3);
    });

    test('payloads that are received straight into memory', async (t) => {
      const client = await openSecured(t, new MemoryBackend(8 * mebibyte), headers);
      const content = pattern(3 * mebibyte, 7);
      const { error } = await client.call({ type: cmd.write, offset: mebibyte, payload: content });
      assert.equal(error, 0);
      const { data } = await client.call({
        type: cmd.read,
        offset: mebibyte,
        length: content.length,
      });
      assert.ok(data.equals(content));
    });
  });
}

test('TLS is closed before the connection of a stalled client', async (t) => {
  const exports = { '': new LateDisk(Buffer.alloc(512)) };
  const { connect } = await startServer(t, { exports, tls }, 'TCP');
  const { stream } = await connect();
  const [near, far] = duplexPair();
  stream.pipe(far).pipe(stream);
  const plain = new ByteClient(near);
  await plain.greet();
  // TLS 1.3 hides of what type its records are.
  const secured = await startTls(plain, { ca: ours.cert, maxVersion: 'TLSv1.2' });
  await secured.negotiate('simple');
  const records: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => records.push(chunk));
  secured.send(Buffer.alloc(28));
  await secured.closed;
  const alert = 21;
  assert.deepEqual(
    records.map((record) => record.readUInt8(0)),
    [alert],
  );
});
