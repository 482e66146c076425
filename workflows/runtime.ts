import { Runtime, type RuntimeOptions } from '@temporalio/worker';
import type { Logger } from '#services/log.js';
import {
  metrics,
  noMetrics,
  prometheusName,
  secondsBuckets,
  type MetricName,
  type Metrics,
} from '#services/telemetry/metrics.js';

/**
 * Installs Temporal's runtime for this process: it logs through ours, leaves the signals to us, and serves its own
 * metrics (of polls, slots, activities, workflows) together with ours.
 * @param address where Prometheus may fetch them, as host:port; without it nothing is measured
 */
export function installRuntime(log: Logger, address: string | undefined): Metrics {
  Runtime.install({
    shutdownSignals: [],
    logger: loggerOf(log),
    ...(address === undefined
      ? {}
      : {
          telemetryOptions: {
            metrics: {
              prometheus: {
                bindAddress: address,
                countersTotalSuffix: true,
                useSecondsForDurations: true,
                histogramBucketOverrides: ownBuckets(),
              },
            },
          },
        }),
  });
  return address === undefined ? noMetrics : metered(Runtime.instance().metricMeter);
}

type Meter = Runtime['metricMeter'];

/** The server's registry adds the suffix of counters itself. */
const meterName = (name: MetricName): string => prometheusName(name).replace(/_total$/, '');

function metered(meter: Meter): Metrics {
  const recorders = Object.fromEntries(
    Object.entries(metrics).map(([key, { kind, help }]) => {
      const name = meterName(key as MetricName);
      if (kind === 'count') {
        const counter = meter.createCounter(name, '', help);
        return [key, (labels: Record<string, string>, value = 1) => counter.add(value, labels)];
      }
      const histogram = meter.createHistogram(name, 'float', '', help);
      return [key, (labels: Record<string, string>, value = 0) => histogram.record(value, labels)];
    }),
  ) as Record<MetricName, (labels: Record<string, string>, value?: number) => void>;
  return { record: (name, labels, value) => recorders[name](labels, value) };
}

const ownBuckets = (): Record<string, number[]> =>
  Object.fromEntries(
    Object.entries(metrics).flatMap(([key, { kind }]) =>
      kind === 'seconds' ? [[meterName(key as MetricName), secondsBuckets]] : [],
    ),
  );

function loggerOf(log: Logger): NonNullable<RuntimeOptions['logger']> {
  const at = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  return {
    log: (level, message, meta) => log[at[level]](meta ?? {}, message),
    trace: (message, meta) => log.trace(meta ?? {}, message),
    debug: (message, meta) => log.debug(meta ?? {}, message),
    info: (message, meta) => log.info(meta ?? {}, message),
    warn: (message, meta) => log.warn(meta ?? {}, message),
    error: (message, meta) => log.error(meta ?? {}, message),
  };
}
