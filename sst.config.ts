// eslint-disable-next-line typescript/triple-slash-reference -- SST's globals are declared there
/// <reference path="./.sst/platform/config.d.ts" />

/** The app plane: everything of a member's stack that costs nothing while nothing happens. infra/app has the parts. */
export default $config({
  async app(input) {
    const { readSettings, stageRules } = await import('./infra/settings.js');
    const { region, account } = readSettings(input.stage);
    const { kind, retain } = stageRules(input.stage);
    return {
      name: 'roundtable',
      home: 'aws',
      removal: retain ? 'retain' : 'remove',
      protect: kind === 'production',
      providers: {
        aws: {
          version: '7.20.0',
          region: region as 'eu-central-1',
          allowedAccountIds: [account],
          defaultTags: { tags: { application: 'roundtable', stage: input.stage } },
        },
      },
    };
  },
  async run() {
    const { appPlane } = await import('./infra/app/plane.js');
    return appPlane();
  },
});
