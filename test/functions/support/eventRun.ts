import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import type { APIGatewayProxyResultV2 } from 'aws-lambda';
import { openApi } from '#cli/api.js';
import type { Hex } from '#core/hex.js';
import type { DeadLetterView } from '#core/views.js';
import { type } from '#test/cli/person.js';
import { until } from '#test/support/until.js';
import { exampleJob } from '#test/services/views.js';
import { gatewayEvent, githubHeaders, githubSecret } from '../webhooks.js';
import { Contributions, untilTaken } from './contributions.js';
import { planDeliveries, type Delivery, type Kind } from './deliveryPlan.js';
import { limits, startFaultyStack, type FaultyStack } from './faultyStack.js';
import { deadlyRunner, poisonFor, unknownJob, type Poison } from './poison.js';

const sendersAtOnce = 4;
const attempts = 20;

interface EventRunOptions {
  deliveries: number;
  seed: number;
}

export async function startEventRun(options: EventRunOptions): Promise<EventRun> {
  return new EventRun(options, await startFaultyStack(options));
}

/** Webhooks and contributions through a faulty stack, and what became of them. */
export class EventRun {
  readonly poison: Poison;
  readonly #answers: Record<Kind, Record<string, number>> = { good: {}, repeated: {}, forged: {} };
  readonly #jobs = new Set<Hex>();
  readonly #contributions: Contributions;
  readonly #seconds: Record<string, number> = {};
  #repeats = 0;
  #poisoned: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: EventRunOptions,
    private readonly parts: FaultyStack,
  ) {
    this.poison = poisonFor(parts.stack.file.coordinator).poison;
    this.#contributions = new Contributions(parts);
  }

  /** All webhooks and contributions; in the middle the queues forget everything. */
  async deliver(): Promise<void> {
    await this.parts.table.credit(poisonFor(this.parts.stack.file.coordinator).credited);
    const plan = planDeliveries(this.options);
    const middle = Math.floor(plan.length / 2);
    const deliveries = plan.entries();
    const sender = async () => {
      for (const [index, delivery] of deliveries) {
        if (index === middle) {
          await this.parts.forgetQueues();
          this.#poisoned = this.#putPoison();
          this.#poisoned.catch(() => undefined); // untilDead says it
        }
        await this.#send(delivery);
        if (index % 10 === 9) await this.#contributions.give(Math.floor(index / 10));
      }
    };
    await this.#timed('deliver', () => Promise.all(Array.from({ length: sendersAtOnce }, sender)));
  }

  /** Until Temporal has every job; what is there then, sorted. */
  async untilDispatched(): Promise<Record<'expected' | 'rows' | 'workflows', Hex[]>> {
    const { table, temporal } = this.parts;
    const expected = [...this.#jobs].sort();
    const query = `WorkflowType = 'trainingJob'`;
    const workflows = await this.#timed('dispatch', () =>
      until(
        async () => {
          await pause(500);
          if ((await temporal.workflow.count(query)).count < expected.length) return false;
          const found = new Set<Hex>();
          for await (const { workflowId } of temporal.workflow.list({ query })) found.add(workflowId as Hex);
          return expected.every((job) => found.has(job)) && [...found].sort();
        },
        'Temporal has every job',
        this.#patience,
      ),
    );
    const rows = (await table.listJobs()).map(({ job }) => job).sort();
    return { expected, rows, workflows };
  }

  /** Until everything is credited; what is there then, sorted. */
  async untilCredited(): Promise<Record<'expected' | 'credited', string[]>> {
    return this.#timed('credit', () => this.#contributions.untilCredited(this.#patience));
  }

  /** Until all poison lies aside. */
  async untilDead(): Promise<Record<keyof Poison, DeadLetterView>> {
    return this.#timed('lay aside', async () => {
      await this.#poisoned;
      const letters = await this.#untilAside(Object.values(this.poison));
      const entries = Object.entries(this.poison).map(([name, body]) => [name, letters.get(body)]);
      return Object.fromEntries(entries) as Record<keyof Poison, DeadLetterView>;
    });
  }

  async mendAndRedrive() {
    const { stack, table, files, stateDir } = this.parts;
    const { coordinator } = stack.file;
    writeFileSync(files.mended, '');
    await table.createJob(exampleJob({ job: unknownJob, coordinator, createdAt: new Date().toISOString() }));
    for (const queue of ['jobs', 'credits']) {
      const { code, err } = await type(['--state', stateDir, 'queue', 'redrive', queue]);
      if (code !== 0) throw new Error(err);
    }
    this.#jobs.add(unknownJob);
    return this.#timed('redrive', async () => ({
      unknownJobStarted: await until(() => this.#isStarted(unknownJob), 'the job has started', 120),
      deadlyCredited: await until(
        async () => (await table.listCredits(coordinator)).some(({ runner }) => runner === deadlyRunner),
        'the contribution is credited',
        120,
      ),
      left: await this.#untilOneEachIsLeft(),
    }));
  }

  report() {
    const { happened: file } = this.parts.files;
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    const happened: Record<string, number> = {};
    for (const line of lines) happened[line] = (happened[line] ?? 0) + 1;
    return {
      ...this.options,
      answers: this.#answers,
      sentAgain: this.#repeats,
      jobs: this.#jobs.size,
      credits: this.#contributions.count,
      happened,
      seconds: this.#seconds,
    };
  }

  stop = (): Promise<void> => this.parts.stop();

  /** A sender worth its name repeats what was not taken. */
  async #send({ kind, body }: Delivery): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const headers = githubHeaders(body, {
        secret: kind === 'forged' ? 'another secret' : githubSecret,
        delivery: `attempt ${attempt}`,
      });
      const answer = await this.parts.webhook
        .invoke(gatewayEvent('POST', '/webhooks/nightly', headers, body), limits.webhook)
        .catch(() => null);
      const { statusCode = 502, body: text = '' } =
        (answer as Exclude<APIGatewayProxyResultV2, string> | null) ?? {};
      if (statusCode >= 500 && attempt < attempts) {
        this.#repeats++;
        continue;
      }
      const counts = this.#answers[kind];
      counts[statusCode] = (counts[statusCode] ?? 0) + 1;
      if (statusCode === 202) this.#jobs.add((JSON.parse(text) as { job: Hex }).job);
      return;
    }
  }

  /**
   * What kills its function comes when the other poison of its queue lies aside: whatever shares its last delivery
   * lies aside without a reason. A contribution that does is rung for again, like one that was lost.
   */
  async #putPoison(): Promise<void> {
    const { jobs, credits } = this.parts.urls;
    const { noJson, unknownJob, contradiction, deadly } = this.poison;
    await this.#put(jobs, noJson);
    await this.#put(jobs, unknownJob);
    await this.#put(credits, contradiction);
    await this.#untilAside([contradiction]);
    await this.#put(credits, deadly);
  }

  /** Dead letters by their message, once all of these were among them: a look shows some of many. */
  async #untilAside(messages: readonly string[]): Promise<Map<string, DeadLetterView>> {
    const letters = new Map<string, DeadLetterView>();
    return until(
      async () => {
        for (const queue of ['jobs', 'credits'] as const)
          for (const letter of await this.#letters(queue)) letters.set(letter.message, letter);
        return messages.every((message) => letters.has(message)) && letters;
      },
      `${messages.length} messages lie aside`,
      this.#patience,
    );
  }

  /** What lies aside once it is one message in each queue, be it there twice. */
  async #untilOneEachIsLeft(): Promise<Record<'jobs' | 'credits', string[]>> {
    let left: Record<'jobs' | 'credits', string[]> = { jobs: [], credits: [] };
    const look = async () => {
      left = { jobs: await this.#bodies('jobs'), credits: await this.#bodies('credits') };
      return left.jobs.length === 1 && left.credits.length === 1;
    };
    await until(look, 'one message lies aside in each queue', 120).catch((cause: unknown) => {
      throw new Error(`What lies aside: ${JSON.stringify(left)}`, { cause });
    });
    return left;
  }

  async #put(url: string, body: string): Promise<void> {
    const message = new SendMessageCommand({ QueueUrl: url, MessageBody: body });
    await untilTaken(async () => void (await this.parts.sqs.send(message)));
  }

  /** Asked for twice a second at most: whoever waits must not keep the API busy. */
  async #letters(queue: 'jobs' | 'credits'): Promise<DeadLetterView[]> {
    await pause(250);
    const { api, coordinator, keys } = this.parts.stack.file;
    const views = await openApi({ url: api, audience: coordinator, keyFile: keys.coordinator }).queues();
    return views.find((view) => view.queue === queue)?.letters ?? [];
  }

  async #bodies(queue: 'jobs' | 'credits'): Promise<string[]> {
    return [...new Set((await this.#letters(queue)).map(({ message }) => message))];
  }

  #isStarted(job: Hex): Promise<boolean> {
    const handle = this.parts.temporal.workflow.getHandle(job);
    return handle.describe().then(Boolean, () => false);
  }

  /** Seconds. */
  get #patience(): number {
    return 180 + 0.06 * this.options.deliveries;
  }

  async #timed<T>(what: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds[what] ??= Math.round((performance.now() - began) / 1_000);
    }
  }
}
