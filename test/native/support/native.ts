import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants as fileConstants, mkdtempSync, openSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { NativeAddon } from '../../../lib/native/addon.js';
import { addon } from '../../../lib/native/load.js';
import { descriptorOf } from '../../../lib/sockets/handle.js';

/** Why tests of the addon are skipped, or false. */
export const withoutAddon: string | false =
  process.env['NBDCORK_NO_NATIVE'] === '1'
    ? 'NBDCORK_NO_NATIVE=1'
    : addon === undefined && process.env['NBDCORK_REQUIRE_PEERS'] !== '1'
      ? 'the addon is not built'
      : false;

export function native(): NativeAddon {
  assert.ok(addon, 'the addon is not built');
  return addon;
}

/** The result of the addon for the name of an errno. */
export function failure(name: keyof typeof constants.errno): number {
  return -constants.errno[name];
}

export function fdOf(socket: Socket): number {
  const fd = descriptorOf(socket);
  assert.ok(fd !== undefined, 'the socket has no descriptor');
  return fd;
}

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nbdcork-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An empty file, open for reading and writing until the test ends. */
export function temporaryFile(t: TestContext): { path: string; fd: number } {
  const path = join(temporaryFolder(t), 'file');
  return { path, fd: openUntilEnd(t, path, 'w+') };
}

export function openUntilEnd(t: TestContext, path: string, flags: string | number): number {
  const fd = openSync(path, flags);
  t.after(() => closeSync(fd));
  return fd;
}

/** A descriptor that is both ends of a pipe. */
export function pipeFd(t: TestContext): number {
  const path = join(temporaryFolder(t), 'pipe');
  execFileSync('mkfifo', [path]);
  return openUntilEnd(t, path, fileConstants.O_RDWR | fileConstants.O_NONBLOCK);
}

/** Exactly `length` bytes of a stream that continues. */
export function readExactly(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let missing = length;
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      missing -= chunk.length;
      if (missing <= 0) finish();
    };
    const finish = (): void => {
      socket.off('data', take).off('close', finish).pause();
      if (missing === 0) resolve(Buffer.concat(chunks));
      else reject(new Error(`${length - missing} bytes arrived where ${length} were sent`));
    };
    socket.on('data', take).on('close', finish);
  });
}
