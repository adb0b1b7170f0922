// Checks what a linter of single files cannot: the number of files in a folder of
// lib/, the length of files that are not TypeScript, and that no work is left open.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';

const filesMax = 12;
// One file is one strategy, or one option, there.
const foldersExempt = ['lib/transport', 'lib/handshake/options'];
const linesMax = 450;
const codeFolders = ['lib', 'native', 'test', 'benchmarks', 'scripts', 'examples', '.ci'];
const codeExtensions = ['.ts', '.mjs', '.js', '.cc', '.h', '.sh', ''];
const openWork = new RegExp(String.raw`\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'].join('|')})\b`);

process.chdir(join(import.meta.dirname, '..'));
const problems = [...folderProblems(), ...codeFiles().flatMap(fileProblems)];
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;

function folderProblems() {
  const counts = new Map();
  for (const path of codeFiles().filter((one) => one.startsWith('lib/'))) {
    counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  }
  return [...counts]
    .filter(([folder, count]) => count > filesMax && !foldersExempt.includes(folder))
    .map(([folder, count]) => `${folder}: ${count} files, at most ${filesMax} in a folder of lib/`);
}

function codeFiles() {
  return codeFolders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && codeExtensions.includes(extname(entry.name)))
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((path) => !path.includes('node_modules/')),
  );
}

function fileProblems(path) {
  const text = readFileSync(path, 'utf8');
  const lines = text.split('\n').length - 1;
  return [
    ...(lines > linesMax ? [`${path}: ${lines} lines, at most ${linesMax}`] : []),
    ...(openWork.test(text) ? [`${path}: work that is left open: ${openWork.exec(text)[0]}`] : []),
  ];
}
