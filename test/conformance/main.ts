/**
 * `npm run conformance`: asks nbdcork, nbdkit, qemu-nbd and nbd-server the same
 * questions, as far as they are installed, and prints who does what the
 * specification says. Ends with 1 where nbdcork does not.
 */
import { cases } from './cases/index.js';
import { judge, type Verdict } from './judge.js';
import { Subject } from './servers.js';

const timeoutMs = 5_000;
const marks = { yes: 'yes', no: 'NO', differs: 'differs', lacks: '-', hangs: 'HANGS' } as const;
const places = `The sections are those of the specification. A dash: the server need not have it;
"differs": what it need not do, it does otherwise.`;

const subjects = Subject.all();
const names = subjects.map(({ name }) => name);
const verdicts: Verdict[][] = [];
try {
  for (const one of cases) {
    // One after the other: they share the processors.
    const row: Verdict[] = [];
    for (const subject of subjects) row.push(await judge(one, subject, timeoutMs));
    verdicts.push(row);
  }
} finally {
  for (const subject of subjects) subject.stop();
}

const table = [
  ['section', 'level', 'what', ...names],
  ...cases.map(({ section, level, title }, index) => [
    section,
    level,
    title,
    ...(verdicts[index] ?? []).map(({ is }) => marks[is]),
  ]),
];
const widths = (table[0] ?? []).map((_, column) =>
  Math.max(...table.map((row) => row[column]?.length ?? 0)),
);
const line = (row: readonly string[]): string =>
  row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
console.log(`${table.map(line).join('\n')}\n\n${places}`);

for (const [column, name] of names.entries()) {
  const own = verdicts.map((row) => row[column]);
  const failed = cases.flatMap(({ title, level }, index) => {
    const verdict = own[index];
    return verdict?.is === 'no' || verdict?.is === 'hangs'
      ? [`  ${level}: ${title}\n    ${verdict.why}`]
      : [];
  });
  const count = (is: Verdict['is']): number => own.filter((verdict) => verdict?.is === is).length;
  const asked = cases.length - count('lacks') - count('differs');
  const free = `need not have ${count('lacks')}, and differs in ${count('differs')} that it need not do`;
  console.log(`\n${name} does ${count('yes')} of ${asked}, ${free}`);
  if (failed.length > 0) console.log(failed.join('\n'));
}
const ours = verdicts.map(([verdict]) => verdict?.is);
process.exitCode = ours.some((is) => is === 'no' || is === 'hangs') ? 1 : 0;
