/**
 * Batches that wait while they refer to mapped files: pages that were resident
 * when the reply was made may have left the cache.
 */
import type { MappedMemory } from '../memory/mapped-memory.js';
import { pieceWidth, type Batch } from './pending-pieces.js';
import type { Lease } from './sender.js';

/** Bytes that are examined, or read on another thread, at once. */
const stepBytes = 2 ** 18;
/** A socket that has become writable accepts less than this in one call. */
const examinedBytesMax = 2 ** 20;

const noBytes = new Uint8Array(0);

interface MappedRange {
  readonly memory: MappedMemory;
  readonly start: number;
  readonly length: number;
}

/** How many bytes at the beginning can be sent without waiting for a device, as far as was examined. */
export function readyBytes(batch: Batch, bytesMax = examinedBytesMax): number {
  let bytes = 0;
  let examined = 0;
  for (let index = 0; index < batch.pieceCount; index++) {
    const range = mappedRange(batch, index);
    if (range === undefined) {
      bytes += numberOf(batch, index, 2);
      continue;
    }
    const { memory, start, length } = range;
    for (let done = 0; done < length;) {
      const step = stepLength(start + done, length - done);
      if (examined >= bytesMax || !memory.isResident(start + done, step)) return bytes + done;
      examined += step;
      done += step;
    }
    bytes += length;
  }
  return bytes;
}

/** Two batches: the first `bytes`, more than 0 and less than all, and the others. */
export function splitBatch(batch: Batch, bytes: number): readonly [Batch, Batch] {
  const { buffers, pieces, pieceCount, mapped, leases } = batch;
  let index = 0;
  let skip = bytes;
  while (skip >= numberOf(batch, index, 2)) skip -= numberOf(batch, index++, 2);
  const frontCount = skip > 0 ? index + 1 : index;
  const front = pieces.slice(0, frontCount * pieceWidth);
  const rest = pieces.slice(index * pieceWidth, pieceCount * pieceWidth);
  if (skip > 0) {
    front[front.length - 1] = skip;
    rest[1] = (rest[1] ?? 0) + skip;
    rest[2] = (rest[2] ?? 0) - skip;
  }
  return [
    // Each is cleared when it is sent.
    {
      buffers: [...buffers],
      pieces: front,
      pieceCount: frontCount,
      bytes,
      leases: [],
      mapped: [...mapped],
    },
    {
      buffers,
      pieces: rest,
      pieceCount: pieceCount - index,
      bytes: batch.bytes - bytes,
      leases,
      mapped,
    },
  ];
}

/** What has to be read before anything of a batch can be sent, of which nothing is ready. */
export function absentRange(batch: Batch): MappedRange | undefined {
  const range = mappedRange(batch, 0);
  return range && { ...range, length: stepLength(range.start, range.length) };
}

/** The batches to be sent in place of `batch`, of which the beginning was read into `bytes`. */
export function replaceStart(batch: Batch, bytes: Uint8Array, lease: Lease): readonly Batch[] {
  const copy: Batch = {
    buffers: [noBytes, bytes],
    pieces: Float64Array.of(1, 0, bytes.length),
    pieceCount: 1,
    bytes: bytes.length,
    leases: [lease],
    mapped: [],
  };
  if (bytes.length < batch.bytes) return [copy, splitBatch(batch, bytes.length)[1]];
  return [{ ...copy, leases: [lease, ...batch.leases] }];
}

/** Up to the next multiple of `stepBytes` in the file, so that steps end where blocks do. */
function stepLength(start: number, length: number): number {
  return Math.min(length, stepBytes - (start % stepBytes));
}

function mappedRange(batch: Batch, index: number): MappedRange | undefined {
  const mapping = batch.buffers[numberOf(batch, index, 0)];
  if (mapping === undefined || mapping instanceof Uint8Array) return undefined;
  const memory = batch.mapped.find((candidate) => candidate.mapping === mapping);
  if (memory === undefined) return undefined;
  return { memory, start: numberOf(batch, index, 1), length: numberOf(batch, index, 2) };
}

function numberOf({ pieces }: Batch, index: number, member: 0 | 1 | 2): number {
  return pieces[index * pieceWidth + member] ?? 0;
}
