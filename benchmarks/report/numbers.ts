/** How figures are written, in tables and on the page. */

const figures = new Intl.NumberFormat('en-US', {
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
});
const wholes = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const percents = new Intl.NumberFormat('en-US', {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
  signDisplay: 'exceptZero',
});
const ratios = new Intl.NumberFormat('en-US', {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

/** For what was not, or could not be, measured. */
export const missing = '–';

function written(format: Intl.NumberFormat, value: number | null): string {
  return value === null ? missing : format.format(value).replace('-', '−');
}

/** Three significant digits: runs differ by more than the fourth. */
export function figure(value: number | null): string {
  return written(figures, value);
}

export function whole(value: number | null): string {
  return written(wholes, value);
}

/** `+12.3 %` for 0.123. */
export function percent(share: number): string {
  return `${written(percents, share * 100)} %`;
}

/** `+10.1 to +14.5 %` for 0.101 and 0.145. */
export function percentRange(low: number, high: number): string {
  return `${written(percents, low * 100)} to ${percent(high)}`;
}

export function ratio(value: number): string {
  return `${written(ratios, value)}×`;
}

export function duration(seconds: number): string {
  const all = Math.round(seconds);
  const minutes = Math.floor(all / 60);
  return minutes === 0 ? `${all} s` : `${minutes} min ${all % 60} s`;
}

export function gibibytes(bytes: number): string {
  return `${whole(bytes / 2 ** 30)} GiB`;
}
