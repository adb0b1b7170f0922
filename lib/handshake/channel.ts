import { NbdError } from '../errors.js';

const nothing = Buffer.alloc(0);

/**
 * Bytes of the handshake: pushed as they come, taken in the lengths that the
 * protocol names. It holds little: the reader is paused past `bytesMax`.
 */
export class Channel {
  private chunks: Buffer[] = [];
  private length = 0;
  private wanted = 0;
  private waiter: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  private closedBy: NbdError | undefined;
  private readonly bytesMax: number;
  private readonly readOn: () => void;

  constructor(bytesMax: number, readOn: () => void) {
    this.bytesMax = bytesMax;
    this.readOn = readOn;
  }

  /** Copies `bytes`. False asks not to read on until `readOn` is called. */
  push(bytes: Uint8Array): boolean {
    this.chunks.push(Buffer.from(bytes));
    this.length += bytes.byteLength;
    if (this.length >= this.wanted) this.wake();
    return this.length < Math.max(this.bytesMax, this.wanted);
  }

  /** The peer will send nothing more: whoever waits for bytes fails. */
  close(error: NbdError): void {
    this.closedBy ??= error;
    this.waiter?.reject(this.closedBy);
    this.waiter = undefined;
  }

  /** Exactly `count` bytes. */
  async take(count: number): Promise<Buffer> {
    if (count === 0) return nothing;
    await this.wait(count);
    const [first] = this.chunks;
    // Joined only where the first chunk is too short, which uses up what it had:
    // no byte is copied more than twice, in however many pieces all is taken.
    const bytes = first !== undefined && first.byteLength >= count ? first : this.join();
    if (bytes.byteLength === count && this.chunks.length === 1) this.chunks = [];
    else this.chunks[0] = bytes.subarray(count);
    this.length -= count;
    return bytes.subarray(0, count);
  }

  /** Drop `count` bytes as they come, holding none of them. */
  async skip(count: number): Promise<void> {
    let left = count;
    while (left > 0) {
      await this.wait(1);
      left -= (await this.take(Math.min(left, this.length))).byteLength;
    }
  }

  /** Nothing has come that was not taken. */
  get empty(): boolean {
    return this.length === 0;
  }

  /** What has come and was not taken. */
  rest(): Buffer {
    const all = this.join();
    this.chunks = [];
    this.length = 0;
    return all;
  }

  /** What has come, as one chunk. */
  private join(): Buffer {
    const [first = nothing] = this.chunks;
    const all = this.chunks.length > 1 ? Buffer.concat(this.chunks) : first;
    this.chunks = [all];
    return all;
  }

  private async wait(count: number): Promise<void> {
    while (this.length < count) {
      if (this.closedBy !== undefined) throw this.closedBy;
      this.wanted = count;
      const arrived = new Promise<void>((resolve, reject) => {
        this.waiter = { resolve, reject };
      });
      this.readOn();
      await arrived;
    }
  }

  private wake(): void {
    this.waiter?.resolve();
    this.waiter = undefined;
  }
}
