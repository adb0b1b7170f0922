/** docs/errors.md and docs/transport.md have every error code of lib/, and no other. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { read, root } from './support/documents.js';

/** A variable of the environment, and not a code. */
const notACode = 'NBDCORK_NO_NATIVE';

test('the error codes are those of lib/', () => {
  const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(join('lib', path)));
  const codes = new Set(sources.flatMap((source) => source.match(/(?<=')NBDCORK_\w+(?=')/g) ?? []));
  assert.ok(codes.delete(notACode));
  const documented = ['docs/errors.md', 'docs/transport.md'].flatMap(
    (path) => read(path).match(/(?<=^\| `)NBDCORK_\w+(?=` )/gm) ?? [],
  );
  assert.deepEqual(documented.toSorted(), [...codes].toSorted());
});
