/** A disk of 1 GiB whose blocks are values in a key-value store: here a Map. */
import { createServer, type Backend } from 'nbdcork';

const blockBytes = 4096;
const zeros = new Uint8Array(blockBytes);
const store = new Map<number, Uint8Array>();

const disk: Backend = {
  size: 2 ** 30,
  blockSize: { minimum: blockBytes, preferred: blockBytes, maximum: 2 ** 20 },
  read(offset, length) {
    const blocks = Array.from({ length: length / blockBytes }, (_, i) => offset + i * blockBytes);
    return blocks.map((at) => store.get(at) ?? zeros); // sent without a copy
  },
  async write(offset, data) {
    for (let at = 0; at < data.length; at += blockBytes) {
      await Promise.resolve(); // replies may be sent later, and in any order
      store.set(offset + at, data.subarray(at, at + blockBytes));
    }
  },
};

const server = createServer({ exports: { disk } });
await server.listen({ port: Number(process.env['PORT'] ?? '10809') });
console.log(server.uri('disk'));
process.once('SIGINT', () => void server.close());
