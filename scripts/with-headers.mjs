// Runs a command that builds the addon, without node-gyp's chatter and against
// the headers that are installed beside this Node, where there are any:
// node-gyp would download them otherwise.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [command, ...args] = process.argv.slice(2);
const prefix = dirname(dirname(process.execPath));
const env = { npm_config_loglevel: 'warn', ...process.env };
if (existsSync(join(prefix, 'include', 'node', 'common.gypi'))) env.npm_config_nodedir ??= prefix;

const { status, error } = spawnSync(command, args, {
  env,
  stdio: 'inherit',
  shell: process.platform === 'win32',
});
if (error !== undefined) console.error(`${command}: ${error.message}`);
process.exitCode = status ?? 1;
