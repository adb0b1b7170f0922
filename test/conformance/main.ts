/**
 * `npm run conformance`: sends the same requests to nbdcork, nbdkit, qemu-nbd and
 * nbd-server, as far as they are installed, and prints which of them conform to the
 * specification. Exits with 1 where nbdcork does not.
 */
import { cases } from './cases/index.js';
import { judge, type Verdict } from './judge.js';
import { Subject } from './servers.js';

const timeoutMs = 5_000;
const marks = { yes: 'yes', no: 'NO', differs: 'differs', lacks: '-', hangs: 'HANGS' } as const;
const legend = `The sections are those of the specification. A dash: an optional feature is absent.
"differs": the server does not do what it MAY do.`;

const subjects = Subject.all();
const names = subjects.map(({ name }) => name);
const verdicts: Verdict[][] = [];
try {
  for (const one of cases) {
    // One after another, because they share the processors.
    const row: Verdict[] = [];
    for (const subject of subjects) row.push(await judge(one, subject, timeoutMs));
    verdicts.push(row);
  }
} finally {
  for (const subject of subjects) subject.stop();
}

const table = [
  ['section', 'level', 'requirement', ...names],
  ...cases.map(({ section, level, title }, index) => [
    section,
    level,
    title,
    ...(verdicts[index] ?? []).map(({ result }) => marks[result]),
  ]),
];
const widths = (table[0] ?? []).map((_, column) =>
  Math.max(...table.map((row) => row[column]?.length ?? 0)),
);
const line = (row: readonly string[]): string =>
  row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
console.log(`${table.map(line).join('\n')}\n\n${legend}`);

for (const [column, name] of names.entries()) {
  const own = verdicts.map((row) => row[column]);
  const failed = cases.flatMap(({ title, level }, index) => {
    const verdict = own[index];
    return verdict?.result === 'no' || verdict?.result === 'hangs'
      ? [`  ${level}: ${title}\n    ${verdict.reason}`]
      : [];
  });
  const count = (is: Verdict['result']): number =>
    own.filter((verdict) => verdict?.result === is).length;
  const required = cases.length - count('lacks') - count('differs');
  const optional = `${count('lacks')} are of absent optional features, ${count('differs')} differ`;
  console.log(`\n${name} meets ${count('yes')} of ${required} requirements; ${optional}`);
  if (failed.length > 0) console.log(failed.join('\n'));
}
const ours = verdicts.map(([verdict]) => verdict?.result);
process.exitCode = ours.some((is) => is === 'no' || is === 'hangs') ? 1 : 0;
