import { InvalidArgumentError, Option, type Command } from 'commander';
import ms from 'ms';
import { parseSize } from '../backend/size.js';
import { messageOf } from '../errors.js';
import { defaultLimits, type Limits } from '../limits.js';

type Kind = 'bytes' | 'count' | 'time';

/**
 * Every limit has an option: its name in a command line's spelling, without
 * "Ms", since times are given with a unit.
 */
const limits: Readonly<Record<keyof Limits, readonly [kind: Kind, what: string]>> = {
  requestBytesMax: ['bytes', 'longest READ or WRITE payload; less than 4096 counts as 4096'],
  requestsInFlightMax: ['count', 'requests of a connection in progress'],
  bytesInFlightMax: ['bytes', 'their payloads'],
  connectionsMax: ['count', 'connections at a time'],
  optionsMax: ['count', 'options before an export is chosen'],
  optionBytesMax: ['bytes', 'data of one option'],
  contextsMax: ['count', 'metadata contexts of a client'],
  extentsMax: ['count', 'extents of a context in one reply'],
  openExportsMax: ['count', 'backends open at a time, where clients choose names'],
  handshakeTimeoutMs: ['time', 'from connecting to choosing an export'],
  sendTimeoutMs: ['time', 'in which a client must read some of its replies'],
  keepAliveMs: ['time', 'of silence, then a TCP client is asked if it is there'],
  shutdownTimeoutMs: ['time', 'for everything in progress when the server stops'],
};

const parsers: Readonly<Record<Kind, (text: string) => number>> = {
  bytes: parseSize,
  count: Number,
  time: (text) => (isTime(text) ? Math.round(ms(text)) : NaN),
};

const expected: Readonly<Record<Kind, string>> = {
  bytes: 'Give a size of at least 1 byte, such as 4096, 64K or 32M.',
  count: 'Give a whole number from 1 on.',
  time: 'Give a time of at least 1 ms, such as 500ms, 10s or 2m.',
};

const placeholders: Readonly<Record<Kind, string>> = {
  bytes: '<size>',
  count: '<number>',
  time: '<time>',
};

/** Such as `--handshake-timeout` for `handshakeTimeoutMs`. */
export function limitFlag(name: string): string {
  const words = name.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `--${words}`;
}

/** Adds an option for each limit. */
export function addLimitOptions(command: Command): Command {
  for (const [name, [kind, what]] of Object.entries(limits)) {
    const option = new Option(`${limitFlag(name)} ${placeholders[kind]}`, what);
    command.addOption(option.argParser(parser(kind)).helpGroup('Limits:'));
  }
  return command;
}

/** The limits among the parsed options of a command. */
export function limitsFrom(options: Readonly<Record<string, unknown>>): Partial<Limits> {
  const given: Record<string, number> = {};
  for (const name of Object.keys(defaultLimits)) {
    const value = options[name.replace(/Ms$/, '')];
    if (typeof value === 'number') given[name] = value;
  }
  return given;
}

function parser(kind: Kind): (text: string) => number {
  return (text) => {
    try {
      const value = parsers[kind](text);
      if (Number.isInteger(value) && value >= 1) return value;
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
    throw new InvalidArgumentError(expected[kind]);
  };
}

function isTime(text: string): text is ms.StringValue {
  return /^[0-9.]+ *(?:ms|s|m|h|d)$/.test(text);
}
