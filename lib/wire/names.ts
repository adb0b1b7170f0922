import { Command, ErrorNumber, OptionType } from './constants.js';

function nameIn(table: Readonly<Record<string, number>>, value: number): string | undefined {
  return Object.keys(table).find((name) => table[name] === value);
}

/** The specification's spelling: `NBD_CMD_WRITE_ZEROES` for `writeZeroes`. */
function specName(prefix: string, name: string | undefined, value: number): string {
  if (name === undefined) return `${prefix} ${value}`;
  return `${prefix}_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** `NBD_CMD_READ` and so on, or `NBD_CMD 99`. */
export function commandName(type: number): string {
  return type === Command.disconnect
    ? 'NBD_CMD_DISC'
    : specName('NBD_CMD', nameIn(Command, type), type);
}

/** `NBD_OPT_GO` and so on, or `NBD_OPT 99`. */
export function optionName(type: number): string {
  return type === OptionType.startTls
    ? 'NBD_OPT_STARTTLS'
    : specName('NBD_OPT', nameIn(OptionType, type), type);
}

/** `ENOSPC` and so on, or the number. */
export function errorName(value: number): string {
  return nameIn(ErrorNumber, value) ?? String(value);
}
