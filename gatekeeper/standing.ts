import { X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#services/log.js';
import type { PrometheusMetrics } from '#services/telemetry/prometheus.js';
import type { Door } from './door.js';
import type { Health } from './health.js';
import type { House } from './visit.js';

/** How the gatekeeper stands, for /health, for Prometheus, and once a minute for the log. */
export class Standing {
  constructor(
    private readonly house: House,
    private readonly door: Pick<Door, 'strangers'>,
    /** PEM of what runners are shown at present. */
    private readonly certificate: () => string,
  ) {}

  health(status: Health['status']): Health {
    const { sessions, refusals } = this.house;
    return {
      status,
      runners: sessions.runners().length,
      sessions: sessions.size,
      polls: [...sessions].reduce((sum, visit) => sum + visit.polls, 0),
      strangers: this.door.strangers,
      refused: refusals.total,
      memoryMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
    };
  }

  showTo(prometheus: PrometheusMetrics): void {
    for (const name of ['runners', 'sessions', 'polls', 'strangers'] as const)
      prometheus.show(`gatekeeper_${name}`, () => this.health('ok')[name]);
    prometheus.show('gatekeeper_certificate_end_seconds', () => this.#certificateEnd());
    prometheus.show('gatekeeper_runner_certificates_ending', () => this.#endingSoon());
  }

  /** In the cloud CloudWatch makes figures of these lines (infra/figures.ts). Runs until the signal. */
  async log(log: Logger, signal: AbortSignal): Promise<void> {
    let refusedBefore = 0;
    while (!signal.aborted) {
      const { refused, ...health } = this.health('ok');
      const certificateDays = Math.floor((this.#certificateEnd() - Date.now() / 1_000) / 86_400);
      log.info({ ...health, refused: refused - refusedBefore, certificateDays }, 'standing');
      refusedBefore = refused;
      await delay(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #certificateEnd(): number {
    return Date.parse(new X509Certificate(this.certificate()).validTo) / 1_000;
  }

  /** Runners renew at half of their certificate's life, so that nobody who is well comes so near to the end. */
  #endingSoon(): number {
    const soon = Date.now() / 1_000 + 3_600;
    return [...this.house.sessions].filter(({ endsAt }) => endsAt !== null && endsAt < soon).length;
  }
}

const everyMs = 60_000;
