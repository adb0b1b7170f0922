/**
 * Recognizes files that contain a disk in another form. Served as they are, clients
 * would see the container instead of the disk, and destroy it by writing.
 */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, NbdError } from '../../errors.js';
import { allocatePages } from '../../memory/pages.js';

/** A page: direct I/O reads whole blocks, of which none is larger. */
const examinedBytes = 4096;
/** The footer of a VHD image is the last sector. */
const footerBytes = 512;

interface Format {
  readonly name: string;
  /** Writes what it contains to disk.img. */
  readonly command: (path: string) => string;
}

/** As they stand in a file, in Latin-1. */
type Signature = readonly [position: number, bytes: string, format: Format];

const image = (name: string): Format => ({
  name: `a ${name} image`,
  command: (path) => `qemu-img convert -O raw ${path} disk.img`,
});
const compressed = (name: string, command = `${name} -dc`): Format => ({
  name: `compressed by ${name}`,
  command: (path) => `${command} ${path} > disk.img`,
});
const vhd = image('VHD');
const bzip2 = compressed('bzip2');

const signatures: readonly Signature[] = [
  [0, 'QFI\xfb\0\0\0\x01', image('qcow')],
  [0, 'QFI\xfb', image('qcow2')],
  [0, 'QED\0', image('QED')],
  [0, 'KDMV', image('VMDK')],
  [0, 'COWD', image('VMDK')],
  [0, '# Disk DescriptorFile', image('VMDK')],
  [0, 'vhdxfile', image('VHDX')],
  [0, 'conectix', vhd],
  [0x40, '\x7f\x10\xda\xbe', image('VDI')],
  [0, 'WithoutFreeSpace', image('Parallels')],
  [0, 'WithouFreSpacExt', image('Parallels')],
  [0, '\x1f\x8b\x08', compressed('gzip')],
  [0, '\xfd7zXZ\0', compressed('xz')],
  [0, '\x28\xb5\x2f\xfd', compressed('zstd')],
  [0, 'BZh', bzip2],
  [0, '\x04\x22\x4d\x18', compressed('lz4')],
  [0, 'PK\x03\x04', compressed('zip', 'unzip -p')],
];
const bzip2Block = '1AY&SY';

/** @throws NbdError `NBDCORK_NOT_RAW`, or `NBDCORK_OPEN_FAILED` where the file cannot be read. */
export async function requireRaw(fd: number, size: number, path: string): Promise<void> {
  const format = await formatOf(fd, size, path);
  if (format === undefined) return;
  throw new NbdError(
    'NBDCORK_NOT_RAW',
    `"${path}" is ${format.name}, not a raw disk: clients would see the container, and ` +
      `writing would destroy it. Unpack it with: ${format.command(JSON.stringify(path))} ` +
      "(or use --format raw, in the API format: 'raw', to serve its bytes as they are).",
  );
}

async function formatOf(fd: number, size: number, path: string): Promise<Format | undefined> {
  const start = await readText(fd, 0, path);
  const found = signatures.find(([position, bytes]) => start.startsWith(bytes, position))?.[2];
  if (found === bzip2 && !start.startsWith(bzip2Block, 4)) return undefined;
  if (found !== undefined || size < footerBytes) return found;
  const footerAt = size - footerBytes;
  const end = await readText(fd, footerAt - (footerAt % examinedBytes), path);
  return end.startsWith('conectix', footerAt % examinedBytes) ? vhd : undefined;
}

const readAsync = promisify(read);

async function readText(fd: number, position: number, path: string): Promise<string> {
  const bytes = allocatePages(examinedBytes, false);
  try {
    const { bytesRead } = await readAsync(fd, bytes, 0, examinedBytes, position);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytesRead).toString('latin1');
  } catch (error) {
    throw new NbdError(
      'NBDCORK_OPEN_FAILED',
      `Could not read the beginning and the end of "${path}": ${messageOf(error)}.`,
      error,
    );
  }
}
