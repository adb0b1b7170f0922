/** Random uses of a transport as data: generated and shrunk by fast-check, executed by `play`. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { headerBytesMax, type Transport } from '../../../lib/transport/index.js';
import type { Material } from './material.js';
import { tick, type Receiver } from './receiving.js';
import { assertUncorked } from './strategies.js';

interface Part {
  readonly header: boolean;
  readonly length: number;
}

export type Operation =
  /** One message, with one `send` for each piece. */
  | { readonly kind: 'send'; readonly lengths: readonly number[] }
  /** One message by `sendv`. */
  | { readonly kind: 'sendv'; readonly lengths: readonly number[] }
  /** One message by `header`, `append` and `endMessage`. */
  | { readonly kind: 'build'; readonly parts: readonly Part[] }
  /** One message of many short pieces. */
  | { readonly kind: 'vector'; readonly count: number; readonly length: number }
  /** Messages that consist of a header. */
  | { readonly kind: 'headers'; readonly count: number; readonly length: number }
  | { readonly kind: 'gather' | 'flush' | 'tick' | 'drain' | 'sent' | 'read' | 'stop' };

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
      kind: fc.constantFrom('gather', 'flush', 'tick', 'drain', 'sent', 'read', 'stop'),
    }),
  },
);

export const script: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 1,
  maxLength: 40,
  size: 'max',
});

/** Write a header into memory that the transport reserves. */
export function writeHeader(transport: Transport, bytes: Uint8Array): void {
  const at = transport.header(bytes.length);
  const { buffer, byteOffset } = transport.headers;
  new Uint8Array(buffer, byteOffset + at, bytes.length).set(bytes);
}

/** Execute a script. Asserts after each operation that TCP_CORK is off. */
export async function play(
  operations: readonly Operation[],
  transport: Transport,
  material: Material,
  receiver: Receiver,
): Promise<void> {
  const player = new Player(transport, material, receiver);
  for (const operation of operations) {
    await player.play(operation);
    assertUncorked(transport.stream);
  }
}

class Player {
  /** Pending from a result `false` to the stream's 'drain'. */
  private waiting: Promise<void> | undefined;

  constructor(
    private readonly transport: Transport,
    private readonly material: Material,
    private readonly receiver: Receiver,
  ) {}

  async play(operation: Operation): Promise<void> {
    const { transport, material, receiver } = this;
    switch (operation.kind) {
      case 'send':
        this.sendEach(material.pieces(operation.lengths));
        break;
      case 'sendv':
        this.note(transport.sendv(material.pieces(operation.lengths)));
        break;
      case 'build':
        this.build(operation.parts);
        break;
      case 'vector': {
        const each = new Array<number>(operation.count).fill(operation.length);
        this.note(transport.sendv(material.pieces(each)));
        break;
      }
      case 'headers':
        for (let count = operation.count; count > 0; count--) {
          this.build([{ header: true, length: operation.length }]);
        }
        break;
      case 'gather':
        transport.gather();
        break;
      case 'flush':
        this.note(transport.flush());
        break;
      case 'read':
        receiver.read();
        break;
      case 'stop':
        receiver.stop();
        break;
      case 'tick':
        await tick();
        break;
      case 'drain':
        receiver.read();
        await this.waiting;
        break;
      case 'sent':
        await this.sent();
        break;
    }
  }

  private async sent(): Promise<void> {
    this.receiver.read();
    await this.transport.sent();
    assert.equal(this.transport.queuedBytes, 0);
    this.material.overwrite();
  }

  private sendEach(pieces: readonly Uint8Array[]): void {
    const last = pieces.length - 1;
    pieces.forEach((piece, index) => {
      this.note(this.transport.send(piece, index < last));
    });
  }

  private build(parts: readonly Part[]): void {
    for (const { header, length } of parts) {
      const bytes = this.material.piece(length);
      if (header) {
        writeHeader(this.transport, bytes);
      } else {
        const half = length >> 1;
        this.transport.append(bytes, 0, half);
        this.transport.append(bytes, half);
      }
    }
    this.note(this.transport.endMessage());
  }

  /** After `false` the stream emits 'drain'. */
  private note(mayContinue: boolean): void {
    assert.equal(this.transport.needsDrain, !mayContinue);
    if (!mayContinue) {
      this.waiting ??= this.transport.drained().then(() => (this.waiting = undefined));
    }
  }
}
