import { aws_ec2 as ec2, type aws_secretsmanager as secrets } from 'aws-cdk-lib';
import type { Settings } from '../settings.js';

/** What a runner's machine does at its first start. The unit is the one that the runner's package writes. */
export function runnerUserData(of: {
  runner: string;
  stage: string;
  settings: Settings;
  volume: ec2.Volume;
  key: secrets.Secret;
  /** Nodes of the chain, separated by commas. */
  rpcUrls: secrets.Secret;
  api: string;
  bucket: string;
}): ec2.UserData {
  const { runner, settings, volume, key, rpcUrls, api, bucket } = of;
  const { region, coordinator, deployment, chainNetwork } = settings;
  const data = ec2.UserData.forLinux();
  data.addCommands(
    'set -euo pipefail',
    `dnf install -y nodejs${nodeVersion} nodejs${nodeVersion}-npm`,
    'id roundtable || useradd --system --home-dir /srv/runner --shell /sbin/nologin roundtable',

    '# The home of this runner, on its own volume. A machine that is ending may still hold it: wait for it.',
    'token=$(curl -sf -X PUT http://169.254.169.254/latest/api/token -H "X-aws-ec2-metadata-token-ttl-seconds: 300")',
    'instance=$(curl -sf -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/instance-id)',
    `until aws ec2 attach-volume --region ${region} --volume-id ${volume.volumeId} --instance-id "$instance" --device /dev/sdf; do sleep 5; done`,
    `disk=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$(echo ${volume.volumeId} | tr -d -)`,
    'until [ -e "$disk" ]; do sleep 1; done',
    'blkid "$disk" || mkfs.xfs "$disk"',
    'mkdir -p /srv/runner && mount "$disk" /srv/runner',
    'echo "$disk /srv/runner xfs nofail 0 2" >> /etc/fstab',

    '# Who it is, from its secret and its stack; what it may and its data, from its owner.',
    'umask 077',
    `aws s3 sync --region ${region} s3://${bucket}/runners/${runner}/ /srv/runner/`,
    `aws secretsmanager get-secret-value --region ${region} --secret-id ${key.secretArn} --query SecretString --output text > /srv/runner/key`,
    "cat > /srv/runner/runner.yaml <<'END'",
    `name: ${runner}`,
    `member: '${coordinator}'`,
    'stacks:',
    `  - coordinator: '${coordinator}'`,
    `    api: ${api}`,
    `gateways: ${JSON.stringify(settings.arweaveGateways)}`,
    'chain:',
    `  chainId: ${deployment.chainId}`,
    `  jobs: '${deployment.jobs}'`,
    `  consortium: '${deployment.consortium}'`,
    `  receiptJudge: '${deployment.judges.receipts}'`,
    `  block: ${deployment.block}`,
    // JSON is YAML.
    ...(Object.keys(chainNetwork).length > 0 ? [`  network: ${JSON.stringify(chainNetwork)}`] : []),
    'END',
    `urls=$(aws secretsmanager get-secret-value --region ${region} --secret-id ${rpcUrls.secretArn} --query SecretString --output text)`,
    `printf "  rpcUrls: ['%s']\\n" "$(printf %s "$urls" | sed "s/ *, */', '/g")" >> /srv/runner/runner.yaml`,
    'chown -R roundtable: /srv/runner',

    '# The runner as it was packed by its owner, with the libraries for CUDA that its native runtime fetches itself: npm',
    '# 12 runs no installers of packages, so this one is called by name.',
    'umask 022',
    'mkdir -p /opt/roundtable && cd /opt/roundtable',
    `aws s3 cp --region ${region} s3://${bucket}/runner/roundtable-runner.tgz .`,
    `ONNXRUNTIME_NODE_INSTALL=skip npm-${nodeVersion} install --omit=dev --no-audit --no-fund ./roundtable-runner.tgz`,
    `(cd node_modules/onnxruntime-node && ONNXRUNTIME_NODE_INSTALL=cuda12 node-${nodeVersion} script/install)`,

    '# The unit opens the GPUs whose device files are there, and the driver makes them when it is first asked.',
    'nvidia-smi --list-gpus && nvidia-modprobe -c 0 -u',
    `runner=/opt/roundtable/node_modules/roundtable-runner/owner.js`,
    `node-${nodeVersion} "$runner" install /srv/runner --systemd`,

    '# Stake, TLS key and data sets on chain, as far as they are not there. Without funds it says what to send where; the',
    '# runner then waits outside, and the next machine tries again.',
    `runuser -u roundtable -- node-${nodeVersion} "$runner" register /srv/runner || echo "The runner ${runner} is not registered."`,

    "cat > /usr/local/bin/roundtable-interruption <<'END'",
    ...interruptionWatch(unitName(runner)),
    'END',
    'chmod 755 /usr/local/bin/roundtable-interruption',
    "cat > /etc/systemd/system/roundtable-interruption.service <<'END'",
    '[Service]',
    'ExecStart=/usr/local/bin/roundtable-interruption',
    'Restart=always',
    '[Install]',
    'WantedBy=multi-user.target',
    'END',
    'systemctl daemon-reload',
    `systemctl enable --now ${unitName(runner)} roundtable-interruption.service`,
  );
  return data;
}

/** As the package names it; test/infra/fleetBoot.test.ts compares. */
const unitName = (runner: string): string => `roundtable-runner-${runner}.service`;

/** Amazon Linux has several side by side, each under a name of its own: https://docs.aws.amazon.com/linux/al2023/ug/nodejs.html */
const nodeVersion = 24;

/** AWS says two minutes ahead that it takes a spot machine back: the runner ends in order, its volume is freed. */
const interruptionWatch = (unit: string): string[] => [
  '#!/bin/sh',
  'base=http://169.254.169.254/latest',
  'while sleep 5; do',
  '  token=$(curl -sf -X PUT $base/api/token -H "X-aws-ec2-metadata-token-ttl-seconds: 60") || continue',
  '  if curl -sf -H "X-aws-ec2-metadata-token: $token" $base/meta-data/spot/instance-action; then',
  `    systemctl stop ${unit}`,
  '    umount /srv/runner',
  '    exec sleep infinity',
  '  fi',
  'done',
];
