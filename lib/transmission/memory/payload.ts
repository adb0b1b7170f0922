/**
 * The payload that is arriving: its memory, and how much of it has arrived. In
 * memory of the backend, a block of the disk changes in one step, when all of its
 * bytes have arrived: a client that dies leaves no block half written.
 */

/** A read goes straight into the memory of the payload from this size on. */
const directReadBytesMin = 16 * 1024;

/** Blocks are at least this long, whatever the disk's minimum block size. */
const wholeBlockBytesMin = 4096;

const noData: Uint8Array = new Uint8Array(0);

/** Bytes that the next read of the connection returns at least. */
export type BytesAvailable = () => number;

export class Payload {
  private memory = noData;
  /** Bytes at the beginning of `memory` that have arrived. */
  private storedBytes = 0;
  private inPlace = false;
  /** Where the payload begins on the disk. */
  private offset = 0;
  /** The beginning of the block that follows the stored bytes. */
  private partialBlock = noData;
  private partialBytes = 0;
  private readonly blockBytes: number;
  private readonly bytesAvailable: BytesAvailable | undefined;

  /** Blocks are counted from the beginning of the disk. */
  constructor(blockBytesMin: number, bytesAvailable: BytesAvailable | undefined) {
    this.blockBytes = Math.max(blockBytesMin, wholeBlockBytesMin);
    this.bytesAvailable = bytesAvailable;
  }

  /** Receive into memory that nothing else uses. */
  start(memory: Uint8Array): void {
    this.memory = memory;
    this.storedBytes = 0;
    this.inPlace = false;
  }

  /** Receive into the memory of the disk from `offset` on, in whole blocks. */
  startInPlace(memory: Uint8Array, offset: number): void {
    if (this.partialBlock.length === 0) this.partialBlock = new Uint8Array(this.blockBytes);
    this.start(memory);
    this.inPlace = true;
    this.offset = offset;
    this.partialBytes = 0;
  }

  get complete(): boolean {
    return this.storedBytes === this.memory.length;
  }

  /** The complete payload. */
  take(): Uint8Array {
    const { memory } = this;
    this.memory = noData;
    this.storedBytes = 0;
    return memory;
  }

  /** Memory for the next read to fill, if it is worth a read of its own. */
  target(): Uint8Array | undefined {
    if (this.inPlace) return this.targetInPlace();
    if (this.memory.length - this.storedBytes < directReadBytesMin) return undefined;
    return this.memory.subarray(this.storedBytes);
  }

  /** A read filled the first `count` bytes of `target`. */
  received(count: number): void {
    if (this.inPlace && this.partialBytes > 0) {
      this.partialBytes += count;
      this.storePartialBlock();
    } else {
      this.storedBytes += count;
    }
  }

  /** Copy from `at` on as much as belongs to the payload. Returns where it ends. */
  receive(bytes: Uint8Array, at: number, end: number): number {
    if (this.inPlace) return this.receiveInPlace(bytes, at, end);
    const count = Math.min(this.memory.length - this.storedBytes, end - at);
    this.store(bytes, at, count);
    return at + count;
  }

  /**
   * A read of no more than has already arrived fills its memory completely, so it
   * can end where a block does.
   */
  private targetInPlace(): Uint8Array | undefined {
    const { memory, storedBytes, partialBytes, bytesAvailable } = this;
    const missingBytes = memory.length - storedBytes - partialBytes;
    if (bytesAvailable === undefined || missingBytes < directReadBytesMin) return undefined;
    const available = Math.min(bytesAvailable(), missingBytes);
    if (available < directReadBytesMin) return undefined;
    if (partialBytes > 0) {
      // Completes the block: the reads that follow need no copy.
      const segment = this.segmentBytes;
      if (available < segment - partialBytes) return undefined;
      return this.partialBlock.subarray(partialBytes, segment);
    }
    const count = this.wholeBytes(available);
    return count === 0 ? undefined : memory.subarray(storedBytes, storedBytes + count);
  }

  private receiveInPlace(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.partialBytes > 0) {
      at += this.extendPartialBlock(bytes, at, end);
      if (this.partialBytes > 0) return at;
    }
    const whole = this.wholeBytes(Math.min(this.memory.length - this.storedBytes, end - at));
    if (whole > 0) this.store(bytes, at, whole);
    at += whole;
    return this.complete ? at : at + this.extendPartialBlock(bytes, at, end);
  }

  private extendPartialBlock(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.segmentBytes - this.partialBytes, end - at);
    this.partialBlock.set(bytes.subarray(at, at + count), this.partialBytes);
    this.partialBytes += count;
    this.storePartialBlock();
    return count;
  }

  private storePartialBlock(): void {
    const { partialBytes } = this;
    if (partialBytes < this.segmentBytes) return;
    this.partialBytes = 0;
    this.store(this.partialBlock, 0, partialBytes);
  }

  private store(bytes: Uint8Array, at: number, count: number): void {
    this.memory.set(bytes.subarray(at, at + count), this.storedBytes);
    this.storedBytes += count;
  }

  /** From the stored bytes to the end of the block, or of the payload. */
  private get segmentBytes(): number {
    const { blockBytes, storedBytes } = this;
    const toBlockEnd = blockBytes - ((this.offset + storedBytes) % blockBytes);
    return Math.min(toBlockEnd, this.memory.length - storedBytes);
  }

  /** How many of the next `count` bytes end where a block or the payload does. */
  private wholeBytes(count: number): number {
    const { storedBytes } = this;
    if (storedBytes + count === this.memory.length) return count;
    return Math.max(0, count - ((this.offset + storedBytes + count) % this.blockBytes));
  }
}
