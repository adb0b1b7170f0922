import type { Backend } from '../backend/backend.js';
import { NbdError } from '../errors.js';
import type { Export, ExportCatalog, ExportListing } from '../handshake/exports.js';
import { checkContexts } from '../handshake/meta-contexts.js';
import { checkString } from '../handshake/strings.js';
import type { ExportOptions } from './options.js';

/**
 * The exports of a server by name.
 * @throws NbdError `NBDCORK_BAD_EXPORT`, `NBDCORK_BAD_STRING` or `NBDCORK_BAD_CONTEXT` for one that no client could use.
 */
export class StaticCatalog implements ExportCatalog {
  private readonly entries: ReadonlyMap<string, Export>;

  constructor(exports: Readonly<Record<string, Backend | ExportOptions>>) {
    this.entries = new Map(
      Object.entries(exports).map(([name, value]) => [name, toExport(name, value)]),
    );
    if (this.entries.size === 0) {
      throw new NbdError(
        'NBDCORK_BAD_EXPORT',
        'There is nothing to serve: give one export or more.',
      );
    }
  }

  find(name: string): Export | undefined {
    return this.entries.get(name);
  }

  list(): readonly ExportListing[] {
    return [...this.entries.values()];
  }

  backends(): ReadonlySet<Backend> {
    return new Set([...this.entries.values()].map((entry) => entry.backend));
  }
}

function toExport(name: string, value: Backend | ExportOptions): Export {
  // By what a backend must have: a filter may well have a `backend` too.
  const options = 'read' in value ? { backend: value } : value;
  checkString('name of an export', name);
  checkString('description of an export', options.description ?? '');
  checkBackend(name, options.backend);
  return { name, ...options };
}

function checkBackend(name: string, backend: Backend): void {
  const { size, blockSize } = backend;
  checkContexts(name, backend.contexts ?? []);
  if (!Number.isSafeInteger(size) || size < 0) {
    throw badExport(name, `has a size of ${size}; it must be an integer from 0 to 2^53 − 1`);
  }
  if (blockSize === undefined) return;
  const { minimum, preferred, maximum } = blockSize;
  // "Size constraints": the conditions on the three.
  if (!isPowerOfTwo(minimum) || minimum > 2 ** 16) {
    throw badExport(name, 'needs a minimum block size that is a power of two up to 65536');
  }
  if (!isPowerOfTwo(preferred) || preferred < Math.max(minimum, 512)) {
    throw badExport(name, 'needs a preferred block size that is a power of two from 512 on');
  }
  if (!Number.isInteger(maximum) || maximum < preferred || maximum >= 2 ** 32) {
    throw badExport(name, 'needs a maximum payload of at least the preferred block size');
  }
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

function badExport(name: string, why: string): NbdError {
  return new NbdError('NBDCORK_BAD_EXPORT', `The export '${name}' ${why}.`);
}
