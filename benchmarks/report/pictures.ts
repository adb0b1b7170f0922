/**
 * The pictures of the page as plain data: what is drawn, not how. The page's
 * script makes charts of them.
 */

export interface Point {
  readonly value: number;
  /** Ends of the error bar; the value itself where there is none. */
  readonly low: number;
  readonly high: number;
}

export interface Series {
  /** A strategy, a peer or a call: always drawn in the same colour. */
  readonly name: string;
  /** One a category; null where it was not measured. */
  readonly points: readonly (Point | null)[];
}

interface Spread {
  /** One a category. */
  readonly positions: readonly number[];
  /** The categories that are named on the axis and in words, and whose points are marked. */
  readonly labelled: readonly string[];
}

export interface Picture {
  /** Unique among the pictures that are shown together. */
  readonly id: string;
  readonly title: string;
  /** Which workload, and link, it is of; empty where there is none. */
  readonly context: string;
  /** What the bars, lines and error bars are. */
  readonly note: string;
  /** `rows` are bars that lie, for long names. */
  readonly form: 'bars' | 'rows' | 'lines';
  /** With its unit. */
  readonly valueTitle: string;
  /** `ratio` is logarithmic too, and bars start at 1. */
  readonly valueScale: 'linear' | 'logarithmic' | 'ratio';
  readonly categoryTitle: string;
  readonly categories: readonly string[];
  /** Where the categories lie on their axis; evenly spread unless it says so. */
  readonly spread?: Spread;
  readonly series: readonly Series[];
}

/** Pictures of one link within a setting. */
export interface LinkPictures {
  readonly label: string;
  readonly pictures: readonly Picture[];
}

/** Pictures of all that was measured with the same requests, depth, connections and headers. */
export interface Setting {
  readonly label: string;
  /** Links side by side. */
  readonly pictures: readonly Picture[];
  readonly links: readonly LinkPictures[];
}

export interface Album {
  readonly settings: readonly Setting[];
  /** Which of them is shown first. */
  readonly opened: number;
  /** What belongs to no setting. */
  readonly pictures: readonly Picture[];
}
