import { constants } from 'node:os';
import { NbdError } from '../../errors.js';
import type { Extent } from '../backend.js';
import { failures, systemError, truncatedMessage } from './io/errors.js';
import type { FindData } from './io/file-io.js';

/** Data ranges that one request looks for: each costs two system calls, and the client asks for the rest. */
const dataRangesMax = 1024;

/** Results of a file system without holes: then everything is data. */
const withoutHoles = failures('EINVAL', 'EOPNOTSUPP');

interface Query {
  readonly offset: number;
  readonly length: number;
  /** The size of the disk. */
  readonly size: number;
  readonly one: boolean;
  /** Extents begin and end at multiples of it. */
  readonly blockBytes: number;
}

/** All of a range as data, which is always correct. */
export function allData(length: number): readonly Extent[] {
  return [{ length, hole: false, zero: false }];
}

/** The extents of a regular file, as its file system knows them. `Backend.extents` says which. */
export async function fileExtents(
  findData: FindData,
  fd: number,
  { offset, length, size, one, blockBytes }: Query,
): Promise<readonly Extent[]> {
  const found = new Float64Array(2 * (one ? 1 : dataRangesMax));
  const count = await findData(fd, offset, offset + length, found);
  // None is found where data became a hole during the search.
  if (withoutHoles.has(count) || count === 0) return allData(length);
  if (count === -constants.errno.ENXIO) throw new NbdError('EIO', truncatedMessage(offset));
  if (count < 0) throw systemError(count, `look for holes at ${offset} of the disk`);
  const extents: Extent[] = [];
  let position = offset;
  for (let index = 0; index < count; index++) {
    // Holes end at even indexes, data at odd ones. The file may have grown past the disk.
    const hole = index % 2 === 0;
    const blocks = (found[index] ?? 0) / blockBytes;
    // A block that has data in part is data.
    const end = Math.min((hole ? Math.floor(blocks) : Math.ceil(blocks)) * blockBytes, size);
    if (end > position) extents.push({ length: end - position, hole, zero: hole });
    position = Math.max(position, end);
  }
  return extents;
}
