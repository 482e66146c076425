import type { IdGenerator } from '@opentelemetry/sdk-trace';
import { parentSpanId, rootSpanId, traceIdOf } from './traceIds.js';
import type { FinishedSpan, Traces } from './traces.js';

declare const ROUNDTABLE_VERSION: string | undefined;

/**
 * OpenTelemetry's SDK. Its packages are imported only here and only now: a process that exports nothing should not
 * spend its start on them.
 */
export async function openExporter(part: string, complain: (message: string) => void): Promise<Traces> {
  const [
    { diag, DiagLogLevel, ROOT_CONTEXT, SpanStatusCode, trace, TraceFlags },
    { OTLPTraceExporter },
    { detectResources, envDetector, resourceFromAttributes },
    { BatchSpanProcessor, RandomIdGenerator, TracerProvider },
  ] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace'),
  ]);
  diag.setLogger(
    { error: complain, warn: complain, info: noted, debug: noted, verbose: noted },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const ids = new ChosenIds(new RandomIdGenerator());
  const provider = new TracerProvider({
    idGenerator: ids,
    // What stands in OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME wins.
    resource: resourceFromAttributes({
      'service.namespace': 'roundtable',
      'service.name': `roundtable-${part}`,
      'service.version': typeof ROUNDTABLE_VERSION === 'string' ? ROUNDTABLE_VERSION : '0.0.0',
    }).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  const tracer = provider.getTracer('roundtable');

  return {
    record({ name, of, start, end, heads = false, attributes = {}, failure }) {
      const begins = heads && of.round === undefined;
      const traceId = traceIdOf(of.job);
      ids.choose(traceId, heads ? parentSpanId(of) : null);
      // A span of a job, and a round as a whole, hang under what began the job; what is in a round under the round.
      const parent = {
        traceId,
        spanId: heads ? rootSpanId(of.job) : parentSpanId(of),
        traceFlags: TraceFlags.SAMPLED,
        isRemote: true,
      };
      const context = begins ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
      const span = tracer.startSpan(
        name,
        { startTime: start, attributes: { ...attributesOf(of), ...copied(attributes) } },
        context,
      );
      if (failure !== undefined) {
        span.setAttribute('error.type', failure);
        span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
      }
      span.end(Math.max(start, end));
    },
    flush: () =>
      provider
        .forceFlush({ timeoutMillis: flushMs })
        .catch((error: unknown) => complain(error instanceof Error ? error.message : String(error))),
  };
}

const flushMs = 2_000;
const noted = (): void => undefined;

/** Each span is told its ids before it begins: those that follow from its job, or a random one. */
class ChosenIds implements IdGenerator {
  readonly #random: IdGenerator;
  #trace = '';
  #span: string | null = null;

  constructor(random: IdGenerator) {
    this.#random = random;
  }

  /** @param span null: any */
  choose(traceId: string, span: string | null): void {
    this.#trace = traceId;
    this.#span = span;
  }

  generateTraceId = (): string => this.#trace;
  generateSpanId = (): string => this.#span ?? this.#random.generateSpanId();
}

const attributesOf = ({ job, round }: FinishedSpan['of']) => ({
  'roundtable.job': job,
  ...(round === undefined ? {} : { 'roundtable.round': round }),
});

/** Names get the prefix that keeps them apart from OpenTelemetry's own. */
function copied(attributes: NonNullable<FinishedSpan['attributes']>) {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      `roundtable.${name}`,
      typeof value === 'object' ? [...value] : value,
    ]),
  );
}
