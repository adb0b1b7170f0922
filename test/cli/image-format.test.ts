/** An image of another format is not served as a raw disk by mistake. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { runProgram, serve } from '../support/program.js';

test('a qcow2 image is served with --format raw only', async (t) => {
  const image = join(await temporaryFolder(t), 'disk.img');
  const content = Buffer.alloc(2 ** 16);
  content.write('QFI\xfb\0\0\0\x03', 'latin1');
  await writeFile(image, content);
  const { status, stderr } = await runProgram(t, ['serve', '--port', '0', image]);
  assert.equal(status, 1);
  assert.match(stderr, /qcow2 image.*qemu-img convert.*--format raw.*\(NBDCORK_NOT_RAW\)/);
  await serve(t, ['--port', '0', '--format', 'raw', image]);
});
