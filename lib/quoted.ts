/** Longer names are cut. */
const unitsMax = 100;

/** Controls, among them those of terminals, and what hides or reorders other characters. */
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * A name that a client chose, for logs and error messages: short, on one line, and
 * without characters that control a terminal or hide others.
 */
export function quoted(name: string): string {
  const short = name.length > unitsMax ? `${name.slice(0, unitsMax)}…` : name;
  return escaped(JSON.stringify(short));
}

/** `text` on one line, without characters that control a terminal or hide others. */
export function escaped(text: string): string {
  return text.replace(
    invisible,
    (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`,
  );
}
