/**
 * Encodes the extents of a metadata context as block status descriptors: equal
 * neighbours are merged, long ones split. Descriptors are gathered in a buffer that
 * is reused; the reply gets a copy of the right size.
 * Spec: "Structured reply types", NBD_REPLY_TYPE_BLOCK_STATUS and _EXT.
 */
import type { StatusExtent } from '../backend/backend.js';
import { checkedExtent } from '../backend/check-extents.js';
import { NbdError } from '../errors.js';
import { twoTo32, writeUint64 } from '../wire/uint64.js';

/** Longest extent with a 32-bit length: a multiple of every allowed minimum block size. */
const narrowBytesMax = twoTo32 - 2 ** 16;
/** Most replies have a few extents. */
const initialBytes = 2 ** 8;
/** A larger buffer is not kept for the next reply. */
const spareBytesMax = 2 ** 16;
/** The buffer of the last reply; undefined while one is being encoded. */
let spare: DataView | undefined;

/** What the client asked for and the negotiated format. */
export interface DescriptorOptions {
  /** Lengths and flags have 64 bits. */
  readonly extended: boolean;
  /** Flags may have more than 32 bits. */
  readonly wide: boolean;
  /** NBD_CMD_FLAG_REQ_ONE: one extent that does not exceed `length`. */
  readonly one: boolean;
  /** Requested bytes. */
  readonly length: number;
  /** Bytes from the offset to the end of the disk's last whole block. */
  readonly available: number;
  /** Every length is a multiple of this. */
  readonly alignment: number;
  /** Limit for extents read, and for descriptors sent. */
  readonly extentsMax: number;
}

/** Returns the payload of a chunk. @throws NbdError `EIO` for invalid extents. */
export function encodeDescriptors(
  contextId: number,
  extents: Iterable<StatusExtent>,
  options: DescriptorOptions,
): Uint8Array {
  const writer = new DescriptorWriter(contextId, options);
  const { length, available, alignment, extentsMax, one, wide } = options;
  const end = one ? length : available;
  let position = 0;
  let extentCount = 0;
  let high = 0;
  let low = 0;
  let runBytes = 0;
  for (const extent of extents) {
    const { length: extentBytes, flags } = checkedExtent(extent);
    // The last extent may end behind the last whole block.
    const bytes = Math.min(extentBytes, end - position);
    checkExtent(extentBytes, bytes, alignment);
    checkFlags(flags, wide);
    const nextHigh = upperHalf(flags);
    const nextLow = lowerHalf(flags);
    if (runBytes > 0 && (nextHigh !== high || nextLow !== low)) {
      writer.add(runBytes, high, low);
      runBytes = 0;
      if (one || writer.full) break;
    }
    high = nextHigh;
    low = nextLow;
    runBytes += bytes;
    position += bytes;
    extentCount++;
    if (position >= length || extentCount >= extentsMax) break;
  }
  if (runBytes > 0) writer.add(runBytes, high, low);
  return writer.finish();
}

class DescriptorWriter {
  private readonly extended: boolean;
  private readonly headerBytes: number;
  private readonly descriptorBytes: number;
  /** Longest extent of a descriptor. */
  private readonly extentBytesMax: number;
  /** Requested bytes. */
  private readonly length: number;
  private readonly extentsMax: number;
  private view: DataView;
  private count = 0;
  /** Bytes that the descriptors cover so far. */
  private covered = 0;

  constructor(contextId: number, { extended, one, length, extentsMax }: DescriptorOptions) {
    this.extended = extended;
    this.headerBytes = extended ? 8 : 4;
    this.descriptorBytes = extended ? 16 : 8;
    this.extentBytesMax = extended || one ? Infinity : narrowBytesMax;
    this.length = length;
    this.extentsMax = extentsMax;
    this.view = spare ?? new DataView(new ArrayBuffer(initialBytes));
    spare = undefined;
    this.view.setUint32(0, contextId);
  }

  get full(): boolean {
    return this.count >= this.extentsMax;
  }

  /** Add an extent, split into as many descriptors as its length needs. */
  add(length: number, high: number, low: number): void {
    // "The sum of the length fields of the first N-1 extents MUST be less than the requested length".
    for (let left = length; left > 0 && this.covered < this.length && !this.full;) {
      const bytes = Math.min(left, this.extentBytesMax);
      const at = this.headerBytes + this.count * this.descriptorBytes;
      if (at + this.descriptorBytes > this.view.byteLength) this.grow();
      const { view } = this;
      if (this.extended) {
        writeUint64(view, at, bytes);
        view.setUint32(at + 8, high);
        view.setUint32(at + 12, low);
      } else {
        view.setUint32(at, bytes);
        view.setUint32(at + 4, low);
      }
      this.count++;
      this.covered += bytes;
      left -= bytes;
    }
  }

  finish(): Uint8Array {
    if (this.count === 0) throw invalidExtents('empty');
    if (this.extended) this.view.setUint32(4, this.count);
    if (this.view.byteLength <= spareBytesMax) spare = this.view;
    const bytes = this.headerBytes + this.count * this.descriptorBytes;
    return new Uint8Array(this.view.buffer, 0, bytes).slice();
  }

  private grow(): void {
    const memory = new Uint8Array(2 * this.view.byteLength);
    memory.set(new Uint8Array(this.view.buffer));
    this.view = new DataView(memory.buffer);
  }
}

function upperHalf(flags: number | bigint): number {
  if (typeof flags === 'bigint') return Number(flags >> 32n);
  // Nearly all flags are small, and the division would double the cost of an extent.
  return flags < twoTo32 ? 0 : Math.floor(flags / twoTo32);
}

function lowerHalf(flags: number | bigint): number {
  return typeof flags === 'bigint' ? Number(flags & 0xffffffffn) : flags >>> 0;
}

/** A backend may be untyped JavaScript. */
function checkExtent(length: number, bytes: number, alignment: number): void {
  if (Number.isSafeInteger(length) && length > 0 && bytes % alignment === 0) return;
  throw invalidExtents(`length ${length}`);
}

function checkFlags(flags: number | bigint, wide: boolean): void {
  const max = wide ? 2 ** 64 : twoTo32;
  const integer = typeof flags === 'bigint' || Number.isSafeInteger(flags);
  if (!integer || flags < 0 || flags >= max) throw invalidExtents(`flags ${flags}`);
}

function invalidExtents(reason: string): NbdError {
  return new NbdError(
    'EIO',
    `Backend returned invalid extents: ${reason}. At least one is required; lengths must be ` +
      'multiples of the minimum block size, and flags must fit the context.',
  );
}
