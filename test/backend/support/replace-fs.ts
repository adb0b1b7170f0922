/** Replaces functions of node:fs, to hold system calls or to make them fail. */

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { TestContext } from 'node:test';

export type Callback = (error: Error | null) => void;

type CountCallback = (error: Error | null, count: number, buffer: Uint8Array) => void;

export type Transfer = (
  fd: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  position: number,
  callback: CountCallback,
) => void;

/** Replaces fs[name] until the test ends. */
export function replace(
  t: TestContext,
  name: 'close' | 'fdatasync' | 'read' | 'write',
  replacement: unknown,
): void {
  const original: unknown = Reflect.get(fs, name);
  Reflect.set(fs, name, replacement);
  syncBuiltinESMExports();
  t.after(() => {
    Reflect.set(fs, name, original);
    syncBuiltinESMExports();
  });
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

/** Holds every fdatasync until its callback is called. */
export function holdSyncs(t: TestContext): Callback[] {
  const held: Callback[] = [];
  replace(t, 'fdatasync', (_fd: number, callback: Callback) => held.push(callback));
  return held;
}
