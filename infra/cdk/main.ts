import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { readSettings, stageRules } from '../settings.js';
import { computePlane } from './plane.js';

/** The compute plane of one stage: `npx cdk deploy --all -c stage=STAGE`. cdk.json names this program. */
const app = new App({
  context: {
    // CDK's own checks of the finished templates throw instead of warning.
    '@aws-cdk/core:validateAgainstDefaultRules': true,
  },
});
const stage: unknown = app.node.tryGetContext('stage');
if (typeof stage !== 'string') throw new Error('Which stage? Add -c stage=STAGE.');
const settings = readSettings(stage);
computePlane(app, { stage, settings, rules: stageRules(stage) });
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
app.synth();
