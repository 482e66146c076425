import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Client, Connection } from '@temporalio/client';
import type { APIGatewayProxyResultV2 } from 'aws-lambda';
import { openApi } from '#cli/api.js';
import { deployment } from '#contracts/deployment.js';
import type { Hex } from '#core/hex.js';
import type { CreditMessage } from '#core/messages.js';
import { deadLetterName, queueNames, tableName } from '#core/names.js';
import type { DeadLetterView } from '#core/views.js';
import { awsEnvironment, localRegion } from '#local/environment.js';
import { eventsPart } from '#local/events/part.js';
import { openLambda, type Lambda } from '#local/lambda/lambda.js';
import { stackEnvironment } from '#local/parts.js';
import { startStack, type LocalStack } from '#local/stack.js';
import { readPorts } from '#local/supervisor/ports.js';
import { openQueue } from '#services/queue.js';
import { openTable, type Table } from '#services/table.js';
import { finishRound } from '#workflows/activities/finish.js';
import { matchCredits } from '#workflows/activities/settle.js';
import { fakePrepared } from '../workflows/fakes.js';
import { seeded } from '../support/seeded.js';
import {
  addressOf,
  exampleJob,
  exampleModel,
  exampleSpec,
  exampleTrigger,
  hashOf,
} from '../services/views.js';
import { type } from '../cli/person.js';
import { until } from '../support/until.js';
import { writeFaultyFunctions } from './faultyFunctions.js';
import { gatewayEvent, githubHeaders, githubSecret, pushBody } from './webhooks.js';

/** Of a hundred deliveries: so many repeat an earlier one, so many are signed with another secret. */
const share = { repeated: 10, forged: 5 };
const sendersAtOnce = 4;
const runnersOfRound = 10;
const attempts = 20;

type Kind = 'good' | 'repeated' | 'forged';

/** A stack with its own stores, queues, Temporal, chain and API; its functions are faulty, its worker is stopped. */
export class EventRun {
  readonly poison = {
    noJson: 'not JSON',
    unknownJob: JSON.stringify({ type: 'job', job: unknownJob }),
    contradiction: '',
    deadly: '',
  };
  readonly #answers: Record<Kind, Record<string, number>> = { good: {}, repeated: {}, forged: {} };
  readonly #jobs = new Set<Hex>();
  readonly #rounds: { job: Hex; round: number; shares: ReturnType<typeof sharesOf>; manifestHash: Hex }[] =
    [];
  #repeats = 0;
  #seconds = 0;

  constructor(
    private readonly options: { deliveries: number; seed: number },
    private readonly parts: {
      stack: LocalStack;
      folder: string;
      table: Table;
      sqs: SQSClient;
      webhook: Lambda;
      temporal: Client;
      urls: { jobs: string; credits: string };
      files: { mended: string; happened: string };
    },
  ) {
    const { coordinator } = parts.stack.file;
    const credit = (changes: object) =>
      JSON.stringify({
        type: 'credit',
        payer: coordinator,
        job: hashOf('poisoned'),
        round: 1,
        runner: contradicted,
        units: '1',
        amount: '1',
        manifestHash: hashOf('manifest'),
        ...changes,
      } satisfies CreditMessage);
    this.poison.contradiction = credit({ amount: '2' });
    this.poison.deadly = credit({ runner: deadlyRunner });
  }

  /** All webhooks and contributions; in the middle the queues forget everything. */
  async deliver(): Promise<void> {
    const began = performance.now();
    await this.parts.table.credit(
      JSON.parse(this.poison.contradiction.replace('"2"', '"1"')) as CreditMessage,
    );
    const plan = planOf(this.options);
    const middle = Math.floor(plan.length / 2);
    let next = 0;
    const sender = async () => {
      for (let index = next++; index < plan.length; index = next++) {
        if (index === middle) {
          await this.#forget();
          await this.#poison();
        }
        await this.#send(plan[index] ?? { kind: 'good', body: '' });
        if (index % 10 === 9) await this.#contribute(Math.floor(index / 10));
      }
    };
    await Promise.all(Array.from({ length: sendersAtOnce }, sender));
    this.#seconds = (performance.now() - began) / 1000;
  }

  /** Until Temporal has every job; what is there then, sorted. */
  async untilDispatched(): Promise<Record<'expected' | 'rows' | 'workflows', Hex[]>> {
    const { table, temporal } = this.parts;
    const expected = [...this.#jobs].sort();
    const query = `WorkflowType = 'trainingJob'`;
    const workflows = await until(
      async () => {
        await pause(500);
        if ((await temporal.workflow.count(query)).count < expected.length) return false;
        const found = new Set<Hex>();
        for await (const { workflowId } of temporal.workflow.list({ query })) found.add(workflowId as Hex);
        return expected.every((job) => found.has(job)) && [...found].sort();
      },
      'Temporal has every job',
      120 + 0.03 * this.options.deliveries,
    );
    const rows = (await table.listJobs()).map(({ job }) => job).sort();
    return { expected, rows, workflows };
  }

  /** As settlement does it: what is missing is rung for again, until nothing is. */
  async untilCredited(): Promise<Record<'expected' | 'credited', string[]>> {
    const { table, stack, urls } = this.parts;
    const payer = stack.file.coordinator;
    const due = this.#rounds.map((round) => ({ ...round, manifest: 'm'.repeat(43) }));
    const credits = openQueue({ url: urls.credits, client: this.parts.sqs });
    let before = -1;
    await until(
      async () => {
        // What is on its way is not rung for: only when nothing has come for longer than a message stays hidden.
        const now = (await table.listCredits(payer)).length;
        const all = due.length * runnersOfRound;
        if (now < all && now !== before) {
          before = now;
          await pause(hiddenMilliseconds);
          return false;
        }
        const left = await matchCredits({ table, credits }, payer, due).catch((error: Error) => error);
        if (left && !left.message.includes('rung again')) throw left;
        if (left) await pause(1_000);
        return !left;
      },
      'everything is credited',
      120 + 0.03 * this.options.deliveries,
    );
    return {
      expected: due
        .flatMap(({ job, round, shares }) => shares.map((one) => line({ job, round, ...one })))
        .sort(),
      credited: (await table.listCredits(payer))
        .filter(({ job }) => job !== hashOf('poisoned'))
        .map(line)
        .sort(),
    };
  }

  /** What kills its function comes last: whatever shares its last delivery lies aside without a reason. */
  async untilDead(): Promise<Record<keyof EventRun['poison'], DeadLetterView>> {
    const { noJson, unknownJob, contradiction, deadly } = this.poison;
    await this.#untilAside([noJson, unknownJob, contradiction]);
    await this.#put(this.parts.urls.credits, deadly);
    const letters = await this.#untilAside(Object.values(this.poison));
    const entries = Object.entries(this.poison).map(([name, body]) => [name, letters.get(body)]);
    return Object.fromEntries(entries) as Record<keyof EventRun['poison'], DeadLetterView>;
  }

  async mendAndRedrive() {
    const { stack, table, files, temporal, urls } = this.parts;
    writeFileSync(files.mended, '');
    const { job } = JSON.parse(this.poison.unknownJob) as { job: Hex };
    await table.createJob(
      exampleJob({ job, coordinator: stack.file.coordinator, createdAt: new Date().toISOString() }),
    );
    const state = join(this.parts.folder, 'stack');
    for (const queue of ['jobs', 'credits']) {
      const { code, err } = await type(['--state', state, 'queue', 'redrive', queue]);
      if (code !== 0) throw new Error(err);
    }
    this.#jobs.add(job);
    const unknownJobStarted = await until(
      () =>
        temporal.workflow
          .getHandle(job)
          .describe()
          .then(Boolean, () => false),
      'the job has started',
      120,
    );
    const credited = async () =>
      (await table.listCredits(stack.file.coordinator)).some(({ runner }) => runner === deadlyRunner);
    const deadlyCredited = await until(credited, 'the contribution is credited', 120);
    const left = await until(
      async () => {
        const [jobs, credits] = await Promise.all([this.#letters('jobs'), this.#letters('credits')]);
        const bodies = { jobs: bodiesOf(jobs), credits: bodiesOf(credits) };
        return bodies.jobs.length === 1 && bodies.credits.length === 1 && bodies;
      },
      `only the two that nothing can mend lie aside, of ${urls.jobs} and ${urls.credits}`,
      120,
    );
    return { unknownJobStarted, deadlyCredited, left };
  }

  report() {
    const { happened: file } = this.parts.files;
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    const happened: Record<string, number> = {};
    for (const line of lines) happened[line] = (happened[line] ?? 0) + 1;
    return {
      deliveries: this.options.deliveries,
      seed: this.options.seed,
      answers: this.#answers,
      sentAgain: this.#repeats,
      jobs: this.#jobs.size,
      credits: this.#rounds.length * runnersOfRound,
      happened,
      deliverySeconds: Math.round(this.#seconds),
    };
  }

  async stop(): Promise<void> {
    this.parts.webhook.close();
    this.parts.sqs.destroy();
    await this.parts.temporal.connection.close();
    await this.parts.stack.stop({ force: true });
    rmSync(this.parts.folder, { recursive: true, force: true });
  }

  /** A sender worth its name repeats what was not taken. */
  async #send({ kind, body }: Delivery): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const headers = githubHeaders(body, {
        secret: kind === 'forged' ? 'another secret' : githubSecret,
        delivery: `attempt ${attempt}`,
      });
      const answer = await this.parts.webhook
        .invoke(gatewayEvent('POST', '/webhooks/nightly', headers, body), webhookSeconds)
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

  /** What the worker does at the end of a round; every tenth round twice, as after a crash. */
  async #contribute(number: number): Promise<void> {
    const { stack, table, sqs, urls } = this.parts;
    const job = hashOf(`job of round ${number}`);
    const shares = sharesOf(number);
    const archive = {
      model: 'm'.repeat(43),
      manifest: 'n'.repeat(43),
      manifestHash: hashOf(`round ${number}`),
    };
    const coordinator = stack.file.coordinator;
    const credits = openQueue({ url: urls.credits, client: sqs });
    const finish = () =>
      finishRound({ coordinator, table, credits } as unknown as Parameters<typeof finishRound>[0], {
        prepared: fakePrepared(job, exampleSpec()),
        round: 1,
        base: exampleModel('base'),
        version: exampleModel(String(number)),
        accuracy: 0.9,
        archive,
        shares,
      });
    for (let times = number % 10 === 0 ? 2 : 1; times > 0; times--) await repeated(finish);
    this.#rounds.push({ job, round: 1, shares, manifestHash: archive.manifestHash });
  }

  /** What no function can process. */
  async #poison(): Promise<void> {
    const { jobs, credits } = this.parts.urls;
    await this.#put(jobs, this.poison.noJson);
    await this.#put(jobs, this.poison.unknownJob);
    await this.#put(credits, this.poison.contradiction);
  }

  /** Dead letters by their message, once all of these are among them. */
  async #untilAside(messages: readonly string[]): Promise<Map<string, DeadLetterView>> {
    return until(
      async () => {
        const all = [...(await this.#letters('jobs')), ...(await this.#letters('credits'))];
        const letters = new Map(all.map((letter) => [letter.message, letter]));
        return messages.every((message) => letters.has(message)) && letters;
      },
      `${messages.length} messages lie aside`,
      240,
    );
  }

  /** SQS keeps everything in memory: killed and started again, it knows nothing. */
  async #forget(): Promise<void> {
    const sqs = () => this.parts.stack.supervisor.status().find(({ name }) => name === 'sqs');
    const restarts = sqs()?.restarts ?? 0;
    process.kill(sqs()?.pid ?? 0, 'SIGKILL');
    await until(() => sqs()?.restarts === restarts + 1 && sqs()?.state === 'ready', 'SQS is back');
  }

  async #put(url: string, body: string): Promise<void> {
    const message = new SendMessageCommand({ QueueUrl: url, MessageBody: body });
    await repeated(async () => void (await this.parts.sqs.send(message)));
  }

  async #letters(queue: 'jobs' | 'credits'): Promise<DeadLetterView[]> {
    const { api, coordinator, keys } = this.parts.stack.file;
    const views = await openApi({ url: api, audience: coordinator, keyFile: keys.coordinator }).queues();
    return views.find((view) => view.queue === queue)?.letters ?? [];
  }
}

export async function startEventRun(options: { deliveries: number; seed: number }): Promise<EventRun> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-events-'));
  const stack = await startStack({ stateDir: join(folder, 'stack'), data: [], plan: [] });
  for (const part of ['worker', 'events']) await stack.supervisor.stop(part);
  const ports = readPorts(join(folder, 'stack')) as Parameters<typeof stackEnvironment>[0]['ports'];
  const env = stackEnvironment({
    stateDir: join(folder, 'stack'),
    ports,
    deployment: deployment.parse(stack.file.chain.deployment),
    coordinator: stack.file.coordinator,
    keyFiles: { coordinator: '', sealing: '', arweave: '', secrets: '' },
    entrance: { entrance: '', certificate: '', privateKey: '' },
  });
  Object.assign(process.env, awsEnvironment(ports), env, { LOG_LEVEL: 'silent' });
  const functions = join(folder, 'functions');
  const files = writeFaultyFunctions(functions, {
    seed: options.seed,
    rates: { webhook: 0.0025, dispatch: 0.05, reward: 0.05, sweep: 0.02 },
    deadly: deadlyRunner,
    // What is to be laid aside with its reason must not meet a crash at its last delivery.
    calm: [unknownJob, contradicted],
  });
  await stack.supervisor.start({
    ...eventsPart({
      sources: {
        sources: [
          // It connects to Temporal, each time that its process was killed.
          queue(queueNames.jobs, 'dispatch', 3),
          queue(queueNames.credits, 'reward', 2),
        ],
        schedules: [{ function: 'sweep', everySeconds: 2, timeoutSeconds: 5 }],
      },
      functionsFolder: functions,
      env: { ...env, LOG_LEVEL: 'info' },
    }),
    name: 'faulty-events',
  });
  const table = openTable({ table: tableName, client: new DynamoDBClient({}) });
  const trigger = exampleTrigger({ name: 'nightly', kind: 'github', createdAt: new Date().toISOString() });
  await table.createTrigger(trigger, [githubSecret]);
  return new EventRun(options, {
    stack,
    folder,
    table,
    sqs: new SQSClient({ useQueueUrlAsEndpoint: false }),
    webhook: openLambda(functions, 'webhook', localRegion),
    temporal: new Client({ connection: await Connection.connect({ address: stack.file.temporal.address }) }),
    urls: { jobs: String(env['JOBS_QUEUE_URL']), credits: String(env['CREDITS_QUEUE_URL']) },
    files,
  });
}

interface Delivery {
  kind: Kind;
  body: string;
}

const deadlyRunner = addressOf('deadly');
const contradicted = addressOf('contradicted');
const unknownJob = hashOf('nobody made this job');
const webhookSeconds = 5;
/** A little more than six times the two seconds of `reward`. */
const hiddenMilliseconds = 13_000;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const bodiesOf = (letters: readonly DeadLetterView[]) => letters.map(({ message }) => message);

const queue = (name: string, of: string, timeoutSeconds: number) => ({
  queue: name,
  deadLetter: deadLetterName(name),
  function: of,
  timeoutSeconds,
});
const line = (of: { job: Hex; round: number; runner: Hex; amount: string }) =>
  `${of.job}/${of.round}/${of.runner}: ${of.amount}`;

/** Everything follows from the seed. */
function planOf({ deliveries, seed }: { deliveries: number; seed: number }): Delivery[] {
  const random = seeded(seed);
  const good: string[] = [];
  return Array.from({ length: deliveries }, (_, index) => {
    const draw = random() * 100;
    const body = pushBody({ after: `${seed}-${index}` });
    if (draw < share.forged) return { kind: 'forged', body };
    const earlier = good[Math.floor(random() * good.length)];
    if (draw < share.forged + share.repeated && earlier !== undefined)
      return { kind: 'repeated', body: earlier };
    good.push(body);
    return { kind: 'good', body };
  });
}

function sharesOf(number: number) {
  return Array.from({ length: runnersOfRound }, (_, index) => ({
    runner: addressOf(`runner ${index}`),
    units: String(1 + index),
    amount: String(100 * number + index),
  }));
}

/** As an activity is: until it succeeds. */
async function repeated(work: () => Promise<void>): Promise<void> {
  await until(
    () =>
      work().then(
        () => true,
        () => false,
      ),
    'the queue takes it',
    60,
  );
}
