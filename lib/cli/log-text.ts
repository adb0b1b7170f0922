import { escaped } from '../quoted.js';

interface Level {
  readonly label: string;
  readonly color: number;
}

/** Pino's levels, with the colors of SGR (ECMA-48). */
const levels: ReadonlyMap<unknown, Level> = new Map([
  [20, { label: 'DEBUG', color: 34 }],
  [30, { label: 'INFO', color: 32 }],
  [40, { label: 'WARN', color: 33 }],
  [50, { label: 'ERROR', color: 31 }],
]);
const otherLevel: Level = { label: 'LOG', color: 39 };
const messageColor = 36;
const fieldsColor = 90;

/** Pino's `stack` also has the message of the error, and the stacks of its causes. */
const inStack: ReadonlySet<string> = new Set(['type', 'name', 'message', 'stack']);

const indent = '    ';

/**
 * A line of pino's log for people: time, level, message and fields on one line,
 * and an error with its causes on indented lines behind it. Line breaks and
 * controls are escaped, so that text of a client can neither look like a line of
 * its own nor control a terminal.
 */
export function logText(line: string, colors: boolean): string {
  const entry: unknown = JSON.parse(line);
  if (!isRecord(entry)) return `${oneLine(line)}\n`;
  const { time, level, msg, err, ...fields } = entry;
  const { label, color } = levels.get(level) ?? otherLevel;
  const paint = (code: number, text: string) =>
    colors ? `\u001b[${code}m${text}\u001b[39m` : text;
  const error = errorLines(err);
  const shown = error.length > 0 || err === undefined ? fields : { ...fields, err };

  let text = `[${clockTime(time)}] ${paint(color, label)}:`;
  if (typeof msg === 'string') text += ` ${paint(messageColor, oneLine(msg))}`;
  if (Object.keys(shown).length > 0) {
    text += ` ${paint(fieldsColor, escaped(JSON.stringify(shown)))}`;
  }
  return `${[text, ...error.map((part) => indent + part)].join('\n')}\n`;
}

/** None where `error` is not one. */
function errorLines(error: unknown): string[] {
  if (!isRecord(error)) return [];
  const { stack } = error;
  if (typeof stack !== 'string') return [];
  const lines = stack.split('\n').map(escaped);
  const fields = Object.entries(error).filter(([name]) => !inStack.has(name));
  if (fields.length > 0) lines.push(escaped(JSON.stringify(Object.fromEntries(fields))));
  return lines;
}

function oneLine(text: string): string {
  return escaped(text.trimEnd().replaceAll('\n', '\\n'));
}

function clockTime(time: unknown): string {
  const date = typeof time === 'number' ? new Date(time) : new Date();
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
