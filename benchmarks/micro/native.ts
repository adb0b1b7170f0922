/** What each call of the addon costs, the kernel's part included. */
import { existsSync } from 'node:fs';
import { open, writeFile, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../../lib/errors.js';
import { type NativeAddon } from '../../lib/native/addon.js';
import type { MicroSubject } from './measure.js';
import { pieceCounts, pieceBytes, bytesMax } from './pieces.js';
import type { Pair } from './sockets.js';

const fileBytes = 2 ** 20;
const pageBytes = 4096;

/** What the addon returns in place of failing is an errno, negative. */
export function checked(result: number): void {
  if (result >= 0) return;
  throw new NbdError('NBDCORK_BENCH', `The call failed with ${getSystemErrorName(result)}.`);
}

/** The kernel's EINVAL would not explain this. */
function checkedAdvice(result: number): void {
  if (result === -constants.errno.EINVAL && !existsSync('/sys/kernel/mm/transparent_hugepage')) {
    throw new NbdError('NBDCORK_BENCH', 'This kernel has no transparent huge pages (EINVAL).');
  }
  checked(result);
}

/** Calls that take nothing but a descriptor, and those that send one piece. */
function socketSubjects(addon: NativeAddon, tcp: Pair, unix: Pair): MicroSubject[] {
  const numbers = new Float64Array(4);
  const piece = new Uint8Array(pieceBytes);
  const large = new Uint8Array(2 ** 22);
  const sends = { between: tcp.drain, countMax: bytesMax / pieceBytes / 16 };
  const each = (work: () => number) => (count: number) => {
    for (let index = 0; index < count; index++) checked(work());
  };
  let corked = false;
  return [
    {
      name: 'setCork',
      repeat: each(() => addon.setCork(tcp.fd, (corked = !corked))),
      // What is timed next is not to be corked.
      between: () => {
        checked(addon.setCork(tcp.fd, (corked = false)));
      },
    },
    { name: 'getCork', repeat: each(() => addon.getCork(tcp.fd)) },
    { name: 'tcpInfo', repeat: each(() => addon.tcpInfo(tcp.fd, numbers)) },
    { name: 'kindOf', repeat: each(() => addon.kindOf(tcp.fd)) },
    { name: 'setSendBuffer', repeat: each(() => addon.setSendBuffer(unix.fd, bytesMax * 4)) },
    { name: 'peerCredentials', repeat: each(() => addon.peerCredentials(unix.fd, numbers)) },
    {
      name: 'adviseHugePages',
      repeat: (count) => {
        for (let index = 0; index < count; index++) checkedAdvice(addon.adviseHugePages(large));
      },
    },
    { name: 'offsetIn', repeat: each(() => addon.offsetIn(piece, pageBytes)) },
    { name: 'send', ...sends, repeat: each(() => addon.send(tcp.fd, piece, false)) },
    { name: 'send with MSG_MORE', ...sends, repeat: each(() => addon.send(tcp.fd, piece, true)) },
  ];
}

function vectorSubjects(addon: NativeAddon, { fd, drain }: Pair): MicroSubject[] {
  return pieceCounts.flatMap((count) => {
    const one = [new Uint8Array(count * pieceBytes)];
    const many = Array.from({ length: count }, () => new Uint8Array(pieceBytes));
    const ofOne = new Float64Array(count * 3);
    const ofMany = new Float64Array(count * 3);
    for (let index = 0; index < count; index++) {
      ofOne.set([0, index * pieceBytes, pieceBytes], index * 3);
      ofMany.set([index, 0, pieceBytes], index * 3);
    }
    const subject = (name: string, buffers: Uint8Array[], pieces: Float64Array): MicroSubject => ({
      name,
      pieces: count,
      repeat: (times) => {
        for (let time = 0; time < times; time++) {
          checked(addon.sendmsg(fd, buffers, pieces, 0, count));
        }
      },
      between: drain,
      countMax: Math.max(1, Math.floor(bytesMax / (count * pieceBytes) / 16)),
    });
    return [
      subject('sendmsg of one buffer', one, ofOne),
      subject('sendmsg of a buffer a piece', many, ofMany),
    ];
  });
}

function fileSubjects(addon: NativeAddon, file: FileHandle): MicroSubject[] {
  const page = new Uint8Array(pageBytes);
  const { fd } = file;
  return [
    {
      name: 'preadNoWait of 4 KiB',
      repeat: (count) => {
        for (let index = 0; index < count; index++) {
          checked(addon.preadNoWait(fd, page, 0, pageBytes, (index % 256) * pageBytes));
        }
      },
    },
  ];
}

export interface NativeSubjects {
  readonly subjects: readonly MicroSubject[];
  readonly close: () => Promise<void>;
}

export async function nativeSubjects(
  addon: NativeAddon,
  folder: string,
  { tcp, unix }: { readonly tcp: Pair; readonly unix: Pair },
): Promise<NativeSubjects> {
  const path = join(folder, 'micro.img');
  await writeFile(path, new Uint8Array(fileBytes).fill(1));
  const file = await open(path, 'r+');
  return {
    subjects: [
      ...vectorSubjects(addon, unix),
      ...socketSubjects(addon, tcp, unix),
      ...fileSubjects(addon, file),
    ],
    close: () => file.close(),
  };
}
