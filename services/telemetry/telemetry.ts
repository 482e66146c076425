import type { Logger } from '../log.js';
import { openFunctionMetrics } from './emf.js';
import { noMetrics, type Metrics } from './metrics.js';
import { noTraces, openTraces, type Traces } from './traces.js';

/** What a part tells about its work besides its log. */
export interface Telemetry {
  traces: Traces;
  metrics: Metrics;
}

export const noTelemetry: Telemetry = { traces: noTraces, metrics: noMetrics };

/** Telemetry of a function. @param part its name, as its log has it */
export function openFunctionTelemetry(part: string, log: Logger): Telemetry {
  return {
    traces: openTraces(part, (message) => log.warn({}, message)),
    metrics: openFunctionMetrics(),
  };
}
