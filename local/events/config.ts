import { z } from 'zod';

const name = z.string().regex(/^[A-Za-z0-9_-]{1,80}$/);

const source = z.strictObject({
  queue: name,
  deadLetter: name,
  /** Handler in FUNCTIONS_FOLDER/NAME.mjs. */
  function: name,
  batchSize: z.int().min(1).max(10).default(10),
  /** How long to collect a batch after its first message. */
  windowSeconds: z.number().min(0).max(300).default(0),
  /** A message received more often goes to the dead-letter queue. */
  maxReceiveCount: z.int().min(1).max(1000).default(5),
  /** A handler is killed after that. A message that was not deleted is given out again after six times as long. */
  timeoutSeconds: z.int().min(1).max(900).default(10),
});

const schedule = z.strictObject({
  function: name,
  everySeconds: z.number().positive(),
  timeoutSeconds: z.int().min(1).max(900).default(60),
});

/** Functions that are called and waited for (services/functionCalls.ts), at a port of their own. */
const invocations = z.strictObject({
  functions: z.array(name).min(1),
  port: z.int().min(1).max(65_535),
  timeoutSeconds: z.int().min(1).max(900),
});

/** EVENT_SOURCES: which handler is called for what. */
export const eventSources = z.strictObject({
  sources: z.array(source).default([]),
  schedules: z.array(schedule).default([]),
  invocations: invocations.nullable().default(null),
});

export type EventSources = z.input<typeof eventSources>;
export type QueueSource = z.output<typeof source>;

/** What AWS advises, and infra/app/queues.ts sets: a batch must not be given to others while it is worked on. */
export const visibilityOf = ({ timeoutSeconds }: Pick<QueueSource, 'timeoutSeconds'>): number =>
  6 * timeoutSeconds;

export type Schedule = z.output<typeof schedule>;

export const eventsEnvironment = z.object({
  EVENT_SOURCES: z.string().transform((text) => eventSources.parse(JSON.parse(text))),
  FUNCTIONS_FOLDER: z.string().min(1),
  AWS_REGION: z.string().min(1),
});
