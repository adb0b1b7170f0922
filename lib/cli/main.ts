#!/usr/bin/env node
/** The program `nbdcork`: its commands are in files of their own. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { exitCode } from './exit-codes.js';
import { reportFailure } from './failure.js';
import { serveCommand } from './serve.js';

function version(): string {
  const require = createRequire(import.meta.url);
  const manifest: unknown = require('nbdcork/package.json');
  const found = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return found ? String(manifest.version) : 'unknown';
}

/** What to add to the error of commander for a source without the command `serve`. */
function suggestionFor(error: string): string {
  const name = /unknown command '(.+)'/s.exec(error)?.[1] ?? '';
  const isSource = /[./:=]/.test(name) || (name !== '' && existsSync(name));
  return isSource ? `(to serve it, run: nbdcork serve ${name})\n` : '';
}

const program = new Command('nbdcork')
  .description('Serve disks over the Network Block Device protocol.')
  .version(version(), '-V, --version')
  .configureOutput({
    outputError: (text, write) => {
      write(text + suggestionFor(text));
    },
  })
  .showHelpAfterError("(run 'nbdcork --help' for usage)")
  .exitOverride()
  .addCommand(serveCommand());

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed the help or the error.
    process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  } else {
    reportFailure(error);
  }
}
