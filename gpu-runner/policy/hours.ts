import { z } from 'zod';
import { refuse } from '../refusal.js';

const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const day = `(?:${days.join('|')})`;
const form = new RegExp(
  `^(?:(${day})(?:-(${day}))? )?([01]\\d|2[0-3]):([0-5]\\d)-([01]\\d|2[0-4]):([0-5]\\d)$`,
);

/** A daily span of local time on some days, in minutes; it ends on the next day if `to` is not after `from`. */
interface Span {
  /** By their place in the week, Monday first. */
  days: ReadonlySet<number>;
  from: number;
  to: number;
}

const span = z
  .string()
  .refine((text) => parseSpan(text) !== null, 'a span such as 20:00-06:00 or mon-fri 20:00-06:00')
  .describe(
    'Local time, such as 20:00-06:00 or sat-sun 00:00-24:00; a day is the one on which a span begins.',
  );

/** When tasks may begin. One that has begun may end later. */
export const hoursSchema = z.strictObject({
  zone: z
    .string()
    .refine(isZone, 'a time zone such as Europe/Berlin')
    .describe('IANA time zone of the spans; summer time is followed.'),
  spans: z.array(span).min(1).max(50),
});
export type Hours = z.output<typeof hoursSchema>;

/** @throws a refusal, OUTSIDE_HOURS */
export function checkHours(hours: Hours | undefined, now: Date): void {
  if (hours === undefined || isWithin(hours, now)) return;
  refuse(
    'OUTSIDE_HOURS',
    `The runner's owner lets it train at ${hours.spans.join(', ')} (${hours.zone}) only.`,
  );
}

/**
 * By the clock on the wall: where summer time begins or ends, a span is as much shorter or longer as the night is.
 * @example isWithin({ zone: 'Europe/Berlin', spans: ['fri 22:00-06:00'] }, new Date('2026-11-28T04:00:00Z')) // true
 */
export function isWithin({ zone, spans }: Hours, now: Date): boolean {
  const { weekday, minutes } = wallClock(zone, now);
  return spans.some((text) => {
    const parsed = parseSpan(text);
    if (!parsed) return false;
    const { from, to } = parsed;
    const overnight = to <= from;
    const today = parsed.days.has(weekday) && minutes >= from && (overnight || minutes < to);
    const sinceYesterday = overnight && parsed.days.has((weekday + 6) % 7) && minutes < to;
    return today || sinceYesterday;
  });
}

function parseSpan(text: string): Span | null {
  const match = form.exec(text);
  if (!match) return null;
  const [, first, last, fromHour, fromMinute, toHour, toMinute] = match;
  const from = 60 * Number(fromHour) + Number(fromMinute);
  const to = 60 * Number(toHour) + Number(toMinute);
  if (to > 24 * 60) return null;
  return { days: daysBetween(first, last), from, to };
}

/** All days when none is named; `fri-mon` goes over the weekend. */
function daysBetween(first: string | undefined, last: string | undefined): Set<number> {
  if (first === undefined) return new Set(days.keys());
  const [begin, end] = [indexOf(first), indexOf(last ?? first)];
  const found = new Set([begin]);
  for (let at = begin; at !== end; found.add(at)) at = (at + 1) % 7;
  return found;
}

const indexOf = (name: string): number => days.findIndex((known) => known === name);

function wallClock(zone: string, now: Date): { weekday: number; minutes: number } {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  return {
    weekday: indexOf(String(parts.get('weekday')).toLowerCase()),
    minutes: 60 * Number(parts.get('hour')) + Number(parts.get('minute')),
  };
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
