/**
 * Advisory locks of an image, as QEMU's block/file-posix.c has them: who uses an
 * image has a shared lock on byte 100 + n for each permission n that it uses, and
 * on byte 200 + n for each that it does not share. The file need not have these
 * bytes. Two users contradict each other where one has 100 + n, the other 200 + n.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { operationKind, Workers, type OperationKind, type WorkersNative } from './io/workers.js';

/** As QEMU numbers them: BLK_PERM_CONSISTENT_READ and so on. */
const permission = { read: 0, write: 1, resize: 3 } as const;
type Permission = keyof typeof permission;

const usedBase = 100;
const unsharedBase = 200;

/** Of two programs that start together each may see the locks of the other: then they try again. */
const attemptsMax = 3;
const retryMsMax = 50;

/** What a disk does with an image. */
interface Use {
  readonly uses: readonly Permission[];
  /** What others must not do meanwhile. */
  readonly unshared: readonly Permission[];
}

/** As `qemu-img info` and `qemu-nbd --read-only` open a raw image: beside one who writes, too. */
const reading: Use = { uses: ['read'], unshared: [] };
const writing: Use = { uses: ['read', 'write'], unshared: ['write'] };
const resizing: Use = { uses: ['resize'], unshared: [] };
export const imageUse = { reading, writing, resizing } as const;

/** What another program that uses the image does, which is a reason against `use`. */
const reasons: Readonly<Record<Permission, readonly [used: string, unshared: string]>> = {
  read: ['is reading it', 'does not allow others to read it'],
  write: ['has it open for writing', 'does not allow others to write to it'],
  resize: ['may resize it', 'does not allow others to resize it'],
};

/** The locks of an open file, which end when it is closed. */
export class ImageLock {
  private readonly fd: number;
  private readonly native: WorkersNative;

  constructor(fd: number, native: WorkersNative) {
    this.fd = fd;
    this.native = native;
  }

  /**
   * Undefined where the image may be used, or the file system has no such locks.
   * Otherwise nothing more is locked than before, and the result is what another
   * program does, such as `has it open for writing`.
   */
  async acquire({ uses, unshared }: Use): Promise<string | undefined> {
    // On a thread: the locks of a network file system may take time.
    const workers = new Workers(this.native, 1);
    const call = async (kind: OperationKind, position: number): Promise<number> =>
      (await workers.run({ ...noOperation, kind, fd: this.fd, position })).value;
    const own = [
      ...uses.map((name) => usedBase + permission[name]),
      ...unshared.map((name) => unsharedBase + permission[name]),
    ];
    try {
      for (let attempt = 1; ; attempt++) {
        const conflict = await lockAll(call, own, { uses, unshared });
        if (conflict === undefined) return undefined;
        for (const position of own) await call(operationKind.unlock, position);
        if (attempt === attemptsMax) return conflict;
        await delay(Math.random() * retryMsMax);
      }
    } finally {
      workers.close();
    }
  }
}

const noOperation = { length: 0, mode: 0, memory: undefined };

type Call = (kind: OperationKind, position: number) => Promise<number>;

/** Locks before it checks: so of two that start together, at least one sees the other. */
async function lockAll(
  call: Call,
  own: readonly number[],
  { uses, unshared }: Use,
): Promise<string | undefined> {
  const isLocked = async (position: number): Promise<boolean> =>
    (await call(operationKind.isLocked, position)) === 1;
  for (const position of own) {
    if ((await call(operationKind.lock, position)) >= 0) continue;
    return (await isLocked(position)) ? 'has an exclusive lock on it' : undefined;
  }
  for (const name of unshared) {
    if (await isLocked(usedBase + permission[name])) return reasons[name][0];
  }
  for (const name of uses) {
    if (await isLocked(unsharedBase + permission[name])) return reasons[name][1];
  }
  return undefined;
}
