import type { MappedMemory } from '../memory/mapped-memory.js';
import { piecesMax } from './pending-pieces.js';
import { SocketTransport } from './socket.js';

/** One sendmsg(2) for each message. */
export class VectoredTransport extends SocketTransport {
  readonly strategy: 'vectored' | 'batched' = 'vectored';

  override readonly sendsMappings = true;

  override appendMapping(memory: MappedMemory, start: number, length: number): void {
    if (length === 0) return;
    if (this.pieceCount === piecesMax) this.sendPending(true);
    this.addMapped(memory, start, length);
  }

  protected override sendPieces(): number {
    this.counters.sends++;
    return this.addon.sendmsg(this.fd, this.buffers, this.pieces, 0, this.pieceCount);
  }
}
