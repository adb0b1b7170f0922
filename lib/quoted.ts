/** Longer names are cut. */
const unitsMax = 100;

/**
 * A name that a client chose, for logs and error messages: short, on one line, and
 * without characters that control a terminal or hide others.
 */
export function quoted(name: string): string {
  const short = name.length > unitsMax ? `${name.slice(0, unitsMax)}…` : name;
  return JSON.stringify(short).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}
