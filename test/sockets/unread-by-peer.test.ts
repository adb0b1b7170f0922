/** What waits for a slow reader grows less as it reads, however slowly: who is cut goes by that. */
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
/** TCP tells the sender of room only where there is a sixteenth of the receiver's buffer. */
const takenMax = mebibyte;

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

async function take(readable: Readable): Promise<number> {
  readable.resume();
  const [chunk] = (await once(readable, 'data')) as [Buffer];
  readable.pause();
  return chunk.length;
}

describe('what the peer has not taken', { skip: withoutAddon }, () => {
  for (const [name, open] of kinds) {
    test(`changes with what a slow reader takes, over ${name}`, async (t) => {
      const { writable, beneath, readable } = await open(t);
      const waiting = (): number => pendingBytes(writable) + unreadByPeer(beneath);
      // More than the kernel keeps for both ends, in two writes, one of which waits whole.
      for (let count = 0; count < 2; count++) writable.write(Buffer.alloc(32 * mebibyte));
      await until(() => unreadByPeer(beneath) > 0 && pendingBytes(writable) > 0);
      let taken = 0;
      for (let before = waiting(); waiting() === before;) {
        taken += await take(readable);
        assert.ok(taken <= takenMax, `${taken} bytes were taken without a change`);
      }
    });
  }
});
