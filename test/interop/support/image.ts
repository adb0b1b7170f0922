import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../../support/folder.js';
import { succeed } from '../../support/peers.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** Some 10 MiB in files small and large, all of them text. */
const content = ['lib', 'docs', 'package-lock.json', 'node_modules/typescript/lib/typescript.js'];

export const imageBytes = 24 * 2 ** 20;

/** An ext4 file system with real files in it. Needs `mke2fs` and `e2fsck`. */
export async function makeImage(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  const files = join(folder, 'files');
  await mkdir(files);
  for (const path of content) {
    await cp(join(root, path), join(files, path), { recursive: true });
  }
  const image = join(folder, 'ext4.img');
  await succeed(t, 'mke2fs', [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-d',
    files,
    image,
    `${imageBytes / 1024}k`,
  ]);
  await assertSound(t, image);
  return image;
}

/** Assert that e2fsck finds no error. */
export async function assertSound(t: TestContext, image: string): Promise<void> {
  await succeed(t, 'e2fsck', ['-fn', image]);
}
