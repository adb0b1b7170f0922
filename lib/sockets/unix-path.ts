/**
 * The file of a listening Unix socket: taken by one server at a time, and
 * removed only by the server that made it.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, lstatSync, openSync, rmSync, type Stats } from 'node:fs';
import { link, lstat, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { codeOf, NbdError } from '../errors.js';
import type { NativeAddon } from '../native/addon.js';
import { addon } from '../native/load.js';

/** What `sockaddr_un` has room for, less a final NUL. */
export const unixPathBytesMax = process.platform === 'linux' ? 107 : 103;

/** Another server may remove its lock file between opening and locking it. */
const lockAttemptsMax = 100;

/**
 * A path that this process may listen at. The socket is bound at `bindPath`,
 * beside it, and gets its name when it listens: so nobody sees a socket that is
 * bound and does not listen yet, and Node, which removes the file that it has
 * bound whatever is there by then, finds none.
 */
export class UnixPath {
  readonly path: string;
  readonly bindPath: string;
  private readonly lock: FileLock | undefined;
  private published: Stats | undefined;

  private constructor(path: string, lock: FileLock | undefined) {
    this.path = path;
    this.lock = lock;
    this.bindPath = isAbstract(path) ? path : temporaryName(path);
  }

  /**
   * Locks the path, where the addon is there. A socket file that is left over is
   * replaced when the socket is published.
   * @throws an error with the code `EADDRINUSE` where another server has the
   *   path, or the file is no socket; or an error of the file system.
   */
  static async claim(path: string, native: Pick<NativeAddon, 'lockFile'> | undefined = addon) {
    if (isAbstract(path)) return new UnixPath(path, undefined);
    const lock = native === undefined ? undefined : await FileLock.take(`${path}.lock`, native);
    try {
      await requireUnused(path);
      const claimed = new UnixPath(path, lock);
      // No room for a temporary name: the socket is bound at its own.
      if (claimed.bindPath === path) await rm(path, { force: true });
      return claimed;
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  /** The socket listens: give it its name. */
  async publish(): Promise<void> {
    const { path, bindPath } = this;
    if (isAbstract(path)) return;
    if (bindPath !== path) await this.giveName();
    this.published = await lstat(path);
  }

  private async giveName(): Promise<void> {
    const { path, bindPath } = this;
    await requireUnused(path);
    await rm(path, { force: true });
    try {
      // Unlike a rename, it does not replace a socket that has come meanwhile.
      await link(bindPath, path);
      await unlink(bindPath);
    } catch (error) {
      if (codeOf(error) !== 'EPERM') throw error;
      // A file system without hard links.
      await rename(bindPath, path);
    }
  }

  /**
   * Removes the socket's file, if it is still this one, and the lock. Never
   * throws. Synchronous, so that it also works right before the process exits.
   */
  release(): void {
    const { path, bindPath, published } = this;
    this.published = undefined;
    if (bindPath !== path) removeQuietly(bindPath);
    if (published !== undefined) {
      const now = lstatSync(path, { throwIfNoEntry: false });
      if (now?.ino === published.ino && now.dev === published.dev) removeQuietly(path);
    }
    this.lock?.release();
  }
}

/** A file beside the socket that is locked as long as its server lives. */
class FileLock {
  private readonly path: string;
  private readonly fd: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  static async take(path: string, native: Pick<NativeAddon, 'lockFile'>): Promise<FileLock> {
    for (let attempt = 0; attempt < lockAttemptsMax; attempt++) {
      const fd = openSync(path, 'a', 0o600);
      const result = native.lockFile(fd);
      const current = await stat(path).catch(() => undefined);
      const own = fstatSync(fd);
      if (result === 0 && current?.ino === own.ino && current.dev === own.dev) {
        return new FileLock(path, fd);
      }
      closeSync(fd);
      if (result !== 0) throw inUse(`Another server has locked ${path}.`);
    }
    throw inUse(`Other servers keep making and removing ${path}.`);
  }

  release(): void {
    // Removed while it is locked, so that it is never that of another server.
    removeQuietly(this.path);
    closeSync(this.fd);
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The folder is not writable any more: the next server replaces the file.
  }
}

/** A name in Linux's abstract namespace has no file. */
function isAbstract(path: string): boolean {
  return path.startsWith('\0');
}

function temporaryName(path: string): string {
  const name = join(dirname(path), `.${randomBytes(4).toString('hex')}`);
  return Buffer.byteLength(name) <= unixPathBytesMax ? name : path;
}

async function requireUnused(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket()) throw inUse(`${path} is a file that is no socket.`);
  if ((await listens(path)) || (await isBound(path))) {
    throw inUse(`Another server has a socket at ${path}.`);
  }
}

function listens(path: string): Promise<boolean> {
  return new Promise((settle) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      settle(true);
    });
    probe.once('error', (error) => {
      settle(codeOf(error) !== 'ECONNREFUSED');
    });
  });
}

/** proc(5), "/proc/net/unix": a socket that is bound is there before it listens. */
async function isBound(path: string): Promise<boolean> {
  const table = await readFile('/proc/net/unix', 'utf8').catch(() => '');
  return table.split('\n').some((line) => {
    const bound = /^(?:\S+ +){7}(.+)$/.exec(line)?.[1];
    if (bound === undefined || bound.startsWith('@')) return false;
    // Relative to a directory that is not known.
    return isAbsolute(bound) ? bound === resolve(path) : basename(bound) === basename(path);
  });
}

function inUse(message: string): NbdError {
  return new NbdError('EADDRINUSE', message);
}
