/**
 * Seals before the contract (contracts/SealJudge.sol): what a runner sealed and did not show is demanded, what it does not
 * open costs its stake, and what it opens is compared with the update that it signed. The contract takes demands about a
 * job's newest round only.
 */
import { sealJudgeAbi } from '#contracts/generated/SealJudge.js';
import { typedContract } from '#contracts/typed.js';
import { isRoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';
import { roundManifest, type RoundManifest } from '#core/manifest.js';
import { sealOf } from '#core/seal.js';
import type { ChainClosing } from '#services/chain.js';
import { logReader } from '#services/chain/logs.js';
import { lowerCase } from '#services/chain/lowerCase.js';
import type { Sender, Sent } from '#services/chainSender.js';
import { Wrong } from './checklist.js';
import { readMoment, type Moment } from './disputable.js';
import { readManifest } from './documents.js';
import { fileAccusation } from './report.js';
import { throwUnlessSealed } from './seals.js';
import type { AuditSources } from './sources.js';

/** demanded: it has a window to open its seal. broken, slashed: it signed for something else, or did not open it. */
export interface SealView {
  job: Hex;
  round: number;
  runner: Hex;
  outcome: 'demanded' | 'broken' | 'slashed';
  what: string;
  transaction: Hex;
}

type Round = RoundManifest['hashed'];
type Entry = NonNullable<Round['seals']>['list'][number];
/** A demand as it stands: by its event, and whether anybody still waits. */
type Demand = Awaited<ReturnType<SealDemands['demands']>>[number];

export class SealDemands {
  #from = 0;
  /** Closings that were looked at: what is to be demanded of them was. */
  readonly #done = new Set<Hex>();

  /** @param reporter pays gas and bonds, and is rewarded */
  constructor(
    private readonly sources: AuditSources,
    private readonly reporter: Sender,
  ) {}

  /**
   * Looks at everything once: ends what was not opened in time, compares what was opened, demands what nobody showed. All that
   * it has to remember is on chain.
   * @throws CHAIN_UNREACHABLE and the like; ARCHIVE_UNREACHABLE for a round whose manifest cannot be read, when all others
   * were looked at
   */
  async look(say: (view: SealView) => void): Promise<void> {
    const { chain } = this.sources;
    const moment = await readMoment(chain, this.#from);
    const demands = await this.demands(moment);
    const own = demands.filter(({ waits, challenger }) => waits && challenger === this.reporter.address);
    for (const demand of own) if (moment.now >= demand.until) await this.#expire(demand, say);
    const failures: unknown[] = [];
    for (const closing of await chain.closings({ from: moment.from })) {
      const about = demands.filter(({ job, round }) => job === closing.job && round === closing.round);
      await this.#lookAt(closing, about, say).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
    this.#from = moment.from;
  }

  /** All demands that can still matter. */
  async demands({ from }: Moment) {
    const judge = this.#judge();
    const logs = logReader(this.sources.chain.provider, this.sources.chain.deployment);
    const asked = await logs(judge, 'Demanded', {}, { from });
    return Promise.all(
      asked.map(async ({ args, block }) => {
        const [challenger, until] = await judge.read.demands(args.demand);
        return {
          name: args.demand,
          runner: lowerCase(args.runner),
          job: args.job,
          round: Number(args.round),
          seal: args.seal,
          challenger: lowerCase(challenger),
          until: Number(until),
          waits: BigInt(challenger) !== 0n,
          block,
        };
      }),
    );
  }

  /** @param about demands that were made about the round */
  async #lookAt(closing: ChainClosing, about: Demand[], say: (view: SealView) => void): Promise<void> {
    const { archive, hash, chain } = this.sources;
    const { job, round, archiveId, manifestHash } = closing;
    if (this.#done.has(manifestHash)) return;
    const isNewest = (await chain.job(job))?.latest === round;
    if (!isNewest && about.length === 0) return;
    const document = { schema: roundManifest, archiveId, hash: manifestHash };
    const { hashed } = await readManifest({ archive, hash }, document);
    let isOver = true;
    for (const entry of this.#hidden(hashed)) {
      const demand = about.find(({ runner, seal }) => runner === entry.runner && seal === entry.seal);
      if (demand && !demand.waits) await this.#compare(hashed, entry, demand, say);
      else if (!demand && isNewest) await this.#demand(hashed, entry, say);
      isOver &&= demand?.waits === false;
    }
    if (isOver) this.#done.add(manifestHash);
  }

  /** Seals that no salt in the round's record opens. */
  #hidden(round: Round): Entry[] {
    if (!round.spec.sealFirst || !round.seals) return [];
    try {
      throwUnlessSealed(this.sources.hash, { ...round, headers: [] });
    } catch (error) {
      // Nobody can be held to a list that does not hold.
      if (error instanceof Wrong) return [];
      throw error;
    }
    const shown = new Map(round.headers.map((header) => [header.runner, header]));
    return round.seals.list.filter(({ runner, seal }) => {
      const header = shown.get(runner);
      if (header?.salt === undefined) return true;
      return sealOf(this.sources.hash, header.updateRoot, runner, header.salt) !== seal;
    });
  }

  async #demand(round: Round, entry: Entry, say: (view: SealView) => void): Promise<void> {
    const { chain } = this.sources;
    const { job, round: number } = round.opening;
    const { runner, signature } = entry;
    const { closing: previous } = await chain.commitments(job, number - 1);
    if (!previous) return;
    const judge = this.#judge();
    const sealed = sealedOf(round, entry);
    const call = judge.call.demand(runner, sealed, signature, previous);
    try {
      const name = await judge.read.nameOf(runner, sealed);
      const { hash } = await this.reporter.send(`demand/${name}`, {
        ...call,
        value: await judge.read.bond(),
      });
      const what = 'it sealed an update and did not show it; it is asked to open the seal on chain';
      say({ job, round: number, runner, outcome: 'demanded', what, transaction: hash });
    } catch (error) {
      // Somebody else was faster, the round is not the job's newest any more, or its time is over.
      if (!isRefusal(error, ['DemandedBefore', 'OpeningUnknown', 'WindowPassed'])) throw error;
    }
  }

  /** What the runner opened on chain, with what it signed. */
  async #compare(round: Round, entry: Entry, demand: Demand, say: (view: SealView) => void): Promise<void> {
    const { chain } = this.sources;
    const { runner, signature } = entry;
    const header = round.headers.find((one) => one.runner === runner);
    const judge = this.#judge();
    const logs = logReader(chain.provider, chain.deployment);
    const [opened] = await logs(judge, 'SealOpened', { demand: demand.name }, { from: demand.block });
    if (!opened || !header || header.updateRoot === opened.args.updateRoot) return;
    const { job, round: number, openHash } = round.opening;
    const update = {
      job,
      round: BigInt(number),
      openHash,
      updateRoot: header.updateRoot,
      dimension: BigInt(header.dimension),
      samples: BigInt(header.samples),
      steps: BigInt(header.steps),
    };
    const { updateRoot, salt } = opened.args;
    const call = judge.call.broken(
      runner,
      sealedOf(round, entry),
      signature,
      updateRoot,
      salt,
      update,
      header.signature,
    );
    const what = 'it sealed one update and signed another';
    const { hash } = await fileAccusation(chain, this.reporter, { what, kind: 'report', call });
    say({ job, round: number, runner, outcome: 'broken', what, transaction: hash });
  }

  async #expire(
    { name, runner, job, round }: Demand,
    say: (view: SealView) => void,
  ): Promise<Sent | undefined> {
    try {
      const sent = await this.reporter.send(`expire/${name}`, this.#judge().call.expire(name));
      const what = 'it did not open its seal when it was asked on chain';
      say({ job, round, runner, outcome: 'slashed', what, transaction: sent.hash });
      return sent;
    } catch (error) {
      if (!isRefusal(error, ['NotDemanded'])) throw error;
      return undefined;
    }
  }

  #judge() {
    const { deployment, provider } = this.sources.chain;
    return typedContract(sealJudgeAbi, deployment.judges.seals, provider);
  }
}

function sealedOf({ opening: { job, round, openHash } }: Round, { seal }: Entry) {
  return { job, round: BigInt(round), openHash, seal };
}

function isRefusal(error: unknown, names: string[]): boolean {
  return isRoundtableError(error) && names.includes(String(error.details['error']));
}
