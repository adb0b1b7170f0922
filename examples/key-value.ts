/** A disk of 1 GiB whose blocks lie in a key-value store: here a Map, for you a database. */
import { createServer, type Backend } from 'nbdcork';

const blockBytes = 4096;
const store = new Map<number, Uint8Array>();
const zeros = new Uint8Array(blockBytes);

const disk: Backend = {
  size: 2 ** 30,

  // Clients are told to keep to whole blocks; a request that does not is refused.
  blockSize: { minimum: blockBytes, preferred: blockBytes, maximum: 2 ** 20 },

  // An answer at once. The pieces are sent as they are, without a copy.
  read(offset, length) {
    const pieces: Uint8Array[] = [];
    for (let at = offset; at < offset + length; at += blockBytes) {
      pieces.push(store.get(at) ?? zeros);
    }
    return pieces;
  },

  // An answer later: the client gets its reply when the promise is settled.
  async write(offset, data) {
    for (let at = 0; at < data.length; at += blockBytes) {
      await Promise.resolve();
      store.set(offset + at, data.subarray(at, at + blockBytes));
    }
  },
};

const server = createServer({ exports: { disk } });
await server.listen({ port: Number(process.env['PORT'] ?? '10809') });
console.log(server.uri('disk'));

process.once('SIGINT', () => void server.close());
