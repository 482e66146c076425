import { isRoundtableError } from '#core/errors.js';
import { redact } from '../redaction.js';
import type { SpanPlace } from './traceIds.js';

/** Only ids, counts and codes; an exported span leaves the machine. */
export type SpanAttributes = Record<string, string | number | boolean | readonly string[]>;

/** A piece of work that has ended. */
export interface FinishedSpan {
  name: string;
  of: SpanPlace;
  /** Milliseconds since 1970. */
  start: number;
  end: number;
  /** It is the one that all others of its place hang under: the job's beginning, or the round as a whole. */
  heads?: boolean;
  attributes?: SpanAttributes;
  /** The error's code, if it failed. */
  failure?: string;
}

/** Where a part tells what it did for a job. Nothing waits for it and nothing fails because of it. */
export interface Traces {
  record(span: FinishedSpan): void;
  /** Sends what was recorded, for at most two seconds: before a Lambda is frozen, before a process ends. */
  flush(): Promise<void>;
}

export const noTraces: Traces = { record: () => undefined, flush: () => Promise.resolve() };

/**
 * Exports by OTLP over HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set, with OpenTelemetry's other standard variables;
 * without it nothing is loaded, kept or sent.
 * @param part becomes the service's name, `roundtable-PART`
 * @param complain told, each message once, why spans cannot be sent
 */
export function openTraces(part: string, complain: (message: string) => void): Traces {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = process.env;
  if (!OTEL_EXPORTER_OTLP_ENDPOINT && !OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return noTraces;
  const said = new Set<string>();
  const once = (message: string): void => {
    const clean = redact(message).slice(0, 500);
    if (said.has(clean)) return;
    said.add(clean);
    complain(`spans cannot be sent: ${clean}`);
  };
  const exporting = import('./exporter.js').then(({ openExporter }) => openExporter(part, once));
  exporting.catch((error: unknown) => once(String(error)));
  return {
    record: (span) => void exporting.then((exporter) => exporter.record(span)).catch(() => undefined),
    async flush() {
      const exporter = await exporting.catch(() => null);
      await exporter?.flush();
    },
  };
}

/** Does the work and records it, whether it succeeds or fails. @param describe attributes that only the result has */
export async function traced<T>(
  traces: Traces,
  span: Pick<FinishedSpan, 'name' | 'of' | 'heads' | 'attributes'>,
  work: () => Promise<T>,
  describe: (result: T) => SpanAttributes = () => ({}),
): Promise<T> {
  const start = Date.now();
  try {
    const result = await work();
    traces.record({
      ...span,
      start,
      end: Date.now(),
      attributes: { ...span.attributes, ...describe(result) },
    });
    return result;
  } catch (error) {
    traces.record({ ...span, start, end: Date.now(), failure: codeOf(error) });
    throw error;
  }
}

/** A code, never a message: messages may name what was in a file. */
export function codeOf(error: unknown): string {
  if (isRoundtableError(error)) return error.code;
  return error instanceof Error ? error.name : 'INTERNAL';
}

/** A handler that sends its spans before Lambda freezes it. */
export function flushing<Arguments extends unknown[], Answer>(
  traces: Pick<Traces, 'flush'>,
  handler: (...given: Arguments) => Promise<Answer>,
): (...given: Arguments) => Promise<Answer> {
  return async (...given) => {
    try {
      return await handler(...given);
    } finally {
      await traces.flush();
    }
  };
}
