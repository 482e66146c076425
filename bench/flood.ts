import { createHmac, randomBytes } from 'node:crypto';
import { cnn } from '../examples/mnist/models.js';
import type { Emit } from './main.js';
import { noData, quantile, specFor, withStack } from './stack.js';

const requests = 10_000;
const atOnce = 64;
/** Of a hundred requests: honest ones, repetitions of honest ones, and the rest with a wrong signature. */
const share = { honest: 5, repeated: 25 };

/**
 * A flood at one trigger, as fast as this machine sends and answers on the same cores: wrong signatures, replays of
 * real deliveries, and honest deliveries among them. `lost`: honest ones without a job. `duplicated`: jobs beyond
 * one for each honest delivery. `dropped`: what was refused, none of which may be honest.
 */
export async function run(emit: Emit): Promise<void> {
  await withStack({ data: [noData], runners: 'held' }, async (stack, api) => {
    const spec = await specFor(api, stack.members, cnn(), {
      name: 'flooded',
      data: { contract: 'none', input: [1, 28, 28], classes: 10 },
      rounds: 1,
    });
    const { secret } = await api.addTrigger({
      name: 'flooded',
      kind: 'github',
      events: ['push'],
      refs: [],
      spec,
    });
    // Webhook, table and queue are what is measured: nobody runs the jobs.
    for (const part of ['worker', 'events']) await stack.supervisor.stop(part);
    const url = `${stack.file.api}/webhooks/flooded`;
    await deliver(url, secret, payload(), true);

    const delivered: string[] = [];
    const honest: Sent[] = [];
    const others: Sent[] = [];
    let left = requests;
    const sender = async () => {
      while (left-- > 0) {
        const draw = left % 100;
        if (draw < share.honest) {
          const body = payload();
          honest.push(await deliver(url, secret, body, true));
          delivered.push(body);
        } else if (draw < share.honest + share.repeated && delivered.length > 0) {
          const body = delivered[left % delivered.length] ?? '';
          others.push({ ...(await deliver(url, secret, body, true)), repeated: true });
        } else others.push(await deliver(url, 'another secret', payload(), false));
      }
    };
    const calm: number[] = [];
    for (let i = 0; i < 100; i++) calm.push((await deliver(url, secret, payload(), true)).milliseconds);
    const began = performance.now();
    await Promise.all(Array.from({ length: atOnce }, sender));
    const seconds = (performance.now() - began) / 1_000;

    const jobs = new Set(honest.flatMap(({ job }) => (job === null ? [] : [job])));
    const replays = others.filter(({ repeated }) => repeated);
    const forged = others.filter(({ repeated }) => !repeated);
    const latency = honest.map(({ milliseconds }) => milliseconds);
    emit({
      requests,
      perSecond: Math.round(requests / seconds),
      honest: honest.length,
      lost: honest.length - jobs.size,
      duplicated: new Set(replays.map(({ job }) => job).filter((job) => job !== null && !jobs.has(job))).size,
      replays: { sent: replays.length, answered: replays.filter(({ status }) => status === 202).length },
      dropped: { sent: forged.length, refused: forged.filter(({ status }) => status === 401).length },
      honestMs: { median: quantile(latency, 0.5), p99: quantile(latency, 0.99) },
      calmMs: { median: quantile(calm, 0.5), p99: quantile(calm, 0.99) },
    });
  });
}

interface Sent {
  status: number;
  job: string | null;
  milliseconds: number;
  repeated?: boolean;
}

function payload(): string {
  return JSON.stringify({ ref: 'refs/heads/main', after: randomBytes(20).toString('hex') });
}

async function deliver(url: string, secret: string, body: string, patient: boolean): Promise<Sent> {
  const began = performance.now();
  const headers = {
    'content-type': 'application/json',
    'x-github-event': 'push',
    'x-github-delivery': randomBytes(8).toString('hex'),
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  };
  // A sender worth its name repeats what was not taken; how often is in the latency.
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url, { method: 'POST', headers, body }).catch(() => null);
    const answer = response === null ? {} : ((await response.json()) as { job?: string });
    const status = response?.status ?? 0;
    if (patient && (status === 0 || status === 429 || status >= 500) && attempt < 5) continue;
    return { status, job: answer.job ?? null, milliseconds: performance.now() - began };
  }
}
