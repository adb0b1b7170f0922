/** The options of `serve` for limits. */
import { Option, type Command } from 'commander';
import ms from 'ms';
import { parseSize } from '../../backend/size.js';
import { NbdError } from '../../errors.js';
import { defaultLimits, limitMin, type Limits } from '../../limits.js';
import { parsedBy } from './parsing.js';

interface Kind {
  readonly placeholder: string;
  readonly parse: (text: string) => number;
  readonly format: (value: number) => string;
  readonly expected: string;
  /** The same for a limit that may be off. */
  readonly expectedOrOff?: string;
}

const size: Kind = {
  placeholder: '<size>',
  parse: parseSize,
  format: (bytes) => (bytes < 2 ** 20 ? `${bytes / 2 ** 10}K` : `${bytes / 2 ** 20}M`),
  expected: 'It must be a size of at least 1 byte, such as 4096, 64K or 32M.',
};

const count: Kind = {
  placeholder: '<number>',
  parse: Number,
  format: String,
  expected: 'It must be a positive integer.',
  expectedOrOff: 'It must be a positive integer, or 0 for no limit.',
};

const time: Kind = {
  placeholder: '<time>',
  parse: parseTime,
  format: (value) => (value === 0 ? '0' : ms(value)),
  expected: 'It must be a time of at least 1 ms, such as 500ms, 10s or 2m.',
  expectedOrOff: 'It must be a time of at least 1 ms, such as 30s, 10m or 1h, or 0 for no limit.',
};

/**
 * Those that can have an effect here: the backends of the command line have one
 * metadata context each, and are all opened at start.
 */
const limits: readonly (readonly [name: keyof Limits, kind: Kind, what: string])[] = [
  ['requestBytesMax', size, 'maximum payload of a READ or WRITE; less than 4096 counts as 4096'],
  ['requestsInFlightMax', count, 'maximum requests in flight per connection'],
  ['bytesInFlightMax', size, 'maximum payload bytes in flight per connection'],
  [
    'memoryBytesMax',
    size,
    'maximum payload bytes of all connections; more by default where an eighth of the memory is more',
  ],
  ['connectionsMax', count, 'maximum number of connections'],
  [
    'connectionsPerPeerMax',
    count,
    'maximum number of connections of an IP address, or of a user on Unix sockets',
  ],
  ['optionsMax', count, 'maximum number of options in a negotiation'],
  ['optionBytesMax', size, 'maximum data length of an option'],
  ['extentsMax', count, 'maximum extents per metadata context in a reply'],
  ['handshakeTimeoutMs', time, 'time limit for the negotiation'],
  ['sendTimeoutMs', time, 'time after which a client that reads no replies is disconnected'],
  ['idleTimeoutMs', time, 'time after which a client that sends no requests is disconnected'],
  ['keepAliveMs', time, 'TCP keep-alive idle time'],
  ['shutdownTimeoutMs', time, 'time limit for a graceful shutdown'],
];

/** Adds an option for each limit, such as `--handshake-timeout` for `handshakeTimeoutMs`. */
export function addLimitOptions(command: Command): Command {
  for (const [name, kind, what] of limits) {
    const { placeholder, parse, format } = kind;
    const words = optionName(name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const min = limitMin(name);
    const expected = min === 0 ? (kind.expectedOrOff ?? kind.expected) : kind.expected;
    const option = new Option(
      `--${words} ${placeholder}`,
      `${what}${min === 0 ? ', 0 for no limit' : ''} (default: ${format(defaultLimits[name])})`,
    ).argParser(
      parsedBy((text) => {
        const value = parse(text);
        if (Number.isInteger(value) && value >= min) return value;
        throw new NbdError('NBDCORK_BAD_LIMIT', expected);
      }),
    );
    command.addOption(option.helpGroup('Limits:'));
  }
  return command;
}

/** The limits among the parsed options of a command. */
export function limitsFrom(options: Readonly<Record<string, unknown>>): Partial<Limits> {
  const given: Record<string, number> = {};
  for (const [name] of limits) {
    const value = options[optionName(name)];
    if (typeof value === 'number') given[name] = value;
  }
  return given;
}

/** Without the unit, which is a part of the value. */
function optionName(limit: string): string {
  return limit === 'memoryBytesMax' ? 'memoryMax' : limit.replace(/Ms$/, '');
}

function parseTime(text: string): number {
  if (text === '0') return 0;
  if (!isTime(text)) return NaN;
  const value = ms(text);
  // Rounded to 0, it would be no limit.
  return value < 1 ? value : Math.round(value);
}

function isTime(text: string): text is ms.StringValue {
  return /^[0-9.]+ *(?:ms|s|m|h|d)$/.test(text);
}
