import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  levels,
  metrics,
  prometheusName,
  secondsBuckets,
  type LevelName,
  type MetricName,
  type Metrics,
} from './metrics.js';

export interface PrometheusMetrics extends Metrics {
  /** Shows a level that this process has; it is read each time that somebody fetches. */
  show(name: LevelName, read: () => number): void;
  /** GET /metrics at `host:port`. @returns its port */
  serve(address: string): Promise<{ port: number; close(): void }>;
}

/** Our metrics and those of the process (memory, processor, event loop), for Prometheus to fetch. */
export function openPrometheus(): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const entries = Object.entries(metrics).map(([key, { kind, help, labels }]) => {
    const name = key as MetricName;
    const about = { name: prometheusName(name), help, labelNames: labels, registers: [registry] };
    const record = kind === 'count' ? countInto(new Counter(about)) : observeInto(about);
    return [name, record] as const;
  });
  const recorders = Object.fromEntries(entries) as Record<MetricName, RecordValue>;
  return {
    record: (name, labels, value) => recorders[name](labels, value),
    show(name, read) {
      registry.registerMetric(
        new Gauge({
          name: prometheusName(name),
          help: levels[name],
          registers: [],
          collect() {
            this.set(read());
          },
        }),
      );
    },
    async serve(address) {
      const { hostname, port } = new URL(`http://${address}`);
      const server = createServer((request, response) => {
        if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end();
        void registry
          .metrics()
          .then((text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text));
      });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(Number(port || 80), hostname, resolve);
      });
      return {
        port: (server.address() as AddressInfo).port,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      };
    },
  };
}

type RecordValue = (labels: Record<string, string>, value?: number) => void;

const countInto =
  (counter: Counter): RecordValue =>
  (labels, value = 1) =>
    counter.inc(labels, value);

function observeInto(about: ConstructorParameters<typeof Histogram>[0]): RecordValue {
  const histogram = new Histogram({ ...about, buckets: secondsBuckets });
  return (labels, value = 0) => histogram.observe(labels, value);
}
