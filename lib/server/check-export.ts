import type { Backend } from '../backend/backend.js';
import { NbdError } from '../errors.js';
import type { ExportListing } from '../handshake/exports.js';
import { checkContexts } from '../handshake/meta-contexts.js';
import { checkString } from '../handshake/strings.js';
import { quoted } from '../quoted.js';
import type { ExportOptions } from './options.js';

/** Known by what a backend must have: a filter may well have a `backend` too. */
export function optionsOf(value: Backend | ExportOptions): ExportOptions {
  return 'read' in value ? { backend: value } : value;
}

/** @throws NbdError `NBDCORK_BAD_STRING` for what cannot be told to clients. */
export function checkListing({ name, description = '' }: ExportListing): void {
  checkString('name of an export', name);
  checkString('description of an export', description);
}

/** @throws NbdError `NBDCORK_BAD_STRING` or `NBDCORK_BAD_EXPORT`. */
export function checkOptions(name: string, options: ExportOptions): void {
  const { description } = options;
  checkListing({ name, ...(description !== undefined && { description }) });
  if (options.perConnection === true && typeof options.backend !== 'function') {
    throw badExport(name, 'has one backend for all: to be perConnection it needs a function');
  }
}

/** @throws NbdError `NBDCORK_BAD_EXPORT` or `NBDCORK_BAD_CONTEXT` for what makes no sense. */
export function checkBackend(name: string, backend: Backend): void {
  const { size, blockSize, contexts = [] } = backend;
  checkContexts(name, contexts);
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
  return new NbdError('NBDCORK_BAD_EXPORT', `The export ${quoted(name)} ${why}.`);
}
