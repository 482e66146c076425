import { Resource } from './resource.js';

/** What the runner says of itself to its owner; cli/runner/page.ts has the other end. */
export interface MineStatus {
  name: string;
  member: string;
  address: string;
  running: boolean;
  /** Null: the chain did not answer. */
  chain: { state: string; stake: string; tokens: string; wei: string; published: boolean } | null;
  chainProblem: string | null;
  stacks: {
    coordinator: string;
    api: string | null;
    until: string | null;
    answer: {
      state: string;
      lastSeen: string;
      suspension: { reason: string } | null;
      drain: object | null;
    } | null;
    problem: { code: string; message: string } | null;
  }[];
  data: { name: string; samples: number; input: number[]; classes: number }[];
  /** The owner's policy in words, a rule a line. */
  rules: string[];
}

/** A line of the decision log; what it has beyond these depends on its kind. */
export interface MineDecision {
  seq: number;
  time: string;
  kind: string;
  [member: string]: unknown;
}

export interface MineDecisions {
  items: MineDecision[];
  records: number;
  broken: { file: string; line: number; reason: string } | null;
  lost: number;
}

const key = 'roundtable.mine';

/** The token comes once, in the fragment, and is kept for this tab alone. */
export function keepToken(token: string | undefined): void {
  if (token === undefined) return;
  sessionStorage.setItem(key, token);
  history.replaceState(null, '', '#/mine');
}

const headers = () => ({ authorization: `Bearer ${sessionStorage.getItem(key) ?? ''}` });
export const mineStatus = new Resource<MineStatus>(() => 'mine/status', undefined, headers);
export const mineDecisions = new Resource<MineDecisions>(() => 'mine/decisions', undefined, headers);
