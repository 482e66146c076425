import { appBoxes, computeBoxes, edges, type Box } from './drawnParts.js';
import type { AppPlane, Template } from './synthesis.js';

/**
 * docs/stack.svg: what both planes create, drawn from the synthesised resources. Places are given here; what stands in
 * a box, how much of it, and who may reach what is read from the resources. A function, queue, store or service that
 * has no place stops the drawing, so that none is forgotten.
 */
export function drawStack(compute: Readonly<Record<string, Template>>, app: AppPlane): string {
  // Resources are registered in any order.
  const boxes = [...appBoxes(app), ...computeBoxes(compute)].sort((a, b) => (a.id < b.id ? -1 : 1));
  const unplaced = boxes.filter(({ id }) => !(id in places)).map(({ id }) => id);
  if (unplaced.length > 0) throw new Error(`No place in the drawing for ${unplaced.join(', ')}.`);
  const drawn = boxes.map((box) => drawBox(box));
  const lines = [...edges(app, compute)]
    .sort()
    .filter(([from, to]) =>
      [from, to].every((end) => end in outsidePlaces || boxes.some(({ id }) => id === end)),
    )
    .map(([from, to, label]) => drawEdge(from, to, label));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    '<title>A stack in a member’s AWS account</title>',
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#56616f"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    plane(170, 16, 1015, 430, 'App plane: SST', '#f4f7fb'),
    plane(170, 480, 1015, 270, 'Compute plane: CDK, in a VPC of two zones', '#f7f6f0'),
    ...lines,
    ...Object.entries(outside).map(([id, title]) => drawOutside(id, title)),
    ...drawn,
    legend(),
    '</svg>',
    '',
  ].join('\n');
}

const [width, height] = [1200, 800];

/** Left upper corners; boxes are of one size. */
const places: Record<string, [x: number, y: number]> = {
  Page: [190, 60],
  Gateway: [190, 150],
  SweepSchedule: [190, 260],
  SettleSchedule: [190, 345],
  webhook: [390, 60],
  api: [390, 150],
  sweep: [390, 260],
  settle: [390, 345],
  Jobs: [590, 60],
  JobsDead: [590, 150],
  Credits: [590, 260],
  CreditsDead: [590, 345],
  dispatch: [790, 60],
  reward: [790, 260],
  sum: [790, 345],
  Table: [990, 60],
  Artifacts: [990, 150],
  Alarms: [990, 260],
  Dashboard: [990, 345],
  Balancer: [190, 530],
  Gatekeeper: [390, 530],
  Temporal: [590, 530],
  Database: [790, 530],
  Secrets: [990, 530],
  Fleet: [190, 650],
  Images: [390, 650],
  Worker: [590, 650],
  Parameters: [990, 650],
};
const [boxWidth, boxHeight] = [176, 66];

const outside: Record<string, string> = {
  Visitors: 'visitors of the page',
  Callers: 'webhooks, members, runners',
  Runners: 'runners of all members',
};
/** Where arrows begin that come from no box; of AppPlane its lower edge. */
const outsidePlaces: Record<string, [x: number, y: number]> = {
  AppPlane: [590, 380],
  Visitors: [10, 60],
  Callers: [10, 150],
  Runners: [10, 530],
};

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const plane = (x: number, y: number, w: number, h: number, title: string, fill: string): string =>
  `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="10" fill="${fill}" stroke="#c6ced8"/>` +
  `<text x="${x + 16}" y="${y + 24}" font-weight="600" font-size="14" fill="#27303b">${escape(title)}</text>`;

function drawBox({ id, title, lines, inNetwork }: Box): string {
  const [x, y] = places[id] ?? [0, 0];
  const stroke = inNetwork ? '#b8860b' : '#7d8a99';
  const text = lines.map(
    (line, index) =>
      `<text x="${x + 10}" y="${y + 40 + 16 * index}" font-size="10.5" fill="#46505c">${escape(line)}</text>`,
  );
  return (
    `<g><rect x="${x}" y="${y}" width="${boxWidth}" height="${boxHeight}" rx="6" fill="#fff" stroke="${stroke}"${inNetwork ? ' stroke-width="2"' : ''}/>` +
    `<text x="${x + 10}" y="${y + 21}" font-weight="600" fill="#1c232b">${escape(title)}</text>${text.join('')}</g>`
  );
}

function drawOutside(id: string, title: string): string {
  const [x, y] = outsidePlaces[id] ?? [0, 0];
  const words = title.split(/(?<=,|of) /);
  return words
    .map(
      (word, index) =>
        `<text x="${x}" y="${y + 28 + 15 * index}" fill="#1c232b" font-style="italic">${escape(word)}</text>`,
    )
    .join('');
}

/** Straight where both stand in a row or column, else along a bend between the columns. */
function drawEdge(from: string, to: string, label?: string): string {
  const [ax, ay] = places[from] ?? outsidePlaces[from] ?? [0, 0];
  const [bx, by] = places[to] ?? [0, 0];
  const middle = (y: number) => y + boxHeight / 2;
  const startX = from in outside ? ax + 140 : ax + boxWidth;
  const path =
    ax === bx
      ? by > ay
        ? `M${ax + boxWidth / 2} ${ay + boxHeight}V${by}`
        : `M${ax + boxWidth / 2} ${ay}V${by + boxHeight}`
      : ay === by
        ? `M${startX} ${middle(ay)}H${bx}`
        : `M${startX} ${middle(ay)}H${bx - 12}V${middle(by)}H${bx}`;
  const text = label
    ? `<text x="${ax + boxWidth / 2 + 8}" y="${(ay + boxHeight + by) / 2 + 8}" font-size="11" fill="#46505c">${escape(label)}</text>`
    : '';
  return `<path d="${path}" fill="none" stroke="#56616f" stroke-width="1.3" marker-end="url(#tip)"/>${text}`;
}

const legend = (): string =>
  `<rect x="190" y="768" width="16" height="12" rx="3" fill="#fff" stroke="#b8860b" stroke-width="2"/>` +
  `<text x="214" y="778" font-size="11" fill="#46505c">a function that stands in the VPC and reads Temporal’s credentials. Drawn from the synthesised resources of a production stage; not drawn: roles, log groups, subnets.</text>`;
