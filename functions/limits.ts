import type { Context } from 'hono';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import type { Table } from '#services/table.js';

/**
 * How much one sender may ask for. Rates are counted in memory by each process (each instance of a Lambda) for
 * itself: they protect that process. Quotas are counted in the table, for all processes together.
 */
export const limitSettings = z.strictObject({
  /** Requests a minute to /v1 from one address, before any signature is checked. Loopback is not counted. */
  addressPerMinute: z.number().int().min(1).default(6_000),
  /** Signed requests a minute of one member or runner. */
  signerPerMinute: z.number().int().min(1).default(1_200),
  /** New jobs a minute of one trigger; repeated deliveries start none and are not counted. */
  triggerPerMinute: z.number().int().min(1).default(6_000),
  /** New jobs that one member may submit in an hour. */
  jobsPerHour: z.number().int().min(1).default(200),
  /** Enrolments in an hour of all runners of one member. */
  enrolmentsPerHour: z.number().int().min(1).default(5_000),
  /** Bytes a day for which one member or runner is given upload URLs. */
  uploadBytesPerDay: z
    .number()
    .int()
    .min(1)
    .default(256 * 1024 ** 3),
});
export type LimitSettings = z.output<typeof limitSettings>;

/** What a request is held against; each call throws TOO_MANY with the seconds after which to repeat. */
export interface Limits {
  address(address: string | null): void;
  signer(address: string): void;
  trigger(name: string): void;
  jobs(member: string): Promise<void>;
  enrolments(member: string): Promise<void>;
  uploads(identity: string, bytes: number): Promise<void>;
}

export function openLimits(table: Pick<Table, 'spend'>, settings: LimitSettings): Limits {
  const addresses = new RateLimit('requests from this address', settings.addressPerMinute);
  const signers = new RateLimit('requests with this signature', settings.signerPerMinute);
  const triggers = new RateLimit('new jobs of this trigger', settings.triggerPerMinute);
  const spend = async (what: string, who: string, amount: number, most: number, seconds: number) => {
    const now = Math.floor(Date.now() / 1_000);
    const end = (Math.floor(now / seconds) + 1) * seconds;
    if (!(await table.spend(`${what}#${who}#${end}`, amount, most, end + 86_400)))
      throw tooMany(`${most} ${what} in ${seconds / 3_600} h`, end - now);
  };
  return {
    address: (address) => {
      if (address !== null && !LOOPBACK.test(address)) addresses.take(address);
    },
    signer: (address) => signers.take(address),
    trigger: (name) => triggers.take(name),
    jobs: (member) => spend('jobs', member, 1, settings.jobsPerHour, 3_600),
    enrolments: (member) => spend('enrolments', member, 1, settings.enrolmentsPerHour, 3_600),
    uploads: (identity, bytes) =>
      spend('bytes to upload', identity, bytes, settings.uploadBytesPerDay, 86_400),
  };
}

/**
 * A sliding window of a minute: the count of this minute and, in proportion, what is left of the last one.
 * Windows that nobody uses any more are forgotten; with more senders than it remembers, the oldest are.
 */
export class RateLimit {
  readonly #counts = new Map<string, { minute: number; count: number; before: number }>();

  constructor(
    private readonly what: string,
    private readonly perMinute: number,
    private readonly remembered = 100_000,
  ) {}

  /** @throws TOO_MANY; a request that is refused is not counted */
  take(key: string, now = Date.now()): void {
    const minute = Math.floor(now / 60_000);
    const share = 1 - (now % 60_000) / 60_000;
    const known = this.#counts.get(key);
    const current =
      known?.minute === minute
        ? known
        : { minute, count: 0, before: known?.minute === minute - 1 ? known.count : 0 };
    if (current.count + 1 + current.before * share > this.perMinute)
      throw tooMany(`${this.perMinute} ${this.what} in a minute`, Math.ceil(60 * share) || 1);
    current.count++;
    this.#counts.delete(key);
    this.#counts.set(key, current);
    const [oldest] = this.#counts;
    if (oldest && this.#counts.size > this.remembered) this.#counts.delete(oldest[0]);
  }
}

/** Where a request came from: the connection's other end, or what API Gateway saw; never a header. */
export function addressOf(context: Context): string | null {
  const parsed = environment.safeParse(context.env);
  if (!parsed.success) return null;
  const { incoming, event } = parsed.data;
  return incoming?.socket.remoteAddress ?? event?.requestContext.http.sourceIp ?? null;
}

const environment = z.object({
  incoming: z.object({ socket: z.object({ remoteAddress: z.string().optional() }) }).optional(),
  event: z.object({ requestContext: z.object({ http: z.object({ sourceIp: z.string() }) }) }).optional(),
});

const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

function tooMany(what: string, seconds: number): RoundtableError {
  return new RoundtableError('TOO_MANY', `More than ${what}. Repeat it after ${seconds} s.`, {
    details: { retryAfterSeconds: seconds },
  });
}
