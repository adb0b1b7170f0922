import type { Backend, MaybePromise } from '../backend/backend.js';
import { openFile } from '../backend/file/open-file.js';
import { MemoryBackend } from '../backend/memory/memory-backend.js';
import { MemoryFile } from '../backend/memory/memory-file.js';
import { ZeroBackend } from '../backend/memory/zero-backend.js';
import { parseSize } from '../backend/size.js';
import { codeOf, NbdError } from '../errors.js';
import { wordsFor } from './lookalikes.js';

/** Options of `openSource`. */
export interface OpenSourceOptions {
  /** The disk cannot be written: a file is opened for reading only. */
  readonly readOnly?: boolean;
  /** False opens a file without an advisory lock: see `OpenFileOptions`. */
  readonly lock?: boolean;
  /** True opens a file for direct I/O: see `OpenFileOptions`. */
  readonly direct?: boolean;
  /** True takes what was transferred out of the system's cache: see `OpenFileOptions`. */
  readonly dropCache?: boolean;
  /** Serves the bytes of a file as they are: see `OpenFileOptions`. */
  readonly format?: 'raw';
  /**
   * True makes a memory disk that the threads of a server with `threads` share.
   * It is slower than one of a single thread, and needs the addon. Other sources
   * can be shared in any case.
   */
  readonly shared?: boolean;
}

/** Opens a source of one kind. `text` is the source without the prefix of that kind. */
type OpenKind = (text: string, options: OpenSourceOptions) => MaybePromise<Backend>;

/** The kinds of sources, by prefix. Text that has none of these prefixes is a path. */
const kinds: Readonly<Record<string, OpenKind>> = {
  'memory:': openMemory,
  'file:': openPath,
};

/**
 * The disk that `text` names: `memory:SIZE` (a new disk of zeros in memory) or
 * the path of a regular file or block device. `file:PATH` is a path too, also
 * where it begins like another kind of source; it is not a URL.
 *
 * @throws NbdError `NBDCORK_BAD_SOURCE`, `NBDCORK_BAD_SIZE`, or what `openFile` throws;
 *   `NBDCORK_OPEN_FAILED` for a shared memory disk without the addon.
 */
export async function openSource(text: string, options: OpenSourceOptions = {}): Promise<Backend> {
  for (const [prefix, open] of Object.entries(kinds)) {
    if (text.startsWith(prefix)) return open(text.slice(prefix.length), options);
  }
  try {
    return await openPath(text, options);
  } catch (error) {
    const words = codeOf(error) === 'NBDCORK_NOT_FOUND' ? wordsFor(text) : undefined;
    throw words === undefined ? error : new NbdError('NBDCORK_BAD_SOURCE', words, error);
  }
}

function openMemory(
  size: string,
  { readOnly = false, shared = false }: OpenSourceOptions,
): Backend {
  const bytes = parseSize(size);
  if (readOnly) return new ZeroBackend(bytes);
  return shared ? MemoryFile.create(bytes) : new MemoryBackend(bytes);
}

function openPath(path: string, options: OpenSourceOptions): Promise<Backend> {
  if (path !== '' && !path.includes('\0')) return openFile(path, options);
  throw new NbdError(
    'NBDCORK_BAD_SOURCE',
    `${JSON.stringify(path)} is not a path. Give the path of a file or block device, or memory:SIZE.`,
  );
}
