import type { Backend, ThreadSource } from '../../backend/backend.js';
import { NbdError } from '../../errors.js';
import type { Limits } from '../../limits.js';
import { quoted } from '../../quoted.js';
import { canDuplicate } from '../../sockets/duplicate.js';
import { isObject, optionsOf } from '../exports/check-export.js';
import type { ExportOptions, Exports, ServerOptions } from '../options.js';
import type { ThreadExport, ThreadOptions } from './messages.js';

export const threadsMax = 64;

/** The number of threads that serve clients. @throws NbdError `NBDCORK_BAD_THREADS`. */
export function checkedThreads({ threads = 1 }: ServerOptions): number {
  if (!Number.isInteger(threads) || threads < 1 || threads > threadsMax) {
    throw badThreads(`Invalid number of threads: it must be an integer from 1 to ${threadsMax}.`);
  }
  if (threads === 1) return threads;
  if (!canDuplicate) {
    throw badThreads(
      'Several threads need the addon: run "npm rebuild nbdcork", or use one thread.',
    );
  }
  return threads;
}

/**
 * What each thread needs to know. `limits` are those of one thread; the exports are checked.
 * @throws NbdError `NBDCORK_BAD_THREADS` for an export that only one thread can serve.
 */
export function threadOptions(options: ServerOptions, limits: Limits): ThreadOptions {
  const { defaultExport, transmit, busyPollMicroseconds, tls } = options;
  return {
    exports: threadExportsOf(options.exports),
    limits,
    asksForAccess: options.allow !== undefined,
    ...(defaultExport !== undefined && { defaultExport }),
    ...(transmit !== undefined && { transmit }),
    ...(busyPollMicroseconds !== undefined && { busyPollMicroseconds }),
    ...(tls !== undefined && { tls }),
  };
}

/** Each thread has an equal part of the memory. */
export function limitsOfThread(limits: Limits, threads: number): Limits {
  return { ...limits, memoryBytesMax: Math.max(1, Math.floor(limits.memoryBytesMax / threads)) };
}

function threadExportsOf(exports: Exports): readonly ThreadExport[] {
  if (typeof exports.find === 'function') {
    throw badThreads('A finder of exports works with one thread only: give the exports by name.');
  }
  return Object.entries(exports).map(([name, value]: [string, Backend | ExportOptions]) => {
    const entry = optionsOf(value);
    const { readOnly, description, tls } = entry;
    return {
      name,
      source: sourceOf(name, entry),
      ...(readOnly !== undefined && { readOnly }),
      ...(description !== undefined && { description }),
      ...(tls !== undefined && { tls }),
    };
  });
}

function sourceOf(name: string, { backend, resizable }: ExportOptions): ThreadSource {
  if (resizable === true) {
    throw badThreads(
      `Export ${quoted(name)} is resizable, and only one thread would know its size: ` +
        'use one thread, or do not let clients resize it.',
    );
  }
  const source = isObject(backend) && 'threadSource' in backend ? backend.threadSource : undefined;
  if (source !== undefined) return source;
  throw badThreads(
    `Export ${quoted(name)} has a disk that only one thread can use: use one thread, a file, ` +
      "or openSource('memory:SIZE', { shared: true }).",
  );
}

function badThreads(message: string): NbdError {
  return new NbdError('NBDCORK_BAD_THREADS', message);
}
