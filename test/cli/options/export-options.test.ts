import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openExports, parseNamedSource } from '../../../lib/cli/options/export-options.js';
import { goData } from '../../support/byte-client.js';
import { connectTo } from '../../support/connecting.js';
import { temporaryFolder } from '../../support/folder.js';
import { opt, rep } from '../../support/numbers.js';
import { serve } from '../../support/program.js';

describe('NAME=SOURCE', () => {
  for (const [text, name, source] of [
    ['disk.img', '', 'disk.img'],
    ['a=disk.img', 'a', 'disk.img'],
    ['=disk.img', '', 'disk.img'],
    ['a=b=c', 'a', 'b=c'],
    ['a=memory:64M', 'a', 'memory:64M'],
    ['a=/dev/sda', 'a', '/dev/sda'],
    ['./a=b', '', './a=b'],
    ['/disks/a=b', '', '/disks/a=b'],
    ['file:a=b', '', 'file:a=b'],
    ['a=', '', 'a='],
    ['two words=x', 'two words', 'x'],
  ] as const) {
    test(`${text} is source '${source}' named '${name}'`, () => {
      assert.deepEqual(parseNamedSource(text), { name, source });
    });
  }
});

test('--export names exports with any character but =', async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const args = ['--export', '/=memory:1M', '--export', 'a:b/c=memory:2M', '--deny', 'a:b/c=any'];
  const { uri } = await serve(t, ['--unix', path, ...args]);
  const client = await connectTo(t, uri);
  await client.greet();
  const [denied] = await client.option(opt.go, goData('a:b/c'));
  assert.equal(denied?.type, rep.errPolicy);
  await client.negotiate('simple', '/');
});

describe('options about one export', () => {
  const names = ['a', '__proto__', 'constructor'];
  const sources = names.map((name) => ({ name, source: 'memory:1M' }));

  for (const name of names) {
    test(`apply to ${name} only`, async () => {
      const exports = await openExports(sources, {
        readOnlyExport: [name],
        tlsExport: [name],
        description: new Map([[name, 'text']]),
      });
      assert.deepEqual(
        Object.entries(exports).map(([each, { readOnly, tls, description }]) => ({
          ...{ each, readOnly, tls, description },
        })),
        names.map((each) =>
          each === name
            ? { each, readOnly: true, tls: 'require', description: 'text' }
            : { each, readOnly: false, tls: undefined, description: undefined },
        ),
      );
    });
  }

  for (const name of ['b', '', 'toString', 'hasOwnProperty']) {
    test(`are rejected for the unknown export '${name}'`, async () => {
      for (const [flags, code] of [
        [{ readOnlyExport: [name] }, 'NBDCORK_BAD_EXPORT'],
        [{ description: new Map([[name, 'text']]) }, 'NBDCORK_BAD_EXPORT'],
        [{ tlsExport: [name] }, 'NBDCORK_BAD_TLS'],
      ] as const) {
        await assert.rejects(openExports(sources, flags), {
          code,
          message: new RegExp(`^Unknown export '${name}'`),
        });
      }
    });
  }
});
