import type { RoundView } from '#core/views.js';
import { seconds as text } from '../text/format.js';
import { timeWords } from '../text/words.js';

const parts = Object.keys(timeWords) as (keyof typeof timeWords)[];

/** Where a round's time went, one bar; `scale` is the longest round's seconds. */
export function TimeBar({ seconds, scale }: { seconds: RoundView['seconds']; scale: number }) {
  const all = parts.map((part) => ({ part, value: seconds[part] ?? 0 }));
  const words = all.map(({ part, value }) => `${timeWords[part]} ${text(value)}`).join(', ');
  let at = 0;
  return (
    <svg class="timebar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={words}>
      <title>{words}</title>
      {all.map(({ part, value }) => {
        const x = at;
        const wide = (100 * value) / Math.max(scale, 1e-9);
        at += wide;
        return <rect key={part} class={`t-${part}`} x={x} y="0" width={wide} height="8" />;
      })}
    </svg>
  );
}

export function TimeLegend() {
  return (
    <ul class="legend" aria-label="Colours of the time bars">
      {parts.map((part) => (
        <li key={part}>
          <i class={`t-${part}`} /> {timeWords[part]}
        </li>
      ))}
    </ul>
  );
}

/** The same with its numbers. */
export function TimeTable({ seconds }: { seconds: RoundView['seconds'] }) {
  const total = seconds.total ?? parts.reduce((sum, part) => sum + (seconds[part] ?? 0), 0);
  return (
    <dl class="times">
      {parts.map((part) => (
        <div key={part}>
          <dt>
            <i class={`t-${part}`} /> {timeWords[part]}
          </dt>
          <dd>{text(seconds[part] ?? null)}</dd>
        </div>
      ))}
      <div class="sum">
        <dt>in all</dt>
        <dd>{text(total)}</dd>
      </div>
    </dl>
  );
}
