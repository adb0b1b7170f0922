import { NbdError } from '../errors.js';
import type { Backend } from '../backend/backend.js';
import { openFile } from '../backend/file/open-file.js';
import { MemoryBackend } from '../backend/memory/memory.js';
import { parseSize } from '../backend/size.js';

/** Options of `openSource`. */
export interface OpenSourceOptions {
  /** The disk is not written: a file is opened for reading only. */
  readonly readOnly?: boolean;
}

const memoryPrefix = 'memory:';
const filePrefix = 'file:';

/**
 * The disk that `text` names: `memory:SIZE` (a new one, all zeros) or the path
 * of a regular file or block device. `file:PATH` is for a path that would
 * otherwise be taken for something else; it is not a URL.
 *
 * @throws NbdError `NBDCORK_BAD_SOURCE`, `NBDCORK_BAD_SIZE`, or what `openFile` throws.
 */
export async function openSource(text: string, options: OpenSourceOptions = {}): Promise<Backend> {
  if (text.startsWith(memoryPrefix)) {
    const disk = new MemoryBackend(parseSize(text.slice(memoryPrefix.length)));
    return options.readOnly === true ? readOnlyMemory(disk) : disk;
  }
  const path = text.startsWith(filePrefix) ? text.slice(filePrefix.length) : text;
  if (path === '' || path.includes('\0')) {
    throw new NbdError(
      'NBDCORK_BAD_SOURCE',
      `${JSON.stringify(text)} names no disk. Give the path of a file or block device, or memory:SIZE.`,
    );
  }
  return openFile(path, options);
}

/** What a backend lacks is not offered to clients. */
function readOnlyMemory(disk: MemoryBackend): Backend {
  return {
    size: disk.size,
    multiConn: disk.multiConn,
    read: (offset, length) => disk.read(offset, length),
    extents: (offset, length) => disk.extents(offset, length),
    cache: () => {
      disk.cache();
    },
    close: () => {
      disk.close();
    },
  };
}
