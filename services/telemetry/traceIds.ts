import type { Hex } from '#core/hex.js';
import { sha256Hex } from '../sha256.js';

/** What a span is about: a job, or one round of it. */
export interface SpanPlace {
  job: Hex;
  round?: number;
}

/**
 * The ids of traces follow from the job's id, itself a hash that every part of the system knows: so nothing has to be
 * carried through webhook, queue, workflow, runner and chain, nobody outside can choose a trace, and a repeated
 * delivery, a restart or another member's machine ends in the same trace. W3C: 16 bytes for a trace, 8 for a span.
 */
export const traceIdOf = (job: Hex): string => job.slice(2, 34);

/** The span that began the job. */
export const rootSpanId = (job: Hex): string => job.slice(34, 50);

/** The span of a whole round, above all that happens in it. */
export const roundSpanId = (job: Hex, round: number): string =>
  sha256Hex(Buffer.from(`${job}/round/${round}`)).slice(2, 18);

/** The span that those of a place hang under. */
export const parentSpanId = ({ job, round }: SpanPlace): string =>
  round === undefined ? rootSpanId(job) : roundSpanId(job, round);
