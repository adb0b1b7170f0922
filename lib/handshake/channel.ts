import { NbdError } from '../errors.js';

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
    await this.wait(count);
    const all = this.rest();
    if (all.byteLength > count) this.chunks = [all.subarray(count)];
    this.length = all.byteLength - count;
    return all.subarray(0, count);
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
    const all = Buffer.concat(this.chunks);
    this.chunks = [];
    this.length = 0;
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
