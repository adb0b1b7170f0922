/** The folder of a report: made, and tried, before anything is measured. */
import { mkdir, mkdtemp, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, messageOf, NbdError } from '../../lib/errors.js';

/**
 * Make the folder where there is none, and try whether something can be put into it.
 * @returns what had to be made, the innermost folder first.
 * @throws NbdError `NBDCORK_BENCH` where that cannot be.
 */
export async function makeFolder(folder: string): Promise<string[]> {
  const made: string[] = [];
  try {
    await makeWithin(folder, made);
    // Permissions are not enough: root cannot write to /proc.
    await rmdir(await mkdtemp(join(folder, '.nbdcork-')));
    return made;
  } catch (cause) {
    await removeFolders(made);
    throw new NbdError(
      'NBDCORK_BENCH',
      `The report cannot be written into ${folder}: ${messageOf(cause)}. Choose another folder with --output.`,
      cause,
    );
  }
}

/** Remove what `makeFolder` made, while nothing is in it. */
export async function removeFolders(made: readonly string[]): Promise<void> {
  for (const folder of made) await rmdir(folder);
}

/** Unlike mkdir's `recursive`, which tries forever where the parent is there, but takes no folder. */
async function makeWithin(folder: string, made: string[]): Promise<void> {
  if (await isFolder(folder)) return;
  await makeWithin(dirname(folder), made);
  await mkdir(folder);
  made.unshift(folder);
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found?.isDirectory() === false) throw new Error(`${path} is no folder`);
  return found !== undefined;
}
