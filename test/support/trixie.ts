import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { TestContext } from 'node:test';
import { requiredFolder, needs, succeed } from './peers.js';

/** Debian trixie in a folder, which .ci/trixie makes: its programs, newer than this machine's. */
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

  /** A program that has to succeed. What it printed on standard output. */
  succeed(t: TestContext, tool: string, ...args: readonly string[]): Promise<string> {
    return succeed(t, 'chroot', [this.root, tool, ...args]);
  }

  /** A file for these programs, by the path that they know it by. It is gone after the test. */
  async file(t: TestContext, content: string | Uint8Array): Promise<string> {
    const folder = await mkdtemp(join(this.root, 'tmp', 'nbdcork-t-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'file'), content);
    return join('/', relative(this.root, folder), 'file');
  }

  /** What is in such a file by now. */
  contentOf(path: string): Promise<Buffer> {
    return readFile(join(this.root, path));
  }
}
