// Brings a working copy up to date, doing only what is missing or stale:
// dependencies, compiled TypeScript, the addon. Needs nothing but Node and npm.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
process.chdir(root);

if (!dependenciesInstalled()) run('npm', ['ci', '--include=dev']);
if (process.platform === 'linux' && addonIsStale()) {
  const rebuild = ['scripts/with-headers.mjs', 'node_modules/.bin/node-gyp', 'rebuild'];
  if (!succeeds(process.execPath, rebuild)) {
    console.error('The addon could not be built: replies will be sent through Node streams.');
  }
}
for (const folder of ['lib', 'test', 'benchmarks', 'examples']) removeOrphans(folder);
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']);

function run(command, args) {
  if (!succeeds(command, args)) process.exit(1);
}

function succeeds(command, args) {
  const shell = process.platform === 'win32';
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', shell });
  if (error !== undefined) throw error;
  return status === 0;
}

// npm keeps in node_modules a lock file of what it installed.
function dependenciesInstalled() {
  const installedPath = 'node_modules/.package-lock.json';
  if (!existsSync(installedPath)) return false;
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages;
  const locked = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  return Object.entries(locked).every(
    ([path, { version, optional, link }]) =>
      !path.includes('node_modules/') || // the package itself and its workspaces
      optional === true ||
      (link === true ? existsSync(path) : installed[path]?.version === version),
  );
}

// What tsc made of a source that is gone would still be run and packed.
function removeOrphans(folder) {
  const output = join('dist', folder);
  if (!existsSync(output)) return;
  for (const path of readdirSync(output, { recursive: true })) {
    const stem = /^(.*?)(\.d\.ts|\.js|\.js\.map)$/.exec(path)?.[1];
    if (stem === undefined || existsSync(join(folder, `${stem}.ts`))) continue;
    rmSync(join(output, path));
  }
}

function addonIsStale() {
  const sources = readdirSync('native').map((name) => join('native', name));
  const newest = Math.max(...['binding.gyp', ...sources].map((path) => statSync(path).mtimeMs));
  try {
    const addonPath = createRequire(import.meta.url)('node-gyp-build').path(root);
    return statSync(addonPath).mtimeMs < newest;
  } catch {
    return true; // node-gyp-build throws where it finds no addon
  }
}
