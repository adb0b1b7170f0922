/** close() while requests lie unread in the sockets of clients. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd, err } from '../support/numbers.js';
import { connectionKinds, startServer } from '../support/server.js';
import { createAuthority, issueCertificate, startTls } from '../support/tls.js';

const content = pattern(1000);
const writeBytes = 16 * 2 ** 20;

for (const kind of connectionKinds) {
  describe(`close() on ${kind}`, () => {
    for (const slow of [false, true]) {
      const disks = slow ? 'slow disk' : 'disk';
      test(`answers requests that it has not read yet, of a ${disks}`, async (t) => {
        const disk = slow ? new SlowDisk(t, Buffer.from(content)) : new BufferDisk(content);
        const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
        const clients = await Promise.all(Array.from({ length: 8 }, () => open()));
        if (slow) {
          const first = clients[0]?.request({ type: cmd.read, length: 10 });
          assert.ok(first !== undefined);
          if (disk instanceof SlowDisk) await disk.callsStarted(1);
        }
        // Nothing is awaited until close(): the server has no chance to read them.
        const asked = clients.map((client) => {
          const reads = Array.from({ length: 16 }, () =>
            client.expectReply({ type: cmd.read, length: 10 }),
          );
          client.send(...reads.map((read) => requestBytes('simple', read)));
          return reads;
        });
        const closing = server.close();
        if (disk instanceof SlowDisk) disk.release();
        for (const [index, client] of clients.entries()) {
          if (slow && index === 0) await client.reply();
          for (const { cookie } of asked[index] ?? []) {
            const { error, ...reply } = await client.reply();
            assert.ok(error === 0 || error === err.ESHUTDOWN);
            assert.equal(reply.cookie, cookie);
          }
          assert.equal((await client.closed).length, 0);
        }
        await closing;
      });
    }

    test('reads the rest of a WRITE that is longer than the buffers of the socket', async (t) => {
      const disk = new BufferDisk(Buffer.alloc(writeBytes));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      client.request({ type: cmd.write, payload: pattern(writeBytes) });
      const closing = server.close();
      const { error } = await client.reply();
      assert.ok(error === 0 || error === err.ESHUTDOWN);
      assert.equal((await client.closed).length, 0);
      await closing;
    });
  });
}

test('close() answers requests that it has not read yet behind TLS', async (t) => {
  const authority = await createAuthority();
  const { cert, key } = await issueCertificate(authority, 'localhost');
  const exports = { '': new BufferDisk(content) };
  const tls = { mode: 'require', certificate: cert, key } as const;
  const { server, connect } = await startServer(t, { exports, tls }, 'TCP');
  const plain = await connect();
  await plain.greet();
  const client = await startTls(plain, { ca: authority.cert });
  await client.negotiate('simple');
  const reads = Array.from({ length: 16 }, () =>
    client.expectReply({ type: cmd.read, length: 10 }),
  );
  client.send(...reads.map((read) => requestBytes('simple', read)));
  const closing = server.close();
  for (const { cookie } of reads) {
    const { error, ...reply } = await client.reply();
    assert.ok(error === 0 || error === err.ESHUTDOWN);
    assert.equal(reply.cookie, cookie);
  }
  assert.equal((await client.closed).length, 0);
  await closing;
});
