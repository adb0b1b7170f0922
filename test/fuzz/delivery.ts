/** How the bytes of a client are delivered: the pieces, the connection, how it reads and ends. */
import fc from 'fast-check';
import { connectionKinds, type ConnectionKind } from './target.js';

/** Pieces of a size, or pieces that end at positions, in 2^16ths of the whole. */
export type Cut = { readonly size: number } | { readonly positions: readonly number[] };

export interface Delivery {
  readonly connection: ConnectionKind;
  /** `slowly` takes a chunk a turn of the event loop. */
  readonly reading: 'at once' | 'slowly' | 'late' | 'never';
  /** `answered` ends when all replies have arrived; the others at once. */
  readonly ending: 'answered' | 'end' | 'destroy' | 'reset';
  /**
   * When the next piece is sent: `at once`, after a turn of the event loop, or while
   * a reply is read, which over a duplex is while the server sends it.
   */
  readonly pace: 'at once' | 'turns' | 'answers';
  readonly cut: Cut;
  /** Position in the stream, in 2^16ths, at which the server stops. Absent: it does not. */
  readonly stop?: number;
}

const parts = 2 ** 16;
/** Pieces of one size, at most. */
const piecesMax = 3000;

export function piecesOf(bytes: Buffer, cut: Cut): readonly Buffer[] {
  if (bytes.length === 0) return [];
  const ends: number[] = [];
  if ('size' in cut) {
    const step = Math.max(cut.size, Math.ceil(bytes.length / piecesMax));
    for (let end = step; end < bytes.length; end += step) ends.push(end);
  } else {
    ends.push(...cut.positions.map((position) => Math.floor((bytes.length * position) / parts)));
    ends.sort((a, b) => a - b);
  }
  return [0, ...ends]
    .map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length))
    .filter((piece) => piece.length > 0);
}

export const wholeCut: Cut = { size: 2 ** 30 };

const cuts: fc.Arbitrary<Cut> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(wholeCut) },
  { weight: 1, arbitrary: fc.record({ size: fc.integer({ min: 1, max: 70 }) }) },
  { weight: 1, arbitrary: fc.record({ size: fc.integer({ min: 1, max: 100_000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ positions: fc.array(fc.nat(parts), { minLength: 1, maxLength: 12 }) }),
  },
);
const readings = fc.oneof(
  { weight: 5, arbitrary: fc.constant('at once' as const) },
  { weight: 2, arbitrary: fc.constantFrom('slowly' as const, 'late' as const) },
  { weight: 1, arbitrary: fc.constant('never' as const) },
);
const endings = fc.oneof(
  { weight: 4, arbitrary: fc.constant('answered' as const) },
  { weight: 3, arbitrary: fc.constant('end' as const) },
  { weight: 1, arbitrary: fc.constantFrom('destroy' as const, 'reset' as const) },
);
const connections = fc.oneof(
  { weight: 8, arbitrary: fc.constant<ConnectionKind>('duplex') },
  { weight: 1, arbitrary: fc.constantFrom(...connectionKinds) },
);
const stops = fc.oneof(
  { weight: 30, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.nat(parts) },
);

export const deliveries: fc.Arbitrary<Delivery> = fc
  .record({
    connection: connections,
    reading: readings,
    ending: endings,
    pace: fc.constantFrom('at once' as const, 'turns' as const, 'answers' as const),
    cut: cuts,
    stop: stops,
  })
  .map(({ stop, ...delivery }) => {
    const { reading, ending } = delivery;
    // A client that never reads cannot see an orderly end.
    const patient = reading === 'never' && (ending === 'answered' || ending === 'end');
    const result = { ...delivery, ending: patient ? 'destroy' : ending };
    return stop === undefined ? result : { ...result, stop };
  });
