import { NbdError } from '../errors.js';

const sizePattern = /^([0-9]+)(?:\.([0-9]+))?(?:([KMGTPE])(?:i?B)?|B)?$/i;
const units = 'KMGTPE';

/**
 * The bytes of a size such as `1000`, `64M`, `1.5G` or `10GiB`. The suffixes K, M,
 * G, T, P and E are powers of 1024, in either case, optionally followed by `iB`
 * or `B`.
 *
 * @throws NbdError `NBDCORK_BAD_SIZE` for any other text, a fraction of a byte,
 *   or more than 2^53 − 1 bytes.
 */
export function parseSize(text: string): number {
  // No size is longer, and the arithmetic below is quadratic in the digits.
  const match = text.length <= 64 ? sizePattern.exec(text) : null;
  const whole = match?.[1];
  if (whole === undefined) {
    throw badSize(
      text,
      'is not a size. Write a number of bytes, or a number with K, M, G, T, P or E: 64M, 1.5G',
    );
  }
  const fraction = match?.[2] ?? '';
  const unit = match?.[3]?.toUpperCase();
  const power = unit === undefined ? 0 : units.indexOf(unit) + 1;
  const scaled = BigInt(whole + fraction) * 1024n ** BigInt(power);
  const scale = 10n ** BigInt(fraction.length);
  if (scaled % scale !== 0n) throw badSize(text, 'is not a whole number of bytes');
  const bytes = scaled / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw badSize(text, `is too large: a disk has at most ${Number.MAX_SAFE_INTEGER} bytes`);
  }
  return Number(bytes);
}

/** @throws NbdError `NBDCORK_BAD_SIZE` for a number that cannot be the size of a disk. */
export function checkDiskSize(size: number): void {
  if (Number.isSafeInteger(size) && size >= 0) return;
  throw new NbdError(
    'NBDCORK_BAD_SIZE',
    `A disk cannot have ${size} bytes. Give an integer from 0 to 2^53 − 1.`,
  );
}

function badSize(text: string, problem: string): NbdError {
  const shown = text.length <= 64 ? text : `${text.slice(0, 64)}…`;
  return new NbdError('NBDCORK_BAD_SIZE', `"${shown}" ${problem}.`);
}
