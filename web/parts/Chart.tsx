import { strings } from '../text/strings.js';
import { Files } from './Table.js';

export interface Point {
  x: number;
  y: number;
  /** Somebody was missing. */
  marked: boolean;
}

const width = 480;
const height = 150;
const left = 56;
const bottom = 22;
const top = 10;
const most = 400;
/** Beyond so many, dots would touch; then a stroke on the axis says where somebody was missing. */
const mostDots = 60;

const marksOf = (points: readonly Point[], px: (x: number) => number): string =>
  points
    .filter(({ marked }) => marked)
    .map(({ x }) => `M${px(x).toFixed(1)} ${height - bottom}v-6`)
    .join('');

/** One quantity by round, on one axis, with its table behind it. */
export function Chart({
  title,
  points,
  format,
}: {
  title: string;
  points: readonly Point[];
  format: (y: number) => string;
}) {
  const last = points.at(-1);
  if (!last) return null;
  const drawn = thin(points);
  const { low, high, ticks } = axis(points.map(({ y }) => y));
  const first = points[0]?.x ?? 1;
  const span = Math.max(1, last.x - first);
  const px = (x: number) => left + ((x - first) / span) * (width - left - 12);
  const py = (y: number) => top + (1 - (y - low) / (high - low)) * (height - top - bottom);
  const line = drawn
    .map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${px(x).toFixed(1)} ${py(y).toFixed(1)}`)
    .join('');
  return (
    <figure class="chart">
      <figcaption>
        {title} <strong>{format(last.y)}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${title}, rounds ${first} to ${last.x}: from ${format(points[0]?.y ?? 0)} to ${format(last.y)}`}
      >
        {ticks.map((tick) => (
          <g key={tick} class="grid">
            <line x1={left} x2={width - 6} y1={py(tick)} y2={py(tick)} />
            <text x={left - 8} y={py(tick) + 4} text-anchor="end">
              {rounded(format(tick))}
            </text>
          </g>
        ))}
        {rounds(first, last.x).map((x) => (
          <text key={x} class="tick" x={px(x)} y={height - 5} text-anchor="middle">
            {x}
          </text>
        ))}
        <path class="line" d={line} />
        {drawn.length <= mostDots ? (
          drawn.map(({ x, y, marked }) => (
            <circle key={x} class={marked ? 'dot marked' : 'dot'} cx={px(x)} cy={py(y)} r={marked ? 4.5 : 3}>
              <title>{`${x}: ${format(y)}${marked ? `, ${strings.job.missingMark}` : ''}`}</title>
            </circle>
          ))
        ) : (
          <path class="marks" d={marksOf(drawn, px)}>
            <title>{strings.job.missingMark}</title>
          </path>
        )}
      </svg>
      <details>
        <summary>As a table</summary>
        <div class="scroll" role="region" aria-label={`${title}, table`} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Round</th>
                <th scope="col" class="right">
                  {title}
                </th>
              </tr>
            </thead>
            <tbody>
              {drawn.map(({ x, y }) => (
                <tr key={x}>
                  <td>{x}</td>
                  <td class="right">{format(y)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <Files name={fileName(title)} columns={columnsOf(title)} rows={points} />
      </details>
    </figure>
  );
}

/** '0.5000' is '0.5' on an axis, and '80.00%' is '80%'. */
const rounded = (text: string): string =>
  text.replace(/([.,])(\d*?)0+(?=\s?%?$)/, (_, point: string, digits: string) =>
    digits === '' ? '' : point + digits,
  );

const fileName = (title: string): string => title.toLowerCase().replace(/\W+/g, '-');

const columnsOf = (title: string): { title: string; value: (point: Point) => string | number }[] => [
  { title: 'Round', value: ({ x }) => x },
  { title, value: ({ y }) => y },
  { title: strings.job.missingMark, value: ({ marked }) => (marked ? 'yes' : '') },
];

/** Round steps of 1, 2 or 5 around the values, three to five of them. */
function axis(values: readonly number[]): { low: number; high: number; ticks: number[] } {
  const least = values.reduce((a, b) => Math.min(a, b), Infinity);
  const greatest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const raw = Math.max(greatest - least, Math.abs(greatest) * 0.01, 1e-6) / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const size = ([1, 2, 5, 10].find((n) => n * power >= raw) ?? 10) * power;
  const low = Math.floor(least / size) * size;
  const steps = Math.max(1, Math.ceil((greatest - low) / size - 1e-9));
  const ticks = Array.from({ length: steps + 1 }, (_, i) => low + i * size);
  return { low, high: low + steps * size, ticks };
}

function rounds(first: number, last: number): number[] {
  const step = Math.max(1, Math.ceil((last - first) / 8));
  const all: number[] = [];
  for (let x = first; x <= last; x += step) all.push(x);
  return all;
}

/** As many as there are pixels for; those with marks come first. */
function thin(points: readonly Point[]): readonly Point[] {
  if (points.length <= most) return points;
  const every = points.length / most;
  return Array.from(
    { length: most },
    (_, i) => points[Math.min(points.length - 1, Math.floor((i + 1) * every) - 1)],
  ).filter((point) => point !== undefined);
}
