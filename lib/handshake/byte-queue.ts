import type { NbdError } from '../errors.js';

const noBytes = new Uint8Array(0);

/**
 * The bytes of the handshake: pushed as they are received, taken in the lengths
 * that the protocol specifies. It asks the reader to pause when it holds
 * `bytesMax`, so a client cannot fill the memory.
 */
export class ByteQueue {
  private chunks: Uint8Array[] = [];
  private length = 0;
  /** The length that `waiter` waits for. */
  private wanted = 0;
  private waiter: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  private closedBy: NbdError | undefined;
  private readonly bytesMax: number;
  private readonly resume: () => void;

  /** @param resume Called when the queue needs more bytes than it has. */
  constructor(bytesMax: number, resume: () => void) {
    this.bytesMax = bytesMax;
    this.resume = resume;
  }

  /** Copies `bytes`. False asks the reader to pause until `resume` is called. */
  push(bytes: Uint8Array): boolean {
    this.chunks.push(new Uint8Array(bytes));
    this.length += bytes.byteLength;
    if (this.length >= this.wanted) this.wake();
    return this.length < Math.max(this.bytesMax, this.wanted);
  }

  /** No more bytes will be pushed: whatever waits for some fails with `error`. */
  close(error: NbdError): void {
    this.closedBy ??= error;
    this.waiter?.reject(this.closedBy);
    this.waiter = undefined;
  }

  /** Exactly `count` bytes. */
  async take(count: number): Promise<Uint8Array> {
    if (count === 0) return noBytes;
    await this.waitFor(count);
    const [first] = this.chunks;
    // Joined only when the first chunk is too short, which uses it up: no byte
    // is copied more than twice, whatever the sizes of pushes and takes.
    const bytes = first !== undefined && first.byteLength >= count ? first : this.join();
    if (bytes.byteLength === count && this.chunks.length === 1) this.chunks = [];
    else this.chunks[0] = bytes.subarray(count);
    this.length -= count;
    return bytes.subarray(0, count);
  }

  /** Drop the next `count` bytes without holding them. */
  async skip(count: number): Promise<void> {
    let left = count;
    while (left > 0) {
      await this.waitFor(1);
      left -= (await this.take(Math.min(left, this.length))).byteLength;
    }
  }

  get empty(): boolean {
    return this.length === 0;
  }

  /** Takes everything that the queue holds. */
  takeAll(): Uint8Array {
    const all = this.join();
    this.chunks = [];
    this.length = 0;
    return all;
  }

  /** Turns everything that the queue holds into one chunk. */
  private join(): Uint8Array {
    const [first = noBytes] = this.chunks;
    if (this.chunks.length <= 1) return first;
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.byteLength;
    }
    this.chunks = [all];
    return all;
  }

  private async waitFor(count: number): Promise<void> {
    while (this.length < count) {
      if (this.closedBy !== undefined) throw this.closedBy;
      this.wanted = count;
      const pushed = new Promise<void>((resolve, reject) => {
        this.waiter = { resolve, reject };
      });
      this.resume();
      await pushed;
    }
  }

  private wake(): void {
    this.waiter?.resolve();
    this.waiter = undefined;
  }
}
