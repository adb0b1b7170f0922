/** docs/errors.md and docs/transport.md have every error code of lib/, and no other. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { read, root } from './support/documents.js';

/** An error reply to an option, which only the client sees; and a variable of the environment. */
const notDocumented = ['NBDCORK_OPTION_REFUSED', 'NBDCORK_NO_NATIVE'];

test('the error codes are those of lib/', () => {
  const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(join('lib', path)));
  const codes = new Set(sources.flatMap((source) => source.match(/(?<=')NBDCORK_\w+(?=')/g) ?? []));
  for (const code of notDocumented) assert.ok(codes.delete(code), code);
  const documented = ['docs/errors.md', 'docs/transport.md'].flatMap(
    (path) => read(path).match(/(?<=^\| `)NBDCORK_\w+(?=` )/gm) ?? [],
  );
  assert.deepEqual(documented.toSorted(), [...codes].toSorted());
});
