/**
 * What the fuzzed server offers, written down by hand: the oracle goes by this
 * and never asks the server. `target.ts` makes disks that are so. Nothing here
 * comes from lib/.
 */
import { pattern } from '../../support/disks.js';
import { cmd, err, transmission } from '../../support/numbers.js';

/** The limits of the fuzzed server, small so that streams reach them. */
export const limits = {
  requestBytesMax: 65_536,
  requestsInFlightMax: 6,
  bytesInFlightMax: 100_000,
  optionsMax: 24,
  optionBytesMax: 8192,
  contextsMax: 3,
  extentsMax: 12,
} as const;

/** NBD_FLAG_SEND_RESIZE: proto-resize.md. */
const sendResize = 1 << 9;
const cmdResize = 8;
export const resizeCommand = cmdResize;

export interface ContextProfile {
  readonly name: string;
  readonly wide: boolean;
  /** The flags of the block at `offset`; undefined for `base:allocation`. */
  readonly flagsAt?: (offset: bigint) => bigint;
}

export interface Profile {
  readonly name: string;
  readonly description?: string;
  /** Transmission flags but for those that depend on what was negotiated. */
  readonly flags: number;
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
  readonly contexts: readonly ContextProfile[];
  /** Initial content; its length is the size. */
  readonly base: Buffer;
  /** Requests take effect in the order of arrival. */
  readonly inOrder: boolean;
  /** The disk could change its size; whether clients may have it do so is in the flags. */
  readonly hasResize: boolean;
  /** The disk knows of holes, and where it says so, there are zeros. */
  readonly knowsHoles: boolean;
  /** What the disk itself fails, for a request that is otherwise right. */
  readonly failure?: (request: Attempt) => Failure | undefined;
}

/** A request as far as a disk sees it. */
interface Attempt {
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  readonly fast: boolean;
}

export interface Failure {
  readonly error: number;
  /** NBD_REPLY_TYPE_ERROR_OFFSET says so. */
  readonly failedAt?: number;
  /** What lies before `failedAt` is sent. */
  readonly hasData?: boolean;
}

const t = transmission;
const writable = t.hasFlags | t.sendFlush | t.sendFua | t.sendTrim | t.sendWriteZeroes;
const everything = writable | t.sendFastZero | t.sendCache;

const allocation: ContextProfile = { name: 'base:allocation', wide: false };
const usual = { minimum: 1, preferred: 4096, maximum: limits.requestBytesMax };

/** Data, zeros and data again, so that a sparse disk has a hole in the middle. */
function sparse(size: number, seed: number): Buffer {
  const bytes = pattern(size, seed);
  return bytes.fill(0, sparseHole.start, sparseHole.end);
}
/** Where the disks in memory are never written to at first. */
export const sparseHole = { start: 65_536, end: 131_072 } as const;

export const narrowFlags = (offset: bigint): bigint => (offset / 1024n) % 3n;
export const wideFlags = (offset: bigint): bigint => ((offset / 2048n) % 5n) * 2n ** 61n + 1n;

/** `failing` fails by the block that a request begins in. */
export const failingBlockBytes = 4096;
export const failingKinds = 8;

/** The least that makes a disk of its own kind: see `FailingDisk`. */
function failureOf({ type, offset, length, fast }: Attempt): Failure | undefined {
  const middle = offset + Math.floor(length / 2);
  if (type === cmd.writeZeroes && fast) return { error: err.ENOTSUP };
  switch (Math.floor(offset / failingBlockBytes) % failingKinds) {
    case 2:
      return { error: err.EIO };
    case 3:
      return { error: err.ENOSPC };
    case 4:
      if (type === cmd.blockStatus) return { error: err.EIO };
      return { error: err.EIO, failedAt: middle, hasData: type === cmd.read };
    case 5:
      return { error: type === cmd.read || type === cmd.blockStatus ? err.EIO : err.ENOSPC };
    case 6:
      return { error: err.EIO };
    case 7:
      if (type === cmd.blockStatus) return { error: err.EPERM };
      return { error: err.EPERM, failedAt: middle };
    default:
      return undefined;
  }
}

function profile(name: string, flags: number, base: Buffer, more: Partial<Profile> = {}): Profile {
  const contexts = [allocation];
  const usually = { ...usual, contexts, inOrder: true, hasResize: false, knowsHoles: true };
  return { ...usually, name, flags, base, ...more };
}

/** In the order in which the server lists them. */
export const profiles: readonly Profile[] = [
  profile('memory', everything | t.canMultiConn, sparse(200_077, 1), {
    description: 'a disk in memory, with ünïcode',
    hasResize: true,
  }),
  profile('resizable', everything | t.canMultiConn | sendResize, sparse(150_000, 2), {
    hasResize: true,
  }),
  profile(
    'locked',
    t.hasFlags | t.readOnly | t.sendFlush | t.sendCache | t.canMultiConn,
    sparse(180_001, 3),
    {
      description: 'read only',
    },
  ),
  profile('plain', t.hasFlags | t.readOnly, pattern(70_001, 4), { knowsHoles: false }),
  profile('blocks', writable | t.sendFastZero | t.rotational, pattern(131_328, 5), {
    minimum: 512,
    preferred: 4096,
    maximum: 32_768,
    contexts: [
      allocation,
      { name: 'x-fuzz:narrow', wide: false, flagsAt: narrowFlags },
      { name: 'x-fuzz:wide', wide: true, flagsAt: wideFlags },
      { name: 'x-fuzz:later', wide: false, flagsAt: narrowFlags },
    ],
    // One of its contexts answers later.
    inOrder: false,
  }),
  profile('slow', everything, pattern(100_000, 6), {
    inOrder: false,
    failure: ({ type, fast }) =>
      type === cmd.writeZeroes && fast ? { error: err.ENOTSUP } : undefined,
  }),
  profile('failing', everything, pattern(120_000, 7), { inOrder: false, failure: failureOf }),
  profile('own', t.hasFlags, pattern(50_000, 8), { knowsHoles: false }),
  profile('mine', t.hasFlags, pattern(60_000, 9), { knowsHoles: false }),
];

/** Listed, but never there, or not for this client. */
export const unavailableName = 'unavailable';
export const deniedName = 'denied';
/** For the client that works beside the fuzzed one. */
export const ordinaryName = 'ordinary';
export const listedNames = [...profiles.map(({ name }) => name), unavailableName, ordinaryName];

export type Lookup = { readonly profile: Profile } | { readonly error: number };

/** NBD_REP_ERR_POLICY and NBD_REP_ERR_UNKNOWN. */
const lookupErrors = { policy: 0x80000002, unknown: 0x80000006 } as const;

/** The export for a name; the empty one means `memory`. */
export function lookUp(name: string): Lookup {
  if (name === deniedName) return { error: lookupErrors.policy };
  const found = profiles.find((candidate) => candidate.name === (name === '' ? 'memory' : name));
  return found === undefined ? { error: lookupErrors.unknown } : { profile: found };
}
