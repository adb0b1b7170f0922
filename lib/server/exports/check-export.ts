import { inspect } from 'node:util';
import type { Backend } from '../../backend/backend.js';
import type { ExportDescription } from '../../backend/export.js';
import { NbdError } from '../../errors.js';
import { checkContexts } from '../../handshake/meta-contexts.js';
import { checkString } from '../../handshake/strings.js';
import { quoted } from '../../quoted.js';
import type { ExportOptions } from '../options.js';

const shape = 'give a backend, which has a size and a read(), or { backend } with its options';

/**
 * Known by what a backend must have: a filter may well have a `backend` too.
 * What is neither a backend nor options is for `checkOptions` to refuse.
 */
export function optionsOf(value: Backend | ExportOptions): ExportOptions {
  return isObject(value) && 'read' in value ? { backend: value } : value;
}

/** @throws NbdError `NBDCORK_BAD_STRING` for what cannot be told to clients. */
export function checkDescription({ name, description = '' }: ExportDescription): void {
  checkString('name of an export', name);
  checkString('description of an export', description);
}

/**
 * What a type says, JavaScript may never have seen: what is mistyped here could
 * leave a disk open to those whom it is not for.
 * @throws NbdError `NBDCORK_BAD_STRING` or `NBDCORK_BAD_EXPORT`.
 */
export function checkOptions(name: string, options: ExportOptions): void {
  if (!isObject(options)) {
    throw badExport(name, `is ${shown(options)}; ${shape}`);
  }
  const { backend, description, tls }: Partial<Record<keyof ExportOptions, unknown>> = options;
  if (!isObject(backend) && typeof backend !== 'function') {
    throw badExport(name, `has no backend; ${shape}`);
  }
  if (description !== undefined && typeof description !== 'string') {
    throw badExport(name, 'has a description that is no text');
  }
  checkDescription({ name, ...(description !== undefined && { description }) });
  checkSwitches(name, options);
  if (tls !== undefined && tls !== 'require') {
    throw badExport(name, `has a tls of ${shown(tls)}; it must be 'require', or not there`);
  }
  if (options.perConnection === true && typeof backend !== 'function') {
    throw badExport(name, 'has one backend for all: to be perConnection it needs a function');
  }
}

function checkSwitches(name: string, options: ExportOptions): void {
  for (const key of ['readOnly', 'resizable', 'perConnection'] as const) {
    const value: unknown = options[key];
    if (value === undefined || typeof value === 'boolean') continue;
    throw badExport(name, `has a ${key} of ${shown(value)}; it must be true or false`);
  }
}

/** @throws NbdError `NBDCORK_BAD_EXPORT` or `NBDCORK_BAD_CONTEXT` for what makes no sense. */
export function checkBackend(name: string, backend: Backend): void {
  if (!isObject(backend)) {
    throw badExport(name, `has a backend that is ${shown(backend)}; ${shape}`);
  }
  if (!canRead(backend)) throw badExport(name, `has a backend without read(); ${shape}`);
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

function canRead(backend: { readonly read: unknown }): boolean {
  return typeof backend.read === 'function';
}

/** For what a type says is one. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Infinity });
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

function badExport(name: string, why: string): NbdError {
  return new NbdError('NBDCORK_BAD_EXPORT', `The export ${quoted(name)} ${why}.`);
}
