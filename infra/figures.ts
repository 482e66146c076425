/** What CloudWatch reads of the line that each gatekeeper logs once a minute (gatekeeper/standing.ts), by its field. */
export const gatekeeperFigures = {
  runners: 'GatekeeperRunners',
  polls: 'GatekeeperPolls',
  refused: 'GatekeeperRefused',
  certificateDays: 'GatekeeperCertificateDays',
} as const;

/** Where these figures lie; each stage has its own place. */
export const figuresNamespace = (stage: string): string => `Roundtable/${stage}`;
