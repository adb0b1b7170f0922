/** A real disk image is put in and taken out by the programs that people use for that. */
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { needs, succeed } from '../support/peers.js';
import { serve, type ServingProgram } from '../support/program.js';
import { assertSound, imageBytes, makeImage } from './support/image.js';

interface Copier {
  readonly tool: string;
  readonly put: (image: string, uri: string) => string[];
  readonly take: (uri: string, path: string) => string[];
}

const copiers: readonly Copier[] = [
  {
    tool: 'nbdcopy',
    put: (image, uri) => [image, uri],
    take: (uri, path) => [uri, path],
  },
  {
    tool: 'qemu-img',
    put: (image, uri) => ['convert', '-n', '-f', 'raw', '-O', 'raw', image, uri],
    take: (uri, path) => ['convert', '-f', 'raw', '-O', 'raw', uri, path],
  },
];

const raw = ['compare', '-f', 'raw', '-F', 'raw'];

async function serveAt(
  t: TestContext,
  connection: string,
  source: string,
): Promise<ServingProgram> {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  return serve(t, [...(connection === 'TCP' ? ['--port', '0'] : ['--unix', path]), source]);
}

for (const connection of ['TCP', 'a Unix socket']) {
  describe(`over ${connection}`, () => {
    for (const { tool, put, take } of copiers) {
      for (const kind of ['file', 'memory']) {
        test(`${tool} puts an image into an empty ${kind} and takes it out again`, async (t) => {
          if (!needs(t, tool, 'mke2fs', 'e2fsck', 'cmp')) return;
          const image = await makeImage(t);
          const folder = await temporaryFolder(t);
          const disk = join(folder, 'disk.img');
          await writeFile(disk, '');
          await truncate(disk, imageBytes);
          const source = kind === 'file' ? disk : `memory:${imageBytes}`;
          const { server, uri } = await serveAt(t, connection, source);
          const taken = join(folder, 'taken.img');
          await succeed(t, tool, put(image, uri));
          await succeed(t, tool, take(uri, taken));
          await succeed(t, 'cmp', [image, taken]);
          await assertSound(t, taken);
          await server.stop();
          if (kind === 'file') await succeed(t, 'cmp', [image, disk]);
        });
      }

      test(`${tool} takes out an image that is served`, async (t) => {
        if (!needs(t, tool, 'mke2fs', 'e2fsck', 'cmp')) return;
        const image = await makeImage(t);
        const { uri } = await serveAt(t, connection, image);
        const taken = join(await temporaryFolder(t), 'taken.img');
        await succeed(t, tool, take(uri, taken));
        await succeed(t, 'cmp', [image, taken]);
        await assertSound(t, image);
      });
    }

    test('nbdcopy uses several connections, each with several requests', async (t) => {
      if (!needs(t, 'nbdcopy', 'mke2fs', 'e2fsck', 'cmp')) return;
      const image = await makeImage(t);
      const { uri } = await serveAt(t, connection, `memory:${imageBytes}`);
      const several = ['--connections=4', '--requests=16', '--request-size=32768'];
      const taken = join(await temporaryFolder(t), 'taken.img');
      await succeed(t, 'nbdcopy', [...several, '--flush', image, uri]);
      await succeed(t, 'nbdcopy', [...several, uri, taken]);
      await succeed(t, 'cmp', [image, taken]);
    });

    test('qemu-img compare agrees', async (t) => {
      if (!needs(t, 'qemu-img', 'mke2fs', 'e2fsck')) return;
      const image = await makeImage(t);
      const { uri } = await serveAt(t, connection, image);
      await succeed(t, 'qemu-img', [...raw, image, uri]);
    });
  });
}
