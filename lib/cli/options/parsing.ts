/** Parsers for the values of options, as commander calls them. */
import { InvalidArgumentError } from 'commander';
import { messageOf } from '../../errors.js';

/** For an option that may be repeated: the list of its values. */
export function append(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** A number within these bounds; `integer` refuses fractions. */
export function numberFrom(min: number, max: number, integer = true): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (value >= min && value <= max && (!integer || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(
      `It must be ${integer ? 'an integer' : 'a number'} from ${min} to ${max}.`,
    );
  };
}

/** Reports what `parse` throws as an invalid value of the option. */
export function parsedBy<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
  };
}
