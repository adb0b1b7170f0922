/** `unreadByPeer` and `pendingBytes` change while a slow reader reads: the stall watch depends on it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { pendingBytes } from '../../lib/sockets/handle.js';
import { unreadByPeer } from '../../lib/sockets/peer.js';
import { until } from '../support/server.js';
import { createAuthority, issueCertificate } from '../support/tls.js';
import { openTcp, openUnix, type SocketLink } from '../transport/support/links.js';
import { withoutAddon } from '../transport/support/strategies.js';

const mebibyte = 2 ** 20;
/** TCP announces free space only from a sixteenth of the receive buffer on. */
const readBytesMax = mebibyte;

interface Ends {
  readonly writable: Writable;
  readonly beneath: Writable;
  readonly readable: Readable;
}

async function secured({ sender, receiver }: SocketLink): Promise<Ends> {
  const ours = await createAuthority();
  const { key, cert } = await issueCertificate(ours, 'localhost');
  const writable = new TLSSocket(sender, { isServer: true, key, cert });
  const readable = connectTls({ socket: receiver, ca: ours.cert, host: 'localhost' });
  await once(readable, 'secureConnect');
  return { writable, beneath: sender, readable };
}

function plain({ sender, receiver }: SocketLink): Ends {
  return { writable: sender, beneath: sender, readable: receiver };
}

const kinds: readonly (readonly [string, (t: TestContext) => Promise<Ends>])[] = [
  ['TCP', async (t) => plain(await openTcp(t))],
  ['Unix', async (t) => plain(await openUnix(t))],
  ['TLS over TCP', async (t) => secured(await openTcp(t))],
  ['TLS over Unix', async (t) => secured(await openUnix(t))],
];

async function readOnce(readable: Readable): Promise<number> {
  readable.resume();
  const [chunk] = (await once(readable, 'data')) as [Buffer];
  readable.pause();
  return chunk.length;
}

describe('unreadByPeer and pendingBytes', { skip: withoutAddon }, () => {
  for (const [name, open] of kinds) {
    test(`change while a slow reader reads, over ${name}`, async (t) => {
      const { writable, beneath, readable } = await open(t);
      const waiting = (): number => pendingBytes(writable) + unreadByPeer(beneath);
      // More than the kernel buffers at both ends, in two writes, of which one stays pending in full.
      for (let count = 0; count < 2; count++) writable.write(Buffer.alloc(32 * mebibyte));
      await until(() => unreadByPeer(beneath) > 0 && pendingBytes(writable) > 0);
      let readBytes = 0;
      for (let before = waiting(); waiting() === before;) {
        readBytes += await readOnce(readable);
        assert.ok(readBytes <= readBytesMax, `${readBytes} bytes were read without a change`);
      }
    });
  }
});
