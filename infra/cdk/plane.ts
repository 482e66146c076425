import { Tags, type App, type StackProps } from 'aws-cdk-lib';
import type { Settings, StageRules } from '../settings.js';
import { DatabaseStack } from './database.js';
import { FleetStack } from './fleet.js';
import { GatekeeperStack } from './gatekeeper.js';
import { NetworkStack } from './network.js';
import { TemporalStack, type TemporalService } from './temporal.js';
import { WorkerStack } from './worker.js';

/** What every stack of a stage is made from. */
export interface StageProps extends StackProps {
  stage: string;
  settings: Settings;
  rules: StageRules;
}

/**
 * The compute plane, in the order of deployment: network, database and Temporal before the app plane, gatekeepers, worker and fleet after
 * it, because these read what it gave (infra/contract.ts).
 */
export function computePlane(app: App, of: Pick<StageProps, 'stage' | 'settings' | 'rules'>): void {
  const { stage, settings, rules } = of;
  const props: StageProps = {
    ...of,
    env: { account: settings.account, region: settings.region },
    terminationProtection: rules.kind === 'production',
  };
  const name = (part: string) => `Roundtable-${stage}-${part}`;
  const network = new NetworkStack(app, name('Network'), props);
  const temporal = settings.temporal ? { ...settings.temporal, security: null } : ownTemporal();
  new GatekeeperStack(app, name('Gatekeeper'), { ...props, network, temporal });
  new WorkerStack(app, name('Worker'), { ...props, network, temporal });
  if (settings.runners.length > 0) new FleetStack(app, name('Fleet'), { ...props, network });
  Tags.of(app).add('application', 'roundtable');
  Tags.of(app).add('stage', stage);

  function ownTemporal(): TemporalService {
    const database = new DatabaseStack(app, name('Database'), { ...props, network });
    return new TemporalStack(app, name('Temporal'), { ...props, network, database });
  }
}
