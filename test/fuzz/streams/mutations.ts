/** Mutations of a valid stream: other bits, bytes and numbers. */
import fc from 'fast-check';

/** A fraction of the whole, in 2^16ths, which means the same at any length of the stream. */
const part = fc.nat(2 ** 16 - 1);
const position = fc.record({
  /** A message, and an offset in it: most often in its first fields. */
  message: part,
  byte: fc.oneof({ weight: 4, arbitrary: fc.nat(35) }, { weight: 1, arbitrary: fc.nat(5000) }),
});

const extremes = [
  ...[0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 2n ** 25n, 2n ** 25n + 1n],
  ...[2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n],
];

export const mutations = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), position, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), position, length: fc.nat(80) }),
  fc.record({ kind: fc.constant('truncate' as const), position }),
  fc.record({
    kind: fc.constant('insert' as const),
    position,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 60 }),
  }),
  fc.record({ kind: fc.constant('duplicate' as const), position, length: fc.nat(600) }),
  fc.record({ kind: fc.constant('repeat' as const), message: part }),
  fc.record({
    kind: fc.constant('number' as const),
    position,
    width: fc.constantFrom(2, 4, 8),
    value: fc.constantFrom(...extremes),
  }),
);
export type Mutation = typeof mutations extends fc.Arbitrary<infer T> ? T : never;

/** The messages as one stream, with the mutations applied. */
export function mutate(messages: readonly Buffer[], all: readonly Mutation[]): Buffer {
  let stream: Buffer = Buffer.concat(messages);
  const starts = messages.map((_, index) =>
    messages.slice(0, index).reduce((sum, { length }) => sum + length, 0),
  );
  const at = (where: { message: number; byte: number }): number => {
    const start = starts[Math.floor((where.message * starts.length) / 2 ** 16)] ?? 0;
    return Math.min(start + where.byte, Math.max(0, stream.length - 1));
  };
  for (const mutation of all) {
    if (stream.length === 0) break;
    if (mutation.kind === 'repeat') {
      const message = messages[Math.floor((mutation.message * messages.length) / 2 ** 16)];
      stream = Buffer.concat([stream, message ?? Buffer.alloc(0)]);
    } else {
      stream = changed(stream, mutation, at(mutation.position));
    }
  }
  return stream;
}

function changed(
  stream: Buffer,
  mutation: Exclude<Mutation, { kind: 'repeat' }>,
  at: number,
): Buffer {
  const [before, after] = [stream.subarray(0, at), stream.subarray(at)];
  switch (mutation.kind) {
    case 'flip': {
      const flipped = Buffer.of((stream[at] ?? 0) ^ (1 << mutation.bit));
      return Buffer.concat([before, flipped, after.subarray(1)]);
    }
    case 'cut':
      return Buffer.concat([before, after.subarray(mutation.length)]);
    case 'truncate':
      return before;
    case 'insert':
      return Buffer.concat([before, mutation.bytes, after]);
    case 'duplicate':
      return Buffer.concat([before, after.subarray(0, mutation.length), after]);
    case 'number': {
      const { width, value } = mutation;
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(value);
      return Buffer.concat([before, bytes.subarray(8 - width), after.subarray(width)]);
    }
  }
}
