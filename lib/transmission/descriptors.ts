/**
 * The extents of a context as a reply's block status descriptors: merged, cut,
 * in one flat buffer. Caller: block-status.ts. Calls: nobody. Owns: the memory
 * that they are gathered in, of which a reply gets a copy as long as it needs.
 * Spec: "Structured reply types", the two of BLOCK_STATUS.
 */
import type { StatusExtent } from '../backend/backend.js';
import { checkedExtent } from '../backend/check-extents.js';
import { NbdError } from '../errors.js';
import { twoTo32, writeUint64 } from '../wire/uint64.js';

/** An extent of 32 bits is cut here: a multiple of every minimum block size there can be. */
const narrowBytesMax = twoTo32 - 2 ** 16;
/** Most replies have a few extents. */
const bytesAtFirst = 2 ** 8;
/** More than this is not kept for the next reply. */
const spareBytesMax = 2 ** 16;
/** What the last reply was gathered in. Taken while one is written, so that no other one writes there. */
let spare: DataView | undefined;

/** What a reply may say. */
export interface DescriptorRules {
  /** Lengths and flags have 64 bits. */
  readonly extended: boolean;
  /** Flags may have more than 32 bits. */
  readonly wide: boolean;
  /** NBD_CMD_FLAG_REQ_ONE: one extent that does not exceed `length`. */
  readonly one: boolean;
  /** What was asked for, in bytes. */
  readonly length: number;
  /** Bytes from there to where the disk ends, or its last whole block does. */
  readonly available: number;
  /** Every length is a multiple of it. */
  readonly alignment: number;
  /** Extents that are looked at, and the most that are told. */
  readonly extentsMax: number;
}

/** The payload of a chunk. @throws NbdError `EIO` for extents that make no sense. */
export function describe(
  contextId: number,
  extents: Iterable<StatusExtent>,
  rules: DescriptorRules,
): Uint8Array {
  const writer = new DescriptorWriter(contextId, rules);
  const { length, available, alignment, extentsMax, one, wide } = rules;
  const end = one ? length : available;
  let position = 0;
  let looked = 0;
  let high = 0;
  let low = 0;
  let run = 0;
  for (const extent of extents) {
    const { length: told, flags } = checkedExtent(extent);
    // The end of the disk need not be that of a block.
    const bytes = Math.min(told, end - position);
    checkExtent(told, bytes, alignment);
    checkFlags(flags, wide);
    const nextHigh = upperHalf(flags);
    const nextLow = lowerHalf(flags);
    if (run > 0 && (nextHigh !== high || nextLow !== low)) {
      writer.add(run, high, low);
      run = 0;
      if (one || writer.full) break;
    }
    high = nextHigh;
    low = nextLow;
    run += bytes;
    position += bytes;
    looked++;
    if (position >= length || looked >= extentsMax) break;
  }
  if (run > 0) writer.add(run, high, low);
  return writer.finish();
}

class DescriptorWriter {
  private readonly extended: boolean;
  private readonly headerBytes: number;
  private readonly descriptorBytes: number;
  /** The longest extent that a descriptor may tell of. */
  private readonly bytesMax: number;
  /** What was asked for, in bytes. */
  private readonly length: number;
  private readonly extentsMax: number;
  private view: DataView;
  private count = 0;
  /** Bytes that the descriptors cover. */
  private covered = 0;

  constructor(contextId: number, { extended, one, length, extentsMax }: DescriptorRules) {
    this.extended = extended;
    this.headerBytes = extended ? 8 : 4;
    this.descriptorBytes = extended ? 16 : 8;
    this.bytesMax = extended || one ? Infinity : narrowBytesMax;
    this.length = length;
    this.extentsMax = extentsMax;
    this.view = spare ?? new DataView(new ArrayBuffer(bytesAtFirst));
    spare = undefined;
    this.view.setUint32(0, contextId);
  }

  get full(): boolean {
    return this.count >= this.extentsMax;
  }

  /** An extent, in as many descriptors as its length takes. */
  add(length: number, high: number, low: number): void {
    // "The sum of the length fields of the first N-1 extents MUST be less than the requested length".
    for (let left = length; left > 0 && this.covered < this.length && !this.full;) {
      const bytes = Math.min(left, this.bytesMax);
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
    if (this.count === 0) throw badExtents('none at all');
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
  // Nearly all flags are small, and a division would take as long as all the rest.
  return flags < twoTo32 ? 0 : Math.floor(flags / twoTo32);
}

function lowerHalf(flags: number | bigint): number {
  return typeof flags === 'bigint' ? Number(flags & 0xffffffffn) : flags >>> 0;
}

/** A backend may be JavaScript that never saw a type. */
function checkExtent(told: number, bytes: number, alignment: number): void {
  if (Number.isSafeInteger(told) && told > 0 && bytes % alignment === 0) return;
  throw badExtents(`one of ${told} bytes`);
}

function checkFlags(flags: number | bigint, wide: boolean): void {
  const max = wide ? 2 ** 64 : twoTo32;
  const integer = typeof flags === 'bigint' || Number.isSafeInteger(flags);
  if (!integer || flags < 0 || flags >= max) throw badExtents(`one with the flags ${flags}`);
}

function badExtents(what: string): NbdError {
  return new NbdError(
    'EIO',
    `The backend told of extents that cannot be: ${what}. There must be one at least, with whole ` +
      'multiples of the minimum block size and with flags of the bits that the context has.',
  );
}
