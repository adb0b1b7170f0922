/** A table before it is Markdown or HTML. */
import type { Verdict } from '../results.js';
import { missing } from './numbers.js';

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

export interface Cell {
  /** One below the other. */
  readonly lines: readonly string[];
  readonly verdict?: Verdict;
}

export interface Table {
  /** Unique in the report; links lead to it. */
  readonly id: string;
  readonly title: string;
  /** Paragraphs above it: what it shows, in which units. */
  readonly notes: readonly string[];
  readonly columns: readonly Column[];
  /** The first cells of each row say what it is about. */
  readonly headings: number;
  readonly rows: readonly (readonly Cell[])[];
}

export function words(title: string): Column {
  return { title, align: 'left' };
}

export function amounts(title: string): Column {
  return { title, align: 'right' };
}

export function cell(...lines: string[]): Cell {
  return { lines };
}

export const nothing: Cell = cell(missing);
