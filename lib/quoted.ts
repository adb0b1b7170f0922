/** Much more than people call things by. */
const unitsMax = 100;

/**
 * What clients call something, for logs and error texts: on one line, short,
 * and without characters that a terminal obeys or that hide others.
 */
export function quoted(name: string): string {
  const short = name.length > unitsMax ? `${name.slice(0, unitsMax)}…` : name;
  return JSON.stringify(short).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}
