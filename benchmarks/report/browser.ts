/**
 * What runs in the page: makes charts of its pictures, in the colours of its
 * style sheet, and makes them anew when another workload, link or colour
 * scheme is chosen. The text of these functions is put into the page, so they
 * use nothing but each other, what they are given, and the chart library.
 */
import type { Chart as ChartClass } from 'chart.js';
import type * as ErrorBars from 'chartjs-chart-error-bars';
import {
  axisOf,
  configOf,
  datasetsOf,
  logarithmicAxisOf,
  valueAxisOf,
  type Colour,
} from './browser-chart.js';
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

/** Description of the picture for screen readers. */
function inWords(picture: Picture): string {
  const { title, context, valueTitle } = picture;
  const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
  const perCategory = picture.categories.flatMap((category, index) => {
    if (picture.spread?.labelled.includes(category) === false) return [];
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
${[inWords, seriesColours, datasetsOf, axisOf, logarithmicAxisOf, valueAxisOf, configOf, figureOf, start].map(String).join('\n')}
start(window);
})();`;
