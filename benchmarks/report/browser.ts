/**
 * What runs in the page: makes charts of its pictures, in the colours of its
 * style sheet, and makes them anew when another workload, link or colour
 * scheme is chosen. The text of these functions is put into the page, so they
 * use nothing but each other, what they are given, and the chart library.
 */
import type { Chart as ChartClass, ChartConfiguration } from 'chart.js';
import type * as ErrorBars from 'chartjs-chart-error-bars';
import type { Album, Picture } from './pictures.js';

/** As much of a browser as is needed here: Node's types know none. */
interface PageElement {
  readonly style: { height: string };
  textContent: string;
  value: string;
  hidden: boolean;
  append(...children: (PageElement | string)[]): void;
  replaceChildren(...children: PageElement[]): void;
  setAttribute(name: string, value: string): void;
  addEventListener(type: 'change', listener: () => void): void;
}

interface PageDocument {
  readonly documentElement: PageElement;
  createElement(name: string): PageElement;
  getElementById(id: string): PageElement;
}

interface PageWindow {
  readonly document: PageDocument;
  readonly Chart: typeof ChartClass;
  readonly ChartErrorBars: typeof ErrorBars;
  getComputedStyle(element: PageElement): { getPropertyValue(name: string): string };
  matchMedia(query: string): PageElement;
}

type Config = ChartConfiguration<'barWithErrorBars' | 'lineWithErrorBars', object[], string>;
type Colour = (name: string) => string;

/** The picture in words, for those who do not see it. */
function inWords(picture: Picture): string {
  const { title, context, valueTitle } = picture;
  const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
  const perCategory = picture.categories.map((category, index) => {
    const values = picture.series.flatMap(({ name, points }) => {
      const point = points[index];
      return point ? [`${name} ${number.format(point.value)}`] : [];
    });
    return `${category}: ${values.join(', ')}.`;
  });
  const heading = context === '' ? title : `${title}, ${context}`;
  return `${heading}. In ${valueTitle}. ${perCategory.join(' ')}`;
}

/** Names that have no colour of their own take the others in turn, the same ones in every picture. */
function seriesColours(album: Album, colour: Colour): Colour {
  const own = (name: string) => colour(`--series-${name}`);
  const pictures = [...album.settings.flatMap((setting) => setting.pictures), ...album.pictures];
  const names = pictures.flatMap(({ series }) => series.map(({ name }) => name));
  const others = [...new Set(names)].filter((name) => own(name) === '');
  return (name) => own(name) || colour(`--other-${(others.indexOf(name) % 6) + 1}`);
}

function datasetsOf(
  picture: Picture,
  colour: Colour,
  ofSeries: Colour,
): Config['data']['datasets'] {
  const shapes = ['circle', 'rect', 'triangle', 'rectRot', 'rectRounded', 'star'] as const;
  const text = colour('--text');
  const flat = picture.form === 'rows';
  const lines = picture.form === 'lines';
  return picture.series.map(({ name, points }, index) => {
    const own = ofSeries(name);
    return {
      label: name,
      data: points.map((point) => {
        if (point === null) return {};
        const { value, low, high } = point;
        if (flat) return { x: value, xMin: low, xMax: high };
        // Whiskers without a bar between them would only clutter the end of the bar.
        return low === high ? { y: value } : { y: value, yMin: low, yMax: high };
      }),
      backgroundColor: own,
      borderColor: own,
      borderWidth: lines ? 2 : 0,
      errorBarColor: lines ? own : text,
      errorBarWhiskerColor: lines ? own : text,
      errorBarLineWidth: 1.25,
      errorBarWhiskerLineWidth: 1.25,
      errorBarWhiskerRatio: lines ? 0 : 0.5,
      errorBarWhiskerSize: 8,
      pointStyle: shapes[index % shapes.length] ?? 'circle',
      pointRadius: 5,
      pointHoverRadius: 6,
      spanGaps: true,
    };
  });
}

function configOf(picture: Picture, colour: Colour, ofSeries: Colour): Config {
  const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
  const text = colour('--text');
  const faint = colour('--line');
  const category = {
    type: 'category' as const,
    title: { display: picture.categoryTitle !== '', text: picture.categoryTitle, color: text },
    ticks: { color: text, autoSkip: false, maxRotation: 40 },
    grid: { display: false },
    border: { color: faint },
  };
  const value = {
    type: picture.valueScale,
    beginAtZero: picture.valueScale === 'linear',
    // Room for the ends of the error bars.
    grace: '4%',
    title: { display: true, text: picture.valueTitle, color: text },
    ticks: {
      color: text,
      callback: (tick: number | string) => {
        const digit = Number(tick) / 10 ** Math.floor(Math.log10(Number(tick)));
        const labelled = picture.valueScale === 'linear' || [1, 2, 5].includes(Math.round(digit));
        return labelled ? Number(tick).toLocaleString('en-US') : '';
      },
    },
    grid: { color: faint },
    border: { display: false },
  };
  const flat = picture.form === 'rows';
  const lines = picture.form === 'lines';
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
          borderColor: faint,
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

/** A figure with its caption, and the canvas to draw on when it is in the page. */
function figureOf(document: PageDocument, picture: Picture) {
  const figure = document.createElement('figure');
  const caption = document.createElement('figcaption');
  const title = document.createElement('h3');
  const setting = document.createElement('p');
  const note = document.createElement('p');
  const frame = document.createElement('div');
  const canvas = document.createElement('canvas');
  title.textContent = picture.title;
  setting.textContent = picture.context;
  setting.setAttribute('class', 'context');
  note.textContent = picture.note.replaceAll(' %', '\u00a0%');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', inWords(picture));
  frame.setAttribute('class', `frame ${picture.form}`);
  if (picture.form === 'rows') frame.style.height = `${5 + picture.categories.length * 2}rem`;
  frame.append(canvas);
  caption.append(title);
  if (picture.context !== '') caption.append(setting);
  caption.append(note);
  figure.append(caption, frame);
  return { figure, canvas };
}

/** Draw all, and again after every choice. */
function start(window: PageWindow): void {
  const { document, Chart, ChartErrorBars } = window;
  Chart.register(
    ChartErrorBars.BarWithErrorBarsController,
    ChartErrorBars.LineWithErrorBarsController,
    ChartErrorBars.BarWithErrorBar,
    ChartErrorBars.PointWithErrorBar,
  );
  const album = JSON.parse(document.getElementById('album').textContent) as Album;
  const settingChoice = document.getElementById('setting');
  const linkChoice = document.getElementById('link');
  let charts: { destroy(): void }[] = [];
  let chosenLink = '';

  function colour(name: string): string {
    return window.getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  const ofSeries = seriesColours(album, colour);

  function draw(place: string, pictures: readonly Picture[]): void {
    const figures = pictures.map((picture) => ({
      picture,
      ...figureOf(document, picture),
    }));
    document.getElementById(place).replaceChildren(...figures.map(({ figure }) => figure));
    for (const { picture, canvas } of figures) {
      charts.push(new Chart(canvas, configOf(picture, colour, ofSeries)));
    }
  }

  function drawAll(): void {
    for (const chart of charts) chart.destroy();
    charts = [];
    const setting = album.settings[Number(settingChoice.value)];
    const link = setting?.links[Number(linkChoice.value)];
    chosenLink = link?.label ?? '';
    draw('setting-pictures', setting?.pictures ?? []);
    draw('link-pictures', link?.pictures ?? []);
    draw('other-pictures', album.pictures);
  }

  function offerLinks(): void {
    const links = album.settings[Number(settingChoice.value)]?.links ?? [];
    const options = links.map(({ label }, index) => {
      const option = document.createElement('option');
      option.value = String(index);
      option.textContent = label;
      return option;
    });
    linkChoice.replaceChildren(...options);
    // Another workload was chosen, not another link.
    linkChoice.value = String(
      Math.max(
        0,
        links.findIndex(({ label }) => label === chosenLink),
      ),
    );
  }

  settingChoice.addEventListener('change', () => {
    offerLinks();
    drawAll();
  });
  linkChoice.addEventListener('change', drawAll);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  document.getElementById('choices').hidden = album.settings.length === 0;
  offerLinks();
  drawAll();
}

/** The script of the page. */
export const browserScript = `(() => {
'use strict';
${[inWords, seriesColours, datasetsOf, configOf, figureOf, start].map(String).join('\n')}
start(window);
})();`;
