import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { TestContext } from 'node:test';
import { requiredFolder, needs, succeed } from './peers.js';

/** Debian trixie in a folder that .ci/trixie creates, with newer programs than this system's. */
export class Trixie {
  private readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** `const trixie = Trixie.find(t); if (trixie === undefined) return;` */
  static find(t: TestContext): Trixie | undefined {
    const root = requiredFolder(t, 'NBDCORK_TRIXIE', '.ci/trixie');
    return root !== undefined && needs(t, 'chroot') ? new Trixie(root) : undefined;
  }

  /** Run a program that must exit with 0. Returns its standard output. */
  succeed(t: TestContext, tool: string, ...args: readonly string[]): Promise<string> {
    return succeed(t, 'chroot', [this.root, tool, ...args]);
  }

  /** Create a file for these programs, deleted after the test. Returns its path in their root. */
  async file(t: TestContext, content: string | Uint8Array): Promise<string> {
    const folder = await mkdtemp(join(this.root, 'tmp', 'nbdcork-t-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'file'), content);
    return join('/', relative(this.root, folder), 'file');
  }

  /** The content of such a file. */
  contentOf(path: string): Promise<Buffer> {
    return readFile(join(this.root, path));
  }
}
