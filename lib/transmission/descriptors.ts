/**
 * The extents of a context as a reply's block status descriptors: merged, cut,
 * in one flat buffer. Caller: block-status.ts. Calls: nobody. Owns: the buffer,
 * which is the reply's when it is finished.
 * Spec: "Structured reply types", the two of BLOCK_STATUS.
 */
import type { StatusExtent } from '../backend/backend.js';
import { checkedExtent } from '../backend/check-extents.js';
import { NbdError } from '../errors.js';
import { twoTo32, writeUint64 } from '../wire/uint64.js';

/** An extent of 32 bits is cut here: a multiple of every minimum block size there can be. */
const narrowBytesMax = twoTo32 - 2 ** 16;
/** Most replies have a few. */
const descriptorsAtFirst = 8;

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
  const { length, available, alignment, extentsMax } = rules;
  const end = rules.one ? length : available;
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
    checkFlags(flags, rules.wide);
    const nextHigh = typeof flags === 'bigint' ? Number(flags >> 32n) : Math.floor(flags / twoTo32);
    const nextLow = typeof flags === 'bigint' ? Number(flags & 0xffffffffn) : flags >>> 0;
    if (run > 0 && (nextHigh !== high || nextLow !== low)) {
      writer.add(run, high, low);
      run = 0;
      if (rules.one || writer.full) break;
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
  private readonly rules: DescriptorRules;
  private readonly headerBytes: number;
  private readonly descriptorBytes: number;
  private memory: Uint8Array;
  private view: DataView;
  private count = 0;
  /** Bytes that the descriptors cover. */
  private covered = 0;

  constructor(contextId: number, rules: DescriptorRules) {
    this.rules = rules;
    this.headerBytes = rules.extended ? 8 : 4;
    this.descriptorBytes = rules.extended ? 16 : 8;
    this.memory = new Uint8Array(this.headerBytes + this.descriptorBytes * descriptorsAtFirst);
    this.view = new DataView(this.memory.buffer);
    this.view.setUint32(0, contextId);
  }

  get full(): boolean {
    return this.count >= this.rules.extentsMax;
  }

  /** An extent, in as many descriptors as its length takes. */
  add(length: number, high: number, low: number): void {
    const { extended, one } = this.rules;
    const bytesMax = extended || one ? length : narrowBytesMax;
    // "The sum of the length fields of the first N-1 extents MUST be less than the requested length".
    for (let left = length; left > 0 && this.covered < this.rules.length && !this.full;) {
      const bytes = Math.min(left, bytesMax);
      this.write(bytes, high, low);
      this.covered += bytes;
      left -= bytes;
    }
  }

  finish(): Uint8Array {
    if (this.count === 0) throw badExtents('none at all');
    if (this.rules.extended) this.view.setUint32(4, this.count);
    return this.memory.subarray(0, this.headerBytes + this.count * this.descriptorBytes);
  }

  private write(length: number, high: number, low: number): void {
    const at = this.headerBytes + this.count * this.descriptorBytes;
    if (at === this.memory.length) this.grow();
    const { view } = this;
    if (this.rules.extended) {
      writeUint64(view, at, length);
      view.setUint32(at + 8, high);
      view.setUint32(at + 12, low);
    } else {
      view.setUint32(at, length);
      view.setUint32(at + 4, low);
    }
    this.count++;
  }

  private grow(): void {
    const descriptors = Math.min(2 * this.count, this.rules.extentsMax);
    const memory = new Uint8Array(this.headerBytes + descriptors * this.descriptorBytes);
    memory.set(this.memory);
    this.memory = memory;
    this.view = new DataView(memory.buffer);
  }
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
