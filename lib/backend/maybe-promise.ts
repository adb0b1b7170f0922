/** A value now or later. What can answer at once does so without a Promise. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * A promise is known by what it can do: it need not be of the language's own
 * class. What a backend answers may be anything, whatever its type says.
 */
export function isPromise<T>(answer: MaybePromise<T>): answer is Promise<T> {
  return typeof answer === 'object' && answer !== null && 'then' in answer;
}
