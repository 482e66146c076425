/** Every metric there is: who asks what a figure means finds it here. Labels are few and their values bounded. */
export const metrics = {
  http_request_seconds: {
    kind: 'seconds',
    help: 'Time to answer a request of the API or a webhook, by route.',
    labels: ['method', 'route', 'status'],
  },
  jobs_queued: {
    kind: 'count',
    help: 'Jobs that were asked for; a repeated delivery of the same job counts as repeated.',
    labels: ['by', 'repeated'],
  },
  messages: {
    kind: 'count',
    help: 'Messages that a function took from its queue: done, to be delivered again, or laid aside.',
    labels: ['function', 'outcome'],
  },
  jobs_ended: { kind: 'count', help: 'Jobs that ended, by how.', labels: ['state'] },
  rounds_ended: { kind: 'count', help: 'Rounds that ended, by how.', labels: ['phase'] },
  round_seconds: {
    kind: 'seconds',
    help: 'Time that a finished round spent in each of its parts, and in total.',
    labels: ['part'],
  },
  runners_missing: {
    kind: 'count',
    help: 'Runners that were selected for a round and gave no update, by reason.',
    labels: ['code'],
  },
  transactions: { kind: 'count', help: "Transactions of the coordinator's key.", labels: ['purpose'] },
  gas: { kind: 'count', help: "Gas used by the coordinator's key.", labels: ['purpose'] },
  gatekeeper_call_seconds: {
    kind: 'seconds',
    help: 'Time to answer a call of a runner; a poll waits for its task. Outcomes: passed, refused, failed.',
    labels: ['call', 'outcome'],
  },
  gatekeeper_refusals: {
    kind: 'count',
    help: 'Connections and calls that the gatekeeper refused, by reason; numbers in a reason read N.',
    labels: ['reason'],
  },
} as const satisfies Record<string, Metric>;

/** What stands at a value instead of being counted; read when Prometheus asks. */
export const levels = {
  gatekeeper_runners: 'Runners that are here.',
  gatekeeper_sessions: 'Sessions of these runners.',
  gatekeeper_polls: 'Polls that are open.',
  gatekeeper_strangers: 'Connections that nobody stands for yet.',
  gatekeeper_certificate_end_seconds:
    'When the certificate that runners are shown ends, in seconds since 1970.',
  gatekeeper_runner_certificates_ending:
    'Sessions whose runner shows a certificate that ends within the hour.',
} as const satisfies Record<string, string>;

export type LevelName = keyof typeof levels;

export interface Metric {
  kind: 'count' | 'seconds';
  help: string;
  labels: readonly string[];
}

export type MetricName = keyof typeof metrics;
export type Labels<Name extends MetricName> = Record<(typeof metrics)[Name]['labels'][number], string>;

/** Where a part tells how much it did and how long that took. */
export interface Metrics {
  /** @param value of a count: how many more, 1 if left out; of seconds: how many it took */
  record<Name extends MetricName>(name: Name, labels: Labels<Name>, value?: number): void;
}

export const noMetrics: Metrics = { record: () => undefined };

/** Upper bounds of the histograms' buckets, from a cached answer to a long round. */
export const secondsBuckets = [0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 120, 600, 3_600];

/** The name in Prometheus, which wants counters to end in `_total`. */
export const prometheusName = (name: MetricName | LevelName): string =>
  `roundtable_${name}${name in metrics && metrics[name as MetricName].kind === 'count' ? '_total' : ''}`;
