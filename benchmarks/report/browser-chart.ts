/**
 * How a chart is made of a picture, for the page's script: see browser.ts for
 * what these functions may use.
 */
import type { ChartConfiguration } from 'chart.js';
import type { Picture } from './pictures.js';

type Config = ChartConfiguration<'barWithErrorBars' | 'lineWithErrorBars', object[], string>;
export type Colour = (name: string) => string;

export function datasetsOf(
  picture: Picture,
  colour: Colour,
  ofSeries: Colour,
): Config['data']['datasets'] {
  const shapes = ['circle', 'rect', 'triangle', 'rectRot', 'rectRounded', 'star'] as const;
  const text = colour('--text');
  const flat = picture.form === 'rows';
  const lines = picture.form === 'lines';
  const radii = picture.categories.map((category) =>
    picture.spread?.labelled.includes(category) === false ? 0 : 5,
  );
  return picture.series.map(({ name, points }, index) => {
    const own = ofSeries(name);
    return {
      label: name,
      data: points.map((point, position) => {
        const x = picture.spread?.positions[position];
        if (point === null) return x === undefined ? {} : { x, y: NaN };
        const { value, low, high } = point;
        if (x !== undefined) return { x, y: value };
        if (flat) return { x: value, xMin: low, xMax: high };
        // Whiskers without a bar between them would only clutter the end of the bar.
        return low === high ? { y: value } : { y: value, yMin: low, yMax: high };
      }),
      backgroundColor: own,
      borderColor: own,
      borderWidth: lines ? 2 : 0,
      // Bars of what is missing leave no gap between the others.
      skipNull: true,
      maxBarThickness: 40,
      ...(picture.valueScale === 'ratio' && { base: 1 }),
      errorBarColor: lines ? own : text,
      errorBarWhiskerColor: lines ? own : text,
      errorBarLineWidth: 1.25,
      errorBarWhiskerLineWidth: 1.25,
      errorBarWhiskerRatio: lines ? 0 : 0.5,
      errorBarWhiskerSize: 8,
      pointStyle: shapes[index % shapes.length] ?? 'circle',
      radius: radii,
      hoverRadius: 6,
      // Counters at the ends of the axis are drawn whole.
      clip: 6,
      spanGaps: true,
    };
  });
}

/** The axis of the categories: evenly spread, or with each where the picture has it. */
export function axisOf({ categories, categoryTitle, spread }: Picture, colour: Colour) {
  const text = colour('--text');
  const axis = {
    title: { display: categoryTitle !== '', text: categoryTitle, color: text },
    ticks: { color: text, autoSkip: false, maxRotation: 40 },
    grid: { display: false },
    border: { color: colour('--line') },
  };
  if (spread === undefined) return { ...axis, type: 'category' as const };
  const { positions, labelled } = spread;
  const ticks = categories.flatMap((label, index) => {
    const value = positions[index];
    return value !== undefined && labelled.includes(label) ? [{ value, label }] : [];
  });
  return {
    ...axis,
    type: 'linear' as const,
    min: Math.min(...positions),
    max: Math.max(...positions),
    afterBuildTicks: (scale: { ticks: { value: number }[] }) => {
      scale.ticks = ticks;
    },
    ticks: { ...axis.ticks, callback: (_: unknown, index: number) => ticks[index]?.label ?? '' },
  };
}

/** The ends of a logarithmic axis of bars, and what is written between them. */
export function logarithmicAxisOf({ series, valueScale }: Picture) {
  const points = series.flatMap((one) => one.points.filter((point) => point !== null));
  const ends = points.flatMap(({ low, value, high }) => [low, value, high]);
  if (valueScale === 'ratio') ends.push(1);
  const known = ends.filter((end) => Number.isFinite(end) && end > 0);
  const [lowest, highest] = [Math.min(...known), Math.max(...known)];
  const within = (steps: readonly number[], from: number, to: number): number[] => {
    const first = Math.floor(Math.log10(from));
    const decades = Array.from(
      { length: Math.ceil(Math.log10(to)) - first + 1 },
      (_, index) => first + index,
    );
    const all = decades.flatMap((decade) =>
      // By its digits, so that 0.3 is not 0.30000000000000004.
      steps.map((step) => Number(`${step}e${decade}`)),
    );
    return all.filter((tick) => tick >= from && tick <= to);
  };
  const fine = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];
  // The lowest bar is one too, so it starts below its end.
  const min = within(fine, lowest / 3, lowest * 0.95).at(-1) ?? lowest / 2;
  const max = within(fine, highest * 1.02, highest * 3)[0] ?? highest * 2;
  const coarse = within([1, 2, 5], min, max);
  return { min, max, ticks: coarse.length < 4 ? within(fine, min, max) : coarse };
}

/** The axis of the values. */
export function valueAxisOf(picture: Picture, colour: Colour) {
  const text = colour('--text');
  const faint = colour('--line');
  const ratio = picture.valueScale === 'ratio';
  const exact =
    picture.form === 'bars' && picture.valueScale !== 'linear'
      ? logarithmicAxisOf(picture)
      : undefined;
  return {
    type: picture.valueScale === 'linear' ? ('linear' as const) : ('logarithmic' as const),
    ...(exact !== undefined && {
      min: exact.min,
      max: exact.max,
      afterBuildTicks: (scale: { ticks: { value: number }[] }) => {
        scale.ticks = exact.ticks.map((tick) => ({ value: tick }));
      },
    }),
    beginAtZero: picture.valueScale === 'linear',
    // Room for the ends of the error bars.
    grace: '4%',
    title: { display: true, text: picture.valueTitle, color: text },
    ticks: {
      color: text,
      callback: (tick: number | string) => {
        if (exact !== undefined)
          return `${ratio ? '×' : ''}${Number(tick).toLocaleString('en-US')}`;
        const digit = Number(tick) / 10 ** Math.floor(Math.log10(Number(tick)));
        const labelled = picture.valueScale === 'linear' || [1, 2, 5].includes(Math.round(digit));
        return labelled ? Number(tick).toLocaleString('en-US') : '';
      },
    },
    grid: {
      // Where bars of a ratio start is what they are compared with.
      color: ({ tick }: { tick?: { value: number } }) =>
        ratio && tick?.value === 1 ? text : faint,
    },
    border: { display: false },
  };
}

export function configOf(picture: Picture, colour: Colour, ofSeries: Colour): Config {
  const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
  const text = colour('--text');
  const value = valueAxisOf(picture, colour);
  const flat = picture.form === 'rows';
  const lines = picture.form === 'lines';
  const category = axisOf(picture, colour);
  return {
    type: lines ? 'lineWithErrorBars' : 'barWithErrorBars',
    data: { labels: [...picture.categories], datasets: datasetsOf(picture, colour, ofSeries) },
    options: {
      animation: false,
      maintainAspectRatio: false,
      locale: 'en-US',
      indexAxis: flat ? 'y' : 'x',
      font: { family: 'system-ui, sans-serif', size: 13 },
      scales: flat ? { x: value, y: category } : { x: category, y: value },
      interaction: { mode: 'index', intersect: false, axis: flat ? 'y' : 'x' },
      plugins: {
        legend: {
          display: picture.series.length > 1,
          position: 'bottom',
          labels: { color: text, usePointStyle: lines, boxWidth: 12, boxHeight: lines ? 7 : 12 },
        },
        tooltip: {
          backgroundColor: colour('--card'),
          titleColor: text,
          bodyColor: text,
          borderColor: colour('--line'),
          borderWidth: 1,
          boxPadding: 4,
          callbacks: {
            label: ({ dataset, datasetIndex, dataIndex }) => {
              const point = picture.series[datasetIndex]?.points[dataIndex];
              if (!point) return '';
              const { value: middle, low, high } = point;
              const range = `(${number.format(low)} to ${number.format(high)})`;
              const name = dataset.label ?? '';
              return `${name}: ${number.format(middle)} ${low === high ? '' : range}`;
            },
          },
        },
      },
    },
  };
}
