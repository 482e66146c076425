import { seeded } from '#test/support/seeded.js';
import { pushBody } from '../webhooks.js';

/** What a sender delivers: a new body, an earlier one again, or one that is signed with another secret. */
export type Kind = 'good' | 'repeated' | 'forged';

export interface Delivery {
  kind: Kind;
  body: string;
}

/** Of a hundred deliveries: so many repeat an earlier one, so many are signed with another secret. */
const share = { repeated: 10, forged: 5 };

/** Everything follows from the seed. */
export function planDeliveries({ deliveries, seed }: { deliveries: number; seed: number }): Delivery[] {
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
