/** Files of keys that other users can read. */
import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { serve } from '../support/program.js';
import { createAuthority, issueCertificate } from '../support/tls.js';

describe('files of keys', { skip: process.platform === 'win32' }, () => {
  for (const [mode, warnings] of [
    [0o600, 0],
    [0o640, 2],
    [0o604, 2],
  ] as const) {
    test(`with mode ${mode.toString(8)} cause ${warnings} warnings`, async (t) => {
      const folder = await temporaryFolder(t);
      const { key, cert } = await issueCertificate(await createAuthority(), 'server');
      const psk = join(folder, 'keys.psk');
      const keyFile = join(folder, 'server-key.pem');
      await writeFile(join(folder, 'server-cert.pem'), cert);
      await writeFile(keyFile, key);
      await writeFile(psk, `alice:${'61'.repeat(32)}\n`);
      await chmod(keyFile, mode);
      await chmod(psk, mode);
      const args = ['--port', '0', '--tls-psk', psk, '--tls-certificates', folder, 'memory:1M'];
      const { server } = await serve(t, args);
      await server.stop();
      const found = server.stderr.text.match(/WARN: Other users can read the keys/g) ?? [];
      assert.equal(found.length, warnings, server.stderr.text);
    });
  }
});
