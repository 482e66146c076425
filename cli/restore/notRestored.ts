/** What the table had and chain and archive do not have, by nature; docs/operations.md lists the same. */
export const notRestored: readonly { what: string; why: string }[] = [
  {
    what: 'jobs that were queued or failed before they were created on chain',
    why: 'nothing of them ever left the table; submit them again',
  },
  {
    what: 'triggers and their secrets',
    why: 'a secret must never leave the table; add the triggers again',
  },
  {
    what: 'suspensions of runners and revoked certificates',
    why: 'they are the member’s own word; suspend again whoever is to stay out',
  },
  {
    what: 'enrolled runners, their certificates, sealing keys and signs of life',
    why: 'what a runner says of itself only it can say; each enters again by itself within a minute',
  },
  {
    what: 'transactions that were signed and are not on the chain',
    why: 'what was mined is found there; docs/payments.md says what to look at before repeating the rest',
  },
  {
    what: 'an epoch that was planned and is not on the chain',
    why: 'it is planned anew; a number is published once',
  },
  {
    what: 'receipts, lists of seals and attestations of rounds that are open or can still be disputed',
    why: 'runners and members keep their own; a round that is begun anew signs for its updates again, and whoever revealed refuses another list of seals',
  },
  {
    what: 'used-up signatures, quotas and rates',
    why: 'they protect for minutes or a day, and begin anew',
  },
  {
    what: 'why a job ended early, and what a round that never closed was doing',
    why: 'the chain has that it ended',
  },
  {
    what: 'how long a round took to archive and to anchor, and the numbers and times of the rows’ writes',
    why: 'measured when its manifest was archived already; times are those of the blocks',
  },
];
