/** A message through a transport: the addon's way, and the fallback to Node's streams. */
import { attach } from '../../lib/transport/attach.js';
import type { MicroSubject } from './measure.js';
import { bytesMax, pieceBytes, pieceCounts } from './pieces.js';
import type { Pair } from './sockets.js';

export function transportSubjects({ near, drain }: Pair, hasAddon: boolean): MicroSubject[] {
  const names = hasAddon ? (['batched', 'stream'] as const) : (['stream'] as const);
  return names.flatMap((strategy) => {
    const transport = attach(near, { strategy });
    return pieceCounts.map((pieces) => {
      const vector = Array.from({ length: pieces }, () => new Uint8Array(pieceBytes));
      return {
        name: strategy === 'stream' ? 'a message by streams, the fallback' : 'a message, batched',
        pieces,
        repeat: (count: number) => {
          for (let index = 0; index < count; index++) {
            transport.sendv(vector);
            transport.flush();
          }
          return transport.sent();
        },
        between: drain,
        countMax: Math.max(1, Math.floor(bytesMax / (pieces * pieceBytes) / 16)),
      };
    });
  });
}
