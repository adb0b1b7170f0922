/** The documents refer to files, headings, methods and code that exist. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { documents, read, root, tableRows } from './support/documents.js';

/** Folders that docs/architecture.md describes and that do not exist yet. */
const planned = ['lib/client/', 'lib/filter/'];

function anchorsOf(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('the links lead to files and headings that exist', () => {
  let count = 0;
  for (const document of documents) {
    const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)];
    count += links.length;
    for (const [, path = '', anchor] of links) {
      const target = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(root, target)), `${document} links to ${target}`);
      if (anchor === undefined) continue;
      assert.ok(anchorsOf(target).includes(anchor), `${document} links to ${target}#${anchor}`);
    }
  }
  assert.ok(count > 10);
});

test('the paths in the documents exist', () => {
  let count = 0;
  for (const document of documents) {
    for (const [, path = ''] of read(document).matchAll(
      /`((?:lib|native|test|scripts|examples)\/[\w./-]+)`/g,
    )) {
      if (planned.includes(path)) continue;
      count++;
      assert.ok(existsSync(join(root, path)), `${document} names ${path}`);
    }
  }
  assert.ok(count > 10);
});

test('the life of a request names methods that exist', () => {
  const steps = tableRows('docs/architecture.md', 'File');
  assert.ok(steps.length > 5);
  for (const [link = '', method = ''] of steps) {
    const path = /^\[(.*)\]\(\.\.\/\1\)$/.exec(link)?.[1] ?? '';
    const declaration = new RegExp(`^ {2}(?:[a-z]+ )*${method}\\(.* \\{$`, 'm');
    assert.match(read(path), declaration, `${path} has no method ${method}`);
  }
});

test('the example in README.md is the file that test/interop runs', () => {
  const blocks = [...read('README.md').matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
  assert.ok(blocks.includes(read('examples/key-value.ts')));
});
