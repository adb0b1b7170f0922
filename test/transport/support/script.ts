/** Random uses of a transport, as data: made and shrunk by fast-check, played by `play`. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { headerBytesMax, type Transport } from '../../../lib/transport/index.js';
import type { Material } from './material.js';
import { drained, tick, type Receiver } from './receiving.js';
import { assertUncorked } from './strategies.js';

interface Part {
  readonly header: boolean;
  readonly length: number;
}

export type Operation =
  /** One message, a `send` a piece. */
  | { readonly kind: 'send'; readonly lengths: readonly number[] }
  /** One message by `sendv`. */
  | { readonly kind: 'sendv'; readonly lengths: readonly number[] }
  /** One message by `header`, `append` and `endMessage`. */
  | { readonly kind: 'build'; readonly parts: readonly Part[] }
  /** One message of many short pieces. */
  | { readonly kind: 'vector'; readonly count: number; readonly length: number }
  /** Messages that are a header and nothing else. */
  | { readonly kind: 'headers'; readonly count: number; readonly length: number }
  | { readonly kind: 'gather' | 'flush' | 'tick' | 'drain' | 'read' | 'stop' };

const anyLength = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 64 }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 9000 }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 4095, 4096, 4097, 16384, 65536) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 20 }) },
);
const lengths = fc.array(anyLength, { maxLength: 5 });
const part = fc.oneof(
  fc.record({ header: fc.constant(true), length: fc.integer({ min: 0, max: headerBytesMax }) }),
  fc.record({ header: fc.constant(false), length: anyLength }),
);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('send'), lengths }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('sendv'), lengths }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('build'),
      parts: fc.array(part, { maxLength: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('vector'),
      count: fc.integer({ min: 1000, max: 3500 }),
      length: fc.integer({ min: 0, max: 40 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('headers'),
      count: fc.integer({ min: 100, max: 1200 }),
      length: fc.integer({ min: 0, max: 40 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('gather', 'flush', 'tick', 'drain', 'read', 'stop'),
    }),
  },
);

export const script: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 1,
  maxLength: 40,
  size: 'max',
});

/** Put a message header where the transport makes room for it. */
export function writeHeader(transport: Transport, bytes: Uint8Array): void {
  const at = transport.header(bytes.length);
  const { buffer, byteOffset } = transport.headers;
  new Uint8Array(buffer, byteOffset + at, bytes.length).set(bytes);
}

/** Do what the script says. TCP_CORK is seen to be off behind each operation. */
export async function play(
  operations: readonly Operation[],
  transport: Transport,
  material: Material,
  receiver: Receiver,
): Promise<void> {
  for (const next of operations) {
    if (next.kind === 'drain') {
      receiver.read();
      await drained(transport.stream);
    } else if (next.kind === 'tick') {
      await tick();
    } else {
      playOne(next, transport, material, receiver);
    }
    assertUncorked(transport.stream);
  }
}

function playOne(
  operation: Operation,
  transport: Transport,
  material: Material,
  receiver: Receiver,
): void {
  switch (operation.kind) {
    case 'send':
      sendEach(transport, material.pieces(operation.lengths));
      break;
    case 'sendv':
      agree(transport, transport.sendv(material.pieces(operation.lengths)));
      break;
    case 'build':
      build(transport, material, operation.parts);
      break;
    case 'vector': {
      const each = new Array<number>(operation.count).fill(operation.length);
      agree(transport, transport.sendv(material.pieces(each)));
      break;
    }
    case 'headers':
      for (let count = operation.count; count > 0; count--) {
        build(transport, material, [{ header: true, length: operation.length }]);
      }
      break;
    case 'gather':
      transport.gather();
      break;
    case 'flush':
      agree(transport, transport.flush());
      break;
    case 'read':
      receiver.read();
      break;
    case 'stop':
      receiver.stop();
      break;
    default:
      assert.fail(`no operation ${operation.kind}`);
  }
}

function sendEach(transport: Transport, pieces: readonly Uint8Array[]): void {
  const last = pieces.length - 1;
  pieces.forEach((piece, index) => agree(transport, transport.send(piece, index < last)));
}

function build(transport: Transport, material: Material, parts: readonly Part[]): void {
  for (const { header, length } of parts) {
    const bytes = material.piece(length);
    if (header) writeHeader(transport, bytes);
    else transport.append(bytes);
  }
  agree(transport, transport.endMessage());
}

/** `false` is a promise that the stream's 'drain' comes, or that the stream is gone. */
function agree(transport: Transport, taken: boolean): void {
  const { stream } = transport;
  assert.equal(taken, stream.writable && !stream.writableNeedDrain);
}
