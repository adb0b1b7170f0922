import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNamedSource } from '../../lib/cli/exports.js';

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
  test(`${text} is '${source}' by the name of '${name}'`, () => {
    assert.deepEqual(parseNamedSource(text), { name, source });
  });
}
