/** Which parts of a file are holes, as its file system knows it. */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../../errors.js';
import type { NativeAddon } from '../../native/addon.js';
import type { Extent } from '../backend.js';

/** What a file system without holes answers: then everything is data. */
const { EINVAL, EOPNOTSUPP, ENXIO } = constants.errno;
const noHoles: ReadonlySet<number> = new Set([-EINVAL, -EOPNOTSUPP]);

/** Data ranges that one request looks for: each costs two system calls, and the client asks for the rest. */
const dataRangesMax = 1024;

/** All of a range as data, which is always true. */
export function allData(length: number): readonly Extent[] {
  return [{ length, hole: false, zero: false }];
}

/** The extents of a regular file of `size` bytes from `offset` on, `length` bytes or fewer. */
export async function fileExtents(
  findData: NativeAddon['findData'],
  fd: number,
  {
    offset,
    length,
    size,
    one,
  }: Readonly<Record<'offset' | 'length' | 'size', number>> & {
    readonly one: boolean;
  },
): Promise<readonly Extent[]> {
  const found = new Float64Array(2 * (one ? 1 : dataRangesMax));
  const count = await findData(fd, offset, offset + length, found);
  // Nothing: a hole was made meanwhile where there had been data.
  if (noHoles.has(count) || count === 0) return allData(length);
  if (count < 0) throw seekFailed(count, offset);
  const extents: Extent[] = [];
  let position = offset;
  for (let index = 0; index < count; index++) {
    // Holes end at even indexes, data at odd ones. The file may have grown past the disk.
    const end = Math.min(found[index] ?? 0, size);
    const hole = index % 2 === 0;
    if (end > position) extents.push({ length: end - position, hole, zero: hole });
    position = Math.max(position, end);
  }
  return extents;
}

// The message reaches clients, so it does not name the file.
function seekFailed(result: number, offset: number): NbdError {
  if (result === -ENXIO) {
    return new NbdError(
      'EIO',
      `The file ends before ${offset}: it has become shorter than the disk. ` +
        'Give it its length back, or open it again.',
    );
  }
  const code = getSystemErrorName(result);
  return new NbdError(code, `Could not look for holes at ${offset} of the disk: ${code}.`);
}
