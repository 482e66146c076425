/**
 * Judges what is closed and published on a chain for as long as it can be disputed, and sends what convicts. All that
 * it has to remember is on chain; what is kept here only saves looking twice.
 */
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { wordTime } from '#services/chain/words.js';
import type { Sender, Sent } from '#services/chainSender.js';
import { callName, type Accusation } from './accusation.js';
import { disputable, epochThing, readMoment, type Disputable, type Moment } from './disputable.js';
import { accuse, type Verdict } from './dispute.js';
import { epochQuestions, type EpochQuestion } from './epochQuestions.js';
import { openQuestions, type RoundQuestion } from './questions.js';
import { endEpochQuestion, endQuestion, fileAccusation } from './report.js';
import type { AuditSources } from './sources.js';
import { accuseEpoch } from './wrongEpoch.js';

/**
 * holds: nothing is wrong with it. wrong: something is, and nobody was there to send it, or no contract can be shown it. asked: its coordinator has to
 * answer. convicted: it is void, its coordinator's bond is slashed. undecided: it could not be judged, or what was sent
 * was refused; it is looked at again while there is time.
 */
export type Outcome = 'holds' | 'wrong' | 'asked' | 'convicted' | 'undecided';

export interface Observation {
  subject: 'round' | 'epoch';
  job: Hex | null;
  /** Of the round or epoch. */
  number: number;
  /** Who answers for it. */
  accountable: Hex;
  outcome: Outcome;
  what: string;
  /** What stands on somebody's word, because it could not be recomputed. */
  unknown: string[];
  /** Judges' functions that were called, or would be. */
  calls: string[];
  transactions: { hash: Hex; gas: number; block: number }[];
  /** Gas of all of them. */
  gas: number;
  /** Seconds since it was closed or published, by the chain's clock. */
  seconds: number;
}

type Standing = { state: 'holds' } | { state: 'asked'; questions: Hex[] } | { state: 'again'; at: number };

export class Watcher {
  readonly #standings = new Map<string, Standing>();
  /** What was said last of each, so that nothing is said twice. */
  readonly #said = new Map<string, string>();
  /** Blocks that the next look begins with: what can be disputed, and what was asked and not ended. */
  #from = 0;
  #askedFrom = 0;

  /** @param reporter pays gas and bonds; null to report only */
  constructor(
    private readonly sources: AuditSources,
    private readonly reporter: Sender | null,
  ) {}

  /**
   * Looks at everything once. What is wrong with one thing, or out of its reach, keeps nobody from the others.
   * @param say is told of everything as soon as it is known
   * @throws CHAIN_UNREACHABLE and the like, when not even the chain can be read
   */
  async look(say: (observation: Observation) => void): Promise<void> {
    const { chain } = this.sources;
    await this.reporter?.heal();
    const moment = await readMoment(chain, this.#from);
    this.#from = moment.from;
    const waiting = await openQuestions(chain, this.#askedFrom);
    const own = waiting.filter(({ challenger }) => challenger === this.reporter?.address);
    this.#askedFrom = Math.min(moment.from, ...own.map(({ asked }) => asked.block));
    const due = own.filter(({ until }) => moment.now >= until);
    for (const closing of new Set(due.map(({ round }) => round.closing))) {
      const about = due.filter(({ round }) => round.closing === closing);
      await this.#end(about, moment, say);
    }
    const aboutEpochs = (await epochQuestions(chain, { from: this.#askedFrom })).filter(
      ({ challenger }) => challenger !== null,
    );
    for (const question of aboutEpochs)
      if (question.challenger === this.reporter?.address && moment.now >= question.until)
        await this.#endEpoch(question, moment, say);
    const ids = new Set([...waiting, ...aboutEpochs].map(({ id }) => id));
    for (const thing of await disputable(chain, moment)) await this.#look(thing, moment, ids, say);
  }

  async #look(
    thing: Disputable,
    moment: Moment,
    waiting: ReadonlySet<Hex>,
    say: (observation: Observation) => void,
  ): Promise<void> {
    const standing = this.#standings.get(thing.key);
    if (standing?.state === 'holds') return;
    if (standing?.state === 'again' && moment.now < standing.at) return;
    const stillWaits = (question: Hex) => waiting.has(question);
    if (standing?.state === 'asked' && standing.questions.every(stillWaits)) return;
    try {
      const verdict = await this.#judge(thing);
      if (verdict.accusations.length > 0) return await this.#act(thing, moment, verdict, stillWaits, say);
      const quarter = moment.now + moment.window / 4;
      if (verdict.undisputable) {
        this.#standings.set(thing.key, { state: 'again', at: quarter });
        const what = verdict.undisputable.join('; ');
        return this.#say(say, thing, moment, { outcome: 'wrong', what, unknown: verdict.unknown });
      }
      // Updates may come to hand later.
      this.#standings.set(
        thing.key,
        verdict.unknown.length > 0 ? { state: 'again', at: quarter } : { state: 'holds' },
      );
      this.#say(say, thing, moment, { outcome: 'holds', what: 'nothing is wrong', unknown: verdict.unknown });
    } catch (error) {
      this.#say(say, thing, moment, { outcome: 'undecided', what: messageOf(error) });
      if (isRoundtableError(error) && error.details['error'] === 'NothingWrong')
        this.#standings.set(thing.key, { state: 'holds' });
    }
  }

  #judge(thing: Disputable): Promise<Verdict> {
    return thing.subject === 'round'
      ? accuse(this.sources, thing.job, thing.round)
      : accuseEpoch(this.sources, thing.epoch);
  }

  async #act(
    thing: Disputable,
    moment: Moment,
    { accusations, unknown }: Verdict,
    stillWaits: (question: Hex) => boolean,
    say: (observation: Observation) => void,
  ): Promise<void> {
    const calls = accusations.map(({ call }) => callName(call));
    const what = [...new Set(accusations.map((accusation) => accusation.what))].join('; ');
    if (!this.reporter) return this.#say(say, thing, moment, { outcome: 'wrong', what, calls, unknown });
    const sent: Sent[] = [];
    const questions: Hex[] = [];
    for (const accusation of accusations) {
      if (accusation.kind === 'question') questions.push(accusation.question);
      if (accusation.kind === 'report' || !stillWaits(accusation.question))
        sent.push(...(await this.#file(this.reporter, accusation)));
    }
    if (questions.length > 0) this.#standings.set(thing.key, { state: 'asked', questions });
    const outcome = questions.length > 0 ? 'asked' : 'convicted';
    this.#say(say, thing, moment, { outcome, what, calls, unknown, sent });
  }

  /** Nothing where somebody else has asked the same in the meantime. */
  async #file(reporter: Sender, accusation: Accusation): Promise<Sent[]> {
    try {
      const { before, ...last } = await fileAccusation(this.sources.chain, reporter, accusation);
      return [...before, last];
    } catch (error) {
      if (isRoundtableError(error) && error.details['error'] === 'AskedBefore') return [];
      throw error;
    }
  }

  /** Ends what was asked about a round and not answered in time. The first convicts, the others give their bonds back. */
  async #end(
    questions: readonly RoundQuestion[],
    moment: Moment,
    say: (observation: Observation) => void,
  ): Promise<void> {
    const { chain } = this.sources;
    const [first] = questions;
    if (!this.reporter || !first) return;
    const { job, round, closing } = first.round;
    const record = (await chain.rounds(job)).find((entry) => entry.round === round);
    const thing = {
      subject: 'round' as const,
      key: `${job}/${round}/${closing}`,
      job,
      round,
      since: wordTime(closing),
      until: first.until,
      accountable: record?.coordinator ?? (await chain.escrow(job)).coordinator,
    };
    try {
      const sent: Sent[] = [];
      for (const question of questions) sent.push(await endQuestion(chain, this.reporter, question));
      const what = `what was asked in block ${first.asked.block} was not answered`;
      this.#say(say, thing, moment, { outcome: 'convicted', what, calls: ['expire'], sent });
    } catch (error) {
      this.#say(say, thing, moment, { outcome: 'undecided', what: messageOf(error) });
    }
  }

  /** The same for an epoch: it is revoked, with all that follow it. */
  async #endEpoch(
    { id, payer, epoch, asked }: EpochQuestion,
    moment: Moment,
    say: (observation: Observation) => void,
  ): Promise<void> {
    const { chain } = this.sources;
    const onChain = (await chain.epochs(payer)).find((entry) => entry.epoch === epoch);
    if (!this.reporter) return;
    try {
      const sent = [await endEpochQuestion(chain, this.reporter, id)];
      if (!onChain) return;
      const thing = epochThing(onChain, moment.window);
      const what = `what was asked in block ${asked.block} was not answered`;
      this.#say(say, thing, moment, { outcome: 'convicted', what, calls: ['expireEpoch'], sent });
    } catch (error) {
      if (!onChain) return;
      this.#say(say, epochThing(onChain, moment.window), moment, {
        outcome: 'undecided',
        what: messageOf(error),
      });
    }
  }

  #say(
    say: (observation: Observation) => void,
    thing: Disputable,
    moment: Moment,
    of: { outcome: Outcome; what: string; unknown?: string[]; calls?: string[]; sent?: Sent[] },
  ): void {
    const { outcome, what, unknown = [], calls = [], sent = [] } = of;
    const text = JSON.stringify([outcome, what, unknown, calls]);
    if (this.#said.get(thing.key) === text) return;
    this.#said.set(thing.key, text);
    const transactions = sent.map(({ hash, gasUsed, block }) => ({ hash, gas: Number(gasUsed), block }));
    say({
      subject: thing.subject,
      job: thing.subject === 'round' ? thing.job : null,
      number: thing.subject === 'round' ? thing.round : thing.epoch.epoch,
      accountable: thing.accountable,
      outcome,
      what,
      unknown,
      calls,
      transactions,
      gas: transactions.reduce((sum, { gas }) => sum + gas, 0),
      seconds: Math.max(0, moment.now - thing.since),
    });
  }
}

function messageOf(error: unknown): string {
  if (isRoundtableError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
