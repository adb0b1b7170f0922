import { inspect } from 'node:util';
import type { Backend } from '../../backend/backend.js';
import type { ExportDescription } from '../../backend/export.js';
import { NbdError } from '../../errors.js';
import { checkContexts } from '../../handshake/meta-contexts.js';
import { checkString } from '../../handshake/strings.js';
import { quoted } from '../../quoted.js';
import type { ExportOptions } from '../options.js';

const expected = 'use a backend, which has a size and a read(), or { backend } with options';

/**
 * A backend is recognized by its `read`: one that wraps another may have a member
 * called `backend` too. `checkOptions` rejects other values.
 */
export function optionsOf(value: Backend | ExportOptions): ExportOptions {
  return isObject(value) && 'read' in value ? { backend: value } : value;
}

/** @throws NbdError `NBDCORK_BAD_STRING` for a text that cannot be sent to clients. */
export function checkDescription({ name, description = '' }: ExportDescription): void {
  checkString('name of an export', name);
  checkString('description of an export', description);
}

/**
 * Checks at run time, for callers in JavaScript: a mistyped option could give
 * clients access that they must not have.
 * @throws NbdError `NBDCORK_BAD_STRING` or `NBDCORK_BAD_EXPORT`.
 */
export function checkOptions(name: string, options: ExportOptions): void {
  if (!isObject(options)) {
    throw badExport(name, `is ${shown(options)}; ${expected}`);
  }
  const { backend, description, tls, reopen }: Partial<Record<keyof ExportOptions, unknown>> =
    options;
  if (!isObject(backend) && typeof backend !== 'function') {
    throw badExport(name, `has no backend; ${expected}`);
  }
  if (description !== undefined && typeof description !== 'string') {
    throw badExport(name, 'has an invalid description; it must be a string');
  }
  checkDescription({ name, ...(description !== undefined && { description }) });
  if (reopen !== undefined && typeof reopen !== 'function') {
    throw badExport(name, `has an invalid reopen ${shown(reopen)}; it must be a function`);
  }
  checkSwitches(name, options);
  if (tls !== undefined && tls !== 'require') {
    throw badExport(name, `has an invalid tls ${shown(tls)}; it must be 'require' or undefined`);
  }
  if (options.perConnection === true && typeof backend !== 'function') {
    throw badExport(name, 'is perConnection, which needs a function as its backend');
  }
}

function checkSwitches(name: string, options: ExportOptions): void {
  for (const key of ['readOnly', 'resizable', 'perConnection'] as const) {
    const value: unknown = options[key];
    if (value === undefined || typeof value === 'boolean') continue;
    throw badExport(name, `has an invalid ${key} ${shown(value)}; it must be a boolean`);
  }
}

/** @throws NbdError `NBDCORK_BAD_EXPORT` or `NBDCORK_BAD_CONTEXT` for an invalid backend. */
export function checkBackend(name: string, backend: Backend): void {
  if (!isObject(backend)) {
    throw badExport(name, `has an invalid backend ${shown(backend)}; ${expected}`);
  }
  if (!canRead(backend)) throw badExport(name, `has a backend without read(); ${expected}`);
  const { size, blockSize, contexts = [] } = backend;
  checkContexts(name, contexts);
  if (!Number.isSafeInteger(size) || size < 0) {
    throw badExport(name, `has an invalid size ${size}; it must be an integer from 0 to 2^53 − 1`);
  }
  if (blockSize === undefined) return;
  const { minimum, preferred, maximum } = blockSize;
  // "Size constraints".
  if (!isPowerOfTwo(minimum) || minimum > 2 ** 16) {
    throw badExport(
      name,
      'has an invalid minimum block size; it must be a power of two up to 65536',
    );
  }
  if (!isPowerOfTwo(preferred) || preferred < Math.max(minimum, 512)) {
    throw badExport(
      name,
      'has an invalid preferred block size; it must be a power of two, at least 512 and the minimum',
    );
  }
  if (!Number.isInteger(maximum) || maximum < preferred || maximum >= 2 ** 32) {
    throw badExport(
      name,
      'has an invalid maximum payload; it must be an integer from the preferred block size to 2^32 − 1',
    );
  }
}

function canRead(backend: { readonly read: unknown }): boolean {
  return typeof backend.read === 'function';
}

/** For values whose type is not enforced at run time. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Infinity });
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

function badExport(name: string, problem: string): NbdError {
  return new NbdError('NBDCORK_BAD_EXPORT', `Export ${quoted(name)} ${problem}.`);
}
