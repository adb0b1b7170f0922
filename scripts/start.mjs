// What `npm start` runs: `nbdcork serve` with the given arguments, and a disk in memory
// where they name none.
import { serveCommand } from '../dist/lib/cli/serve.js';

const args = process.argv.slice(2);
process.argv.splice(2, args.length, 'serve', ...args, ...(namesDisk(args) ? [] : ['memory:64M']));
await import('../dist/lib/cli/main.js');

function namesDisk(given) {
  const command = serveCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    const { operands } = command.parseOptions(given);
    return operands.length > 0 || command.opts().export !== undefined;
  } catch {
    return true; // The error is reported when they are parsed again.
  }
}
